//! What the end-to-end tests share: the `kiln` command, small git histories, and a place for both.

// Each test binary uses a part of this.
#![allow(dead_code, unreachable_pub)]

pub mod killing;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The `kiln` that was built beside this test.
pub fn kiln_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("KILN_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test knows where it is");
    let kiln = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("kiln");
    assert!(kiln.exists(), "{} is missing: run tests/run, or cargo build first", kiln.display());
    kiln
}

/// The root of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

/// An empty folder that goes away with the value; in the target folder, where what a killed test
/// leaves behind is in nobody's way.
pub fn scratch() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder")
}

/// A piece of shell that is true one time in `n`: in each `n` calls of a test's commands once, at
/// places that are the same in every run. True chance would fail a test now and then.
pub fn coin(n: u32) -> String {
    format!(
        r#"{{ i=$(cat "$KILN_COIN" 2>/dev/null); echo $((${{i:-0}} + 1)) >"$KILN_COIN"; [ $((${{i:-0}} / {n} * 7 % {n})) = $((${{i:-0}} % {n})) ]; }}"#
    )
}

/// A store and a work folder of one test.
pub struct Kiln {
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// What a command gave.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let Self { code: got, stdout, stderr } = &self;
        assert_eq!(
            *got,
            code,
            "standard error:\n{}\nstandard output:\n{}",
            end(stderr),
            end(stdout)
        );
        self
    }

    /// Asserts that the error says all of these.
    #[track_caller]
    pub fn complains(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not said: {self:#?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }
}

/// The last of a text that may be long: whoever reads a failed test sees only so much.
fn end(text: &str) -> &str {
    let lines = text.rmatch_indices('\n').nth(40).map_or(0, |(at, _)| at + 1);
    &text[lines..]
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Kiln {
    /// A new, empty store that goes away with the test.
    pub fn new() -> Self {
        Self { folder: scratch(), env: Vec::new() }
    }

    /// Sets a variable of every later command.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.push((name.to_owned(), value.into()));
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The command with this store, ready for more arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(kiln_binary());
        command
            .env("KILN_STORE", self.store())
            .env("KILN_WORK", self.work())
            .env("KILN_COIN", self.folder.path().join("coin"))
            .env_remove("KILN_REMOTE")
            .env_remove("KILN_DATABASE")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// What `list` says of bisections; nothing where no store was made yet.
    pub fn bisections(&self) -> Value {
        match self.store().exists() {
            true => self.run(&["bisect", "list", "--json"]).exits(0).json(),
            false => Value::Array(Vec::new()),
        }
    }

    /// Runs to the end.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Answer {
        self.command().args(args).output().expect("kiln runs").into()
    }
}

/// A git repository for tests, with commits made from a description.
pub struct Repo {
    folder: TempDir,
}

impl Repo {
    pub fn new() -> Self {
        let repo = Self { folder: scratch() };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn arg(&self) -> &str {
        self.path().to_str().expect("UTF-8")
    }

    /// Runs git and returns what it printed, trimmed.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.path())
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@t.invalid",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(args)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes files and commits them; returns the commit's id.
    pub fn commit(&self, subject: &str, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, content).expect("a file");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// The commit that an answer names.
pub fn culprit(answer: &Value) -> &str {
    answer["answer"]["commit"]["id"].as_str().unwrap_or("none")
}

/// The events of one kind in a record.
pub fn events<'a>(record: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = record["events"].as_array().unwrap().iter().map(|event| &event["event"]);
    all.filter(move |event| event["event"] == kind)
}
