//! `kiln diff`: which functions and data differ between two kernels, their modules included.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_builder::units::Units;
use kiln_cache::build_draft::{UNITS, VMLINUX, VMLINUX_O};
use kiln_cache::signature::explain::Files;
use kiln_cache::signature::symbols::{
    SymbolChange, SymbolKind, SymbolMap, diff, is_linked, linked_symbols_of, symbols_of,
};
use kiln_cache::{Manifest, Store};
use serde::Serialize;

use super::common::{Context, answer, answer_json};
use super::kernels::{Kernel, source_files, without_foreign_object};
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::table::{WIDTH, render_for_answer};
use crate::terminal::text::wrapped;

/// How artifacts that are modules are named.
const MODULES: &str = "modules/";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kernel before: a revision, input key, signature or build id of a build in the store, a
    /// vmlinux.o or vmlinux, or a folder that make was run in
    before: String,
    /// The kernel after
    after: String,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
}

/// One thing that differs.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The module that it is in, by its path; `None`: in the kernel itself.
    pub(crate) module: Option<String>,
    #[serde(flatten)]
    pub(crate) change: SymbolChange,
}

/// The answer, as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    changes: &'a [Row],
    /// Modules that only the first has, and only the second.
    modules_removed: Vec<&'a str>,
    modules_added: Vec<&'a str>,
    /// Whether contents were compared, and not only names and sizes.
    contents_compared: bool,
    /// What was not compared, a sentence each.
    notes: Vec<String>,
}

/// What was found, and how far was looked.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    /// Modules that one kernel has: which, and whether it is the second.
    pub(crate) lone: Vec<(String, bool)>,
    /// Modules that were compared, and those that are the same file.
    compared: usize,
    equal: usize,
    /// Whether modules were looked for.
    looked_for_modules: bool,
    /// Whether only names and sizes of the kernel itself were compared.
    linked: bool,
    /// What else was not looked at.
    left_out: Vec<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let progress = context.progress();
    progress.status("looking for both");
    let compared = found(context, &args).await;
    progress.clear();
    let found = compared?;
    if context.json {
        answer_json(&found.as_json())?;
    } else {
        print(&found);
    }
    Ok(Exit::Done)
}

async fn found(context: &Context, args: &Args) -> anyhow::Result<Found> {
    let mut kernels = Vec::with_capacity(2);
    for name in [&args.before, &args.after] {
        let mut kernel = Kernel::find(context, name, &args.repo, VMLINUX).await?;
        if let Kernel::Files(files) = &mut kernel {
            tidy(name, files)?;
        }
        kernels.push((name.clone(), kernel));
    }
    compared(kernels).await
}

/// Compares two builds of a store, each with what people call it.
pub(crate) async fn between(
    store: &Store,
    before: (&str, Manifest),
    after: (&str, Manifest),
) -> anyhow::Result<Found> {
    let kernels = [before, after].into_iter();
    let kernels = kernels.map(|(name, manifest)| {
        (name.to_owned(), Kernel::Build(Box::new(manifest), store.clone()))
    });
    compared(kernels.collect()).await
}

/// Compares two kernels, each with its name.
async fn compared(kernels: Vec<(String, Kernel)>) -> anyhow::Result<Found> {
    let folder = tempfile::tempdir().context("no folder for temporary files")?;
    let sides = sides(&kernels, folder.path()).await?;
    tokio::task::spawn_blocking(move || compare(&sides)).await.context("comparing stopped")?
}

/// One of the kernels, on this machine.
struct Side {
    /// As the user named it.
    name: String,
    /// The `vmlinux.o`, or what was given in its place.
    object: PathBuf,
    /// Modules that may differ.
    modules: Files,
    /// How many more there are that the other kernel has as well, byte for byte.
    equal: usize,
    /// What the kernel is compiled of, as far as that is known.
    sources: BTreeSet<String>,
    /// Whether it is a whole build, and not a file.
    is_build: bool,
}

