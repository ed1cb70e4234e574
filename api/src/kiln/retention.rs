//! What the owner of a store wants to keep: from a file, which a server reads too, and from the
//! command line.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use kiln_bisect::record::{JOURNAL_KIND, Record};
use kiln_builder::Repository;
use kiln_cache::Store;
use kiln_cache::retention::Policy;
use serde::Deserialize;

use super::own_file;

/// Hours in which an upload must have ended, unless said otherwise.
const EMBARGO: u64 = 24;

/// Where the file is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PolicyFile {
    /// A TOML file that says what to keep; `kiln gc --help` has its format [default:
    /// retention.toml in kiln's configuration directory, if it is there]
    #[arg(long, env = "KILN_POLICY", value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// What is kept, as people say it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Wishes {
    /// Room that the files of the store may take.
    pub(crate) quota: Option<Room>,
    /// Whether more than half of the builds may go for the quota.
    #[serde(default)]
    pub(crate) most_may_go: bool,
    /// Days since a build was last asked for.
    pub(crate) max_age: Option<u32>,
    /// The same, for debug information alone.
    pub(crate) debug_max_age: Option<u32>,
    /// Whether builds go whole, and debug information no sooner.
    #[serde(default)]
    pub(crate) keep_debug_info: bool,
    /// Hours for which files stay that no build names.
    pub(crate) embargo: Option<u64>,
    /// The repository of the revisions and tags.
    pub(crate) repo: Option<PathBuf>,
    /// Revisions whose builds stay.
    #[serde(default)]
    pub(crate) keep: Vec<String>,
    /// Patterns of tags whose builds stay.
    #[serde(default)]
    pub(crate) keep_tags: Vec<String>,
    /// Whether the builds of the ends of bisections go, too.
    #[serde(default)]
    pub(crate) forget_ends: bool,
}

/// A number of bytes, written as `20G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room(pub(crate) u64);

impl<'de> Deserialize<'de> for Room {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Sizes)
    }
}

/// Reads a [`Room`]; a number alone is none, since nobody knows of what.
struct Sizes;

impl serde::de::Visitor<'_> for Sizes {
    type Value = Room;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a size with its unit in quotes, as \"200G\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Room, E> {
        text.parse().map_err(E::custom)
    }
}

impl std::str::FromStr for Room {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        bytes(text).map(Self)
    }
}

impl PolicyFile {
    /// Reads the file; without one nothing is wished. A file that was named must be there.
    pub(crate) fn read(&self) -> anyhow::Result<Wishes> {
        let file = own_file::read(self.policy.as_deref(), "retention.toml")?;
        Ok(file.map_or_else(Wishes::default, |(path, wishes)| Wishes::beside(wishes, &path)))
    }
}

impl Wishes {
    /// Of a file of this path: a path in it is relative to it.
    fn beside(mut self, file: &Path) -> Self {
        if let (Some(repo), Some(folder)) = (&mut self.repo, file.parent()) {
            *repo = folder.join(&*repo);
        }
        self
    }

    /// These, where they say something, else the others; what is kept by name adds up.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            quota: self.quota.or(other.quota),
            most_may_go: self.most_may_go || other.most_may_go,
            max_age: self.max_age.or(other.max_age),
            debug_max_age: self.debug_max_age.or(other.debug_max_age),
            keep_debug_info: self.keep_debug_info || other.keep_debug_info,
            embargo: self.embargo.or(other.embargo),
            repo: self.repo.or(other.repo),
            keep: self.keep.into_iter().chain(other.keep).collect(),
            keep_tags: self.keep_tags.into_iter().chain(other.keep_tags).collect(),
            forget_ends: self.forget_ends || other.forget_ends,
        }
    }

    /// The policy: names are looked up now.
    pub(crate) async fn policy(&self, store: &Store) -> anyhow::Result<Policy> {
        let mut keep_commits = self.named()?;
        if !self.forget_ends {
            keep_commits.extend(ends(store).await?);
        }
        let days = |days: u32| i64::from(days) * 24 * 3600;
        let hours = self.embargo.unwrap_or(EMBARGO);
        Ok(Policy {
            quota: self.quota.map(|room| room.0),
            spare_most: !self.most_may_go,
            max_age: self.max_age.map(days),
            debug_first: !self.keep_debug_info,
            debug_age: self.debug_max_age.map(days),
            embargo: i64::try_from(hours.saturating_mul(3600)).unwrap_or(i64::MAX),
            keep_commits,
            trust_clock: false,
            dry_run: false,
        })
    }

    /// The commits that are kept by the name of a revision or a tag.
    fn named(&self) -> anyhow::Result<HashSet<String>> {
        let mut commits = HashSet::new();
        if self.keep.is_empty() && self.keep_tags.is_empty() {
            return Ok(commits);
        }
        let repository = Repository::open(self.repo.as_deref().unwrap_or(Path::new(".")))?;
        for name in &self.keep {
            commits.insert(repository.resolve(name)?.commit);
        }
        for pattern in &self.keep_tags {
            commits.extend(repository.tagged(pattern)?);
        }
        Ok(commits)
    }
}

