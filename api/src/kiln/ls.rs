//! `kiln ls`: the builds of the store, the last used first.

use std::path::PathBuf;

use kiln_cache::{BuildFilter, ListedBuild, Query};

use super::common::{Context, answer, day};
use super::pull::{find_named, selector};
use crate::terminal::exit::Exit;
use crate::terminal::table::render;
use crate::terminal::text::size;

/// Rows that are laid out together: a list may be longer than memory.
const ROWS: usize = 1000;

/// The columns of the table; numbers stand to the right.
const HEADING: [&str; 8] = ["build", "commit", "what", "made", "last used", "size", "names", "pin"];
const RIGHT: [usize; 2] = [5, 6];

/// The end of the help.
const COLUMNS: &str = "\
Columns:
  build      the first digits of its key, which every command takes for it
  commit     the one it was first built for; - where nobody said it
  what       built, failed (its sources do not compile), or pushed
  made       the day (UTC), and the day on which it was last asked for
  size       what its files take as they are; less is stored, see `kiln stats`
  names      commits that are known to lead to it";

#[derive(Debug, clap::Args)]
#[command(after_help = COLUMNS)]
pub(crate) struct Args {
    /// Only builds that this commit leads to: a name of it in --repo, or its first 8 digits or more
    #[arg(long, value_name = "COMMIT")]
    commit: Option<String>,
    /// Only builds of the configuration, toolchain and recipe of this build
    #[arg(long, value_name = "BUILD")]
    like: Option<String>,
    /// Only pinned builds
    #[arg(long)]
    pinned: bool,
    /// Only builds of sources that do not compile
    #[arg(long)]
    failed: bool,
    /// List so many at most; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 40)]
    limit: u64,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    let commit = args.commit.map(|name| selector(&name, &args.repo)).transpose()?;
    let like = match &args.like {
        Some(name) => Some(find_named(&store, name, &args.repo).await?.1.input_key),
        None => None,
    };
    let filter = BuildFilter {
        commit: commit.map(|digits| Query::parse(&digits)).transpose()?,
        like,
        pinned: args.pinned,
        failed: args.failed,
    };
    let limit = if args.limit == 0 { u64::MAX } else { args.limit };
    let mut list = List { json: context.json, rows: Vec::new(), said: 0, more: false };
    // One more than is shown says whether there are more.
    let mut each = |build: ListedBuild| match list.said == limit {
        true => list.more = true,
        false => list.add(&build),
    };
    store.list(&filter, limit.saturating_add(1), &mut each).await?;
    list.end();
    if list.more {
        let note = format!("there are more than these {limit}: --limit 0 lists all");
        context.progress().line(note);
    }
    Ok(Exit::Done)
}

/// What is printed of a list that comes build by build.
struct List {
    json: bool,
    /// Rows of the table that are not printed yet.
    rows: Vec<Vec<String>>,
    said: u64,
    more: bool,
}

impl List {
    fn add(&mut self, build: &ListedBuild) {
        self.said += 1;
        if self.json {
            // What can't be written as JSON is nothing that a build holds.
            let text = serde_json::to_string(build).unwrap_or_default();
            let before = if self.said == 1 { "[" } else { "," };
            answer(format_args!("{before}{text}"));
            return;
        }
        self.rows.push(row(build));
        if self.rows.len() == ROWS {
            self.print();
        }
    }

    /// Prints the rows at hand; the first time, with the heading.
    fn print(&mut self) {
        let table = render(&HEADING, &self.rows, &RIGHT);
        let is_first = self.said <= ROWS as u64;
        let skipped = if is_first { 0 } else { table.find('\n').map_or(0, |at| at + 1) };
        answer(table[skipped..].trim_end());
        self.rows.clear();
    }

    fn end(&mut self) {
        match (self.json, self.said) {
            (true, 0) => answer("[]"),
            (true, _) => answer("]"),
            (false, 0) => answer("no such build is here"),
            (false, _) if !self.rows.is_empty() => self.print(),
            (false, _) => {}
        }
    }
}

/// A build in the table. Cells are padded, so that all pages of a long list look alike.
fn row(build: &ListedBuild) -> Vec<String> {
    let what = match build {
        ListedBuild { built: false, .. } => "failed",
        _ if build.is_pushed() => "pushed",
        _ => "built",
    };
    let told = build.told_commit();
    // The name that was made up for it is none.
    let names = build.commits - u64::from(told.is_none()).min(build.commits);
    vec![
        format!("{:.12}", build.input_key.to_string()),
        format!("{:<12.12}", told.unwrap_or("-")),
        format!("{what:<6}"),
        day(build.created),
        day(build.last_use),
        format!("{:>8}", size(build.size)),
        names.to_string(),
        if build.pinned { "pin" } else { "" }.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use kiln_cache::{Digest, InputKey};

    use super::*;
    use crate::terminal::table::WIDTH;

    #[test]
    fn a_row_fits_80_columns_and_makes_nothing_up() {
        let told = ListedBuild {
            input_key: InputKey(Digest::of(b"build")),
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            tree: "f".repeat(40),
            family: InputKey(Digest::of(b"family")),
            image: None,
            built: true,
            seconds: 83.0,
            created: 0,
            last_use: 1_800_000_000,
            commits: 12_345,
            files: 4000,
            size: 812_300_000,
            pinned: true,
        };
        let pushed =
            ListedBuild { tree: told.commit.clone(), seconds: 0.0, commits: 1, ..told.clone() };
        let failed = ListedBuild { built: false, ..told.clone() };
        let rows: Vec<_> = [&told, &pushed, &failed].map(row).into();
        let table = render(&HEADING, &rows, &RIGHT);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        let words = |n: usize| table.lines().nth(n).unwrap().split_whitespace().collect::<Vec<_>>();
        let day = ["1970-01-01", "2027-01-15", "812.3", "MB"];
        assert_eq!(
            words(1)[1..],
            [&["0123456789ab", "built"], &day[..], &["12345", "pin"]].concat()
        );
        assert_eq!(words(2)[1..], [&["-", "pushed"], &day[..], &["0", "pin"]].concat());
        assert_eq!(words(3)[2], "failed");
    }
}