async fn sides(kernels: &[(String, Kernel)], folder: &Path) -> anyhow::Result<[Side; 2]> {
    // Objects say most. Where one is missing, linked kernels are compared with linked ones.
    let has = |kernel: &Kernel, name: &str| match kernel {
        Kernel::Files(files) => files.contains_key(name),
        Kernel::Build(build, _) => build.artifact(name).is_some(),
    };
    let all_have = |name: &str| kernels.iter().all(|(_, kernel)| has(kernel, name));
    let best = if !all_have(VMLINUX_O) && all_have(VMLINUX) { VMLINUX } else { VMLINUX_O };
    let equal: BTreeSet<String> = match kernels {
        [(_, Kernel::Build(a, _)), (_, Kernel::Build(b, _))] => {
            let same = a.artifacts.iter().filter(|it| it.name.starts_with(MODULES));
            let same = same
                .filter(|it| b.artifact(&it.name).is_some_and(|other| other.digest == it.digest));
            same.map(|it| it.name.clone()).collect()
        }
        _ => BTreeSet::new(),
    };
    let mut sides = Vec::with_capacity(2);
    for ((name, kernel), place) in kernels.iter().zip(["before", "after"]) {
        let own = if has(kernel, best) { best } else { VMLINUX };
        let wanted = |name: &str| {
            [own, UNITS].contains(&name) || name.starts_with(MODULES) && !equal.contains(name)
        };
        let place = folder.join(place);
        let mut files = kernel.files(&place, |artifact| wanted(&artifact.name)).await?;
        let object = files.remove(own).ok_or_else(|| match kernel {
            Kernel::Files(_) => Fault::new(
                Exit::Failed,
                format!("there is neither {VMLINUX_O} nor {VMLINUX} in '{name}': run make there"),
            ),
            Kernel::Build(..) => {
                let why = "its kernel makes none, or it was stored by an older Kiln";
                Fault::new(Exit::NotFound, format!("'{name}' has no {VMLINUX_O}: {why}"))
            }
        })?;
        let units = files.remove(UNITS);
        let sources = match (units, kernel) {
            (Some(units), _) => {
                let bytes = std::fs::read(&units).context("reading the table of units")?;
                Units::decode(&bytes).map(|it| it.sources().collect()).unwrap_or_default()
            }
            (None, Kernel::Files(_)) if Path::new(name).is_dir() => source_files(Path::new(name)),
            _ => BTreeSet::new(),
        };
        let is_build = matches!(kernel, Kernel::Build(..)) || Path::new(name).is_dir();
        files.retain(|name, _| name.starts_with(MODULES));
        let (name, equal) = (name.clone(), equal.len());
        sides.push(Side { name, object, modules: files, equal, sources, is_build });
    }
    let both: Result<[Side; 2], _> = sides.try_into();
    both.map_err(|_| anyhow::anyhow!("two kernels are compared"))
}

/// Gives files the names of what they are: an object that was given alone, and beside a `vmlinux` that
/// was, the object which it was linked from.
fn tidy(name: &str, files: &mut Files) -> anyhow::Result<()> {
    if Path::new(name).is_file() {
        if !is_linked(Path::new(name))? {
            let object = files.remove(VMLINUX);
            files.extend(object.map(|path| (VMLINUX_O.to_owned(), path)));
            return Ok(());
        }
        let object = Path::new(name).with_file_name(VMLINUX_O);
        if Path::new(name).file_name().is_some_and(|it| it == VMLINUX) && object.is_file() {
            files.insert(VMLINUX_O.to_owned(), object);
        }
    }
    without_foreign_object(files)
}

fn compare(sides: &[Side; 2]) -> anyhow::Result<Found> {
    let [before, after] = sides;
    let linked = is_linked(&before.object)? || is_linked(&after.object)?;
    let mut found = Found { linked, equal: before.equal, ..Found::default() };
    let read = if linked { linked_symbols_of } else { symbols_of };
    let map = |side: &Side| {
        let mut map: SymbolMap = read(&side.object)?;
        map.name_sources(&side.sources);
        anyhow::Ok(map)
    };
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| map(before));
        let two = map(after);
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), two)
    });
    let (one, two) = (one?, two?);
    for (map, side) in [(&one, before), (&two, after)] {
        if map.entries.is_empty() {
            let file = side.object.display();
            anyhow::bail!(
                "{file} has no symbol table, so there are no names to compare: give one that was not \
                 stripped"
            );
        }
    }
    found.rows.extend(diff(&one, &two).into_iter().map(|change| Row { module: None, change }));
    if before.sources.is_empty() || after.sources.is_empty() {
        found.left_out.push(
            "folders of source files are not known: neither records of a build nor its folder \
             are at hand"
                .to_owned(),
        );
    }
    let lacking = sides.iter().find(|it| !it.is_build);
    if let Some(side) = lacking {
        found.left_out.push(format!("modules were not compared: '{}' is a lone file", side.name));
        return Ok(found);
    }
    found.looked_for_modules = true;
    modules(&before.modules, &after.modules, &mut found)?;
    Ok(found)
}