/// The ends of all bisections: whoever goes on with one needs their builds first.
async fn ends(store: &Store) -> anyhow::Result<HashSet<String>> {
    let mut ends = HashSet::new();
    for summary in store.journals(JOURNAL_KIND).await? {
        let Some(journal) = store.journal_read(&summary.id).await? else { continue };
        // A record of another version names no ends that are known here.
        if let Ok(record) = Record::from_journal(journal) {
            let found = record.ends().map(|(older, newer)| [older.id.clone(), newer.id.clone()]);
            ends.extend(found.into_iter().flatten().chain([record.header.bad.id]));
        }
    }
    Ok(ends)
}

/// Reads `1500`, `20G`, `500 MiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text[digits.len()..].trim().to_ascii_lowercase();
    let scale: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("'{unit}' is no unit: use k, M, G, T, or KiB to TiB")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("'{text}' is no size"))?;
    if !(number.is_finite() && number >= 0.0) {
        return Err(format!("'{text}' is no size"));
    }
    Ok((number * scale as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> anyhow::Result<Wishes> {
        let path = Path::new(path);
        Ok(own_file::parse::<Wishes>(path, text)?.beside(path))
    }

    #[test]
    fn sizes_as_people_write_them() {
        for (text, size) in [
            ("0", 0),
            ("1500", 1500),
            ("20G", 20_000_000_000),
            ("1.5 MiB", 1_572_864),
            ("3kb", 3000),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "G", "-1", "5 bananas", "nan", "1e999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_example_of_the_help_is_read() {
        let text = super::super::gc::FORMAT.lines().map(str::trim_start).skip(1);
        let text = text.collect::<Vec<_>>().join("\n");
        let read = read("/etc/kiln/retention.toml", &text).unwrap();
        assert_eq!(read.quota, Some(Room(200_000_000_000)));
        assert_eq!(
            (read.max_age, read.debug_max_age, read.embargo),
            (Some(180), Some(30), Some(24))
        );
        assert_eq!(read.repo.as_deref(), Some(Path::new("/srv/linux.git")));
        assert_eq!(read.keep_tags, ["v*"]);
    }

    #[test]
    fn mistakes_are_named_and_paths_are_relative_to_the_file() {
        for (text, said) in [
            ("quota = '5 bananas'", "bananas"),
            ("quota = 10", "a size with its unit in quotes, as \"200G\""),
            ("max-age = -1", "max-age"),
            ("quotas = '5G'", "quotas"),
        ] {
            let error = format!("{:#}", read("my.toml", text).unwrap_err());
            assert!(error.contains("my.toml") && error.contains(said), "{error}");
        }
        let read = read("/etc/kiln/r.toml", "repo = '../linux'").unwrap();
        assert_eq!(read.repo.as_deref(), Some(Path::new("/etc/kiln/../linux")));
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let file = Wishes {
            quota: Some(Room(5)),
            max_age: Some(7),
            keep: names(&["a"]),
            ..Wishes::default()
        };
        let line = Wishes { quota: Some(Room(1)), keep: names(&["b"]), ..Wishes::default() };
        let both = line.or(file);
        assert_eq!((both.quota, both.max_age), (Some(Room(1)), Some(7)));
        assert_eq!(both.keep, ["b", "a"]);
    }
}
