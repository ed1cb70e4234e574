//! `kiln diff`: which functions and data differ between two kernels.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_cache::build_draft::{VMLINUX, VMLINUX_O};
use kiln_cache::signature::symbols::{
    SymbolChange, SymbolKind, diff, is_linked, linked_symbols_of, symbols_of,
};

use super::common::{Context, answer, answer_json};
use super::kernels::locate;
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::table::render;

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

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let progress = context.progress();
    let folder = tempfile::tempdir().context("no folder for temporary files")?;
    let mut files = Vec::with_capacity(2);
    for (side, name) in [("before", &args.before), ("after", &args.after)] {
        progress.status(format!("getting {name}"));
        let file = object(context, name, &args.repo, &folder.path().join(side)).await;
        files.push(file.inspect_err(|_| progress.clear())?);
    }
    progress.status("comparing");
    let compared = tokio::task::spawn_blocking(move || {
        let linked = is_linked(&files[0])? || is_linked(&files[1])?;
        let read = if linked { linked_symbols_of } else { symbols_of };
        let (before, after) = std::thread::scope(|scope| {
            let before = scope.spawn(|| read(&files[0]));
            let after = read(&files[1]);
            (before.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), after)
        });
        Ok::<_, anyhow::Error>((diff(&before?, &after?), linked))
    })
    .await;
    progress.clear();
    let (changes, linked) = compared.context("comparing stopped")??;
    if linked {
        // Without relocations a call of something that moved can't be told from another call.
        progress.line(
            "a linked vmlinux: only names and sizes are compared; its vmlinux.o shows all changes",
        );
    }
    if context.json {
        answer_json(&changes)?;
    } else {
        print(&changes, linked);
    }
    Ok(Exit::Done)
}

/// The `vmlinux.o` that a name means: a file, one in a folder, or that of a build, which is put at
/// `place`.
async fn object(
    context: &Context,
    name: &str,
    repo: &Path,
    place: &Path,
) -> anyhow::Result<PathBuf> {
    // Beside a vmlinux there usually is the object that it was linked from.
    let beside = Path::new(name).with_file_name(VMLINUX_O);
    if Path::new(name).file_name().is_some_and(|it| it == VMLINUX) && beside.is_file() {
        return Ok(beside);
    }
    let mut files =
        locate(context, name, repo, place, VMLINUX_O, |artifact| artifact == VMLINUX_O).await?;
    files.remove(VMLINUX_O).ok_or_else(|| {
        let why = "its kernel makes none, or it was stored by an older Kiln";
        Fault::new(Exit::NotFound, format!("'{name}' has no {VMLINUX_O}: {why}")).into()
    })
}

/// One table a source file; then what has no file, and how many there are of each kind.
fn print(changes: &[SymbolChange], linked: bool) {
    for group in changes.chunk_by(|a, b| a.file == b.file) {
        let file = group.first().and_then(|it| it.file.as_deref());
        answer(file.unwrap_or("(source file not known)"));
        let rows: Vec<Vec<String>> = group.iter().map(row).collect();
        let table =
            render(&["what", "kind", "before", "after", "change", "name"], &rows, &[2, 3, 4]);
        for line in table.lines() {
            answer(line);
        }
        answer("");
    }
    answer(summary(changes, linked));
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

/// "1 function changed (+5 bytes), 2 data added", or that nothing differs.
fn summary(changes: &[SymbolChange], linked: bool) -> String {
    if changes.is_empty() {
        return match linked {
            true => "no name and no size differs (contents were not compared)",
            false => "no function and no data of vmlinux.o differs (see also: kiln explain)",
        }
        .to_owned();
    }
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
        assert_eq!(summary(&changes, false), "2 functions changed, 1 function added");
    }
}