/// Compares modules of one name.
fn modules(before: &Files, after: &Files, found: &mut Found) -> anyhow::Result<()> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let short = name.strip_prefix(MODULES).unwrap_or(name).to_owned();
        let (Some(one), Some(two)) = (before.get(name), after.get(name)) else {
            found.lone.push((short, after.contains_key(name)));
            continue;
        };
        if std::fs::read(one)? == std::fs::read(two)? {
            found.equal += 1;
            continue;
        }
        found.compared += 1;
        match (symbols_of(one), symbols_of(two)) {
            (Ok(one), Ok(two)) => {
                let changes = diff(&one, &two).into_iter();
                let row = |change| Row { module: Some(short.clone()), change };
                found.rows.extend(changes.map(row));
            }
            (Err(error), _) | (_, Err(error)) => {
                found.left_out.push(format!("the module {short} can't be read: {error}"));
            }
        }
    }
    Ok(())
}

impl Found {
    fn as_json(&self) -> Answer<'_> {
        let lone = |second: bool| {
            let of_side = self.lone.iter().filter(|(_, is_second)| *is_second == second);
            of_side.map(|(name, _)| name.as_str()).collect()
        };
        Answer {
            changes: &self.rows,
            modules_removed: lone(false),
            modules_added: lone(true),
            contents_compared: !self.linked,
            notes: self.not_compared(),
        }
    }

    /// What the answer does not say, a sentence each.
    pub(crate) fn not_compared(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.linked {
            // Without relocations a call of something that moved can't be told from another call.
            lines.push(
                "a linked vmlinux: only names and sizes are compared; its vmlinux.o shows all \
                 changes"
                    .to_owned(),
            );
        }
        lines.extend(self.left_out.iter().cloned());
        lines.push(
            "boot code, what is made by the last link, and data that no name stands for are not \
             compared: see kiln explain"
                .to_owned(),
        );
        lines
    }
}

/// One table a source file, of the kernel and then of each module; then how many there are of each
/// kind, and what was not compared.
fn print(found: &Found) {
    let mut groups: BTreeMap<_, Vec<&SymbolChange>> = BTreeMap::new();
    for Row { module, change } in &found.rows {
        groups.entry((module, &change.file)).or_default().push(change);
    }
    for ((module, file), changes) in groups {
        let file = file.as_deref().unwrap_or("(source file not known)");
        match module {
            Some(module) => answer(format_args!("{module}: {file}")),
            None => answer(file),
        }
        let rows: Vec<Vec<String>> = changes.into_iter().map(row).collect();
        let heading = ["what", "kind", "before", "after", "change", "name"];
        for line in render_for_answer(&heading, &rows, &[2, 3, 4]).lines() {
            answer(line);
        }
        answer("");
    }
    for (module, is_second) in &found.lone {
        let side = if *is_second { "second" } else { "first" };
        answer(format_args!("{module}: only the {side} has this module"));
    }
    let kernel: Vec<&SymbolChange> =
        found.rows.iter().filter(|it| it.module.is_none()).map(|it| &it.change).collect();
    answer(wrapped(&summary(&kernel, found.linked), WIDTH));
    if found.compared + found.equal > 0 {
        let inside: Vec<&SymbolChange> =
            found.rows.iter().filter(|it| it.module.is_some()).map(|it| &it.change).collect();
        let changes = match counts(&inside) {
            text if text.is_empty() => "no function and no data of them".to_owned(),
            text => text,
        };
        let (equal, other) = (found.equal, found.compared);
        let told = match other {
            0 => format!("modules: all {equal} are the same file"),
            _ => format!("modules: {equal} are the same file, {other} are not: {changes}"),
        };
        answer(wrapped(&told, WIDTH));
    } else if found.looked_for_modules && found.lone.is_empty() {
        answer("modules: neither has any");
    }
    for line in found.not_compared() {
        answer(wrapped(&format!("note: {line}"), WIDTH));
    }
}

fn row(change: &SymbolChange) -> Vec<String> {
    let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let (what, difference) = match (change.before, change.after) {
        (None, _) => ("added", String::new()),
        (_, None) => ("removed", String::new()),
        // Sizes of parts of a file in memory: far below 2^63.
        (Some(a), Some(b)) if a != b => ("changed", format!("{:+}", b as i64 - a as i64)),
        _ => ("changed", String::new()),
    };
    vec![
        what.to_owned(),
        kind(change.kind).to_owned(),
        size(change.before),
        size(change.after),
        difference,
        change.name.clone(),
    ]
}

fn kind(kind: SymbolKind) -> &'static str {
    match kind {
        SymbolKind::Function => "function",
        SymbolKind::Data => "data",
        SymbolKind::Table => "table",
    }
}

/// "1 function changed, 2 data objects added", or that nothing differs.
fn summary(changes: &[&SymbolChange], linked: bool) -> String {
    if changes.is_empty() {
        return match linked {
            true => "no name and no size differs (contents were not compared)",
            false => "no function and no data of vmlinux.o differs (see also: kiln explain)",
        }
        .to_owned();
    }
    counts(changes)
}

/// How many changes there are of each kind; empty if there is none.
fn counts(changes: &[&SymbolChange]) -> String {
    let kinds = [
        (SymbolKind::Function, "function", "functions"),
        (SymbolKind::Data, "data object", "data objects"),
        (SymbolKind::Table, "table", "tables"),
    ];
    let mut parts = Vec::new();
    for (kind, one, many) in kinds {
        let of_kind: Vec<_> = changes.iter().filter(|it| it.kind == kind).collect();
        let count = |is: fn(&SymbolChange) -> bool| of_kind.iter().filter(|it| is(it)).count();
        for (what, count) in [
            ("changed", count(|it| it.before.is_some() && it.after.is_some())),
            ("added", count(|it| it.before.is_none())),
            ("removed", count(|it| it.after.is_none())),
        ] {
            match count {
                0 => {}
                1 => parts.push(format!("1 {one} {what}")),
                count => parts.push(format!("{count} {many} {what}")),
            }
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, before: Option<u64>, after: Option<u64>) -> SymbolChange {
        let file = Some("pipe.c".to_owned());
        SymbolChange { file, kind: SymbolKind::Function, name: name.to_owned(), before, after }
    }

    #[test]
    fn rows_say_what_happened() {
        let shown = |before, after| row(&change("f", before, after)).join(" ");
        assert_eq!(shown(Some(10), Some(8)), "changed function 10 8 -2 f");
        assert_eq!(shown(Some(10), Some(10)), "changed function 10 10  f");
        assert_eq!(shown(None, Some(10)), "added function - 10  f");
        assert_eq!(shown(Some(10), None), "removed function 10 -  f");
    }

    #[test]
    fn sums_up() {
        assert!(summary(&[], false).contains("vmlinux.o differs"));
        assert!(summary(&[], true).contains("were not compared"));
        let changes = [
            change("f", Some(1), Some(2)),
            change("g", Some(1), Some(1)),
            change("h", None, Some(1)),
        ];
        let changes: Vec<&SymbolChange> = changes.iter().collect();
        assert_eq!(summary(&changes, false), "2 functions changed, 1 function added");
    }

    #[test]
    fn modules_are_compared_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let object = |name: &str, source: &str| {
            let path = folder.path().join(name);
            std::fs::write(path.with_extension("c"), source).unwrap();
            let mut gcc = std::process::Command::new("gcc");
            let made = gcc.args(["-c", "-O2", "-fno-asynchronous-unwind-tables", "-o"]);
            let made = made.arg(&path).arg(path.with_extension("c")).status();
            assert!(made.unwrap().success());
            path
        };
        let one = object("one.ko", "int kiln_open(int x) { return x * 3; }\n");
        let two = object("two.ko", "int kiln_open(int x) { return x * 5; }\n");
        let files = |list: &[(&str, &PathBuf)]| -> Files {
            list.iter().map(|(name, path)| (format!("modules/{name}"), (*path).clone())).collect()
        };
        let mut found = Found::default();
        let before = files(&[("fs/a.ko", &one), ("fs/b.ko", &one), ("fs/old.ko", &one)]);
        let after = files(&[("fs/a.ko", &two), ("fs/b.ko", &one), ("net/new.ko", &one)]);
        modules(&before, &after, &mut found).unwrap();
        let told: Vec<_> =
            found.rows.iter().map(|it| (it.module.as_deref(), it.change.name.as_str())).collect();
        assert_eq!(told, [(Some("fs/a.ko"), "kiln_open")]);
        assert_eq!((found.compared, found.equal), (1, 1));
        let lone = [("fs/old.ko".to_owned(), false), ("net/new.ko".to_owned(), true)];
        assert_eq!(found.lone, lone);
    }
}
