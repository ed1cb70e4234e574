//! `kiln show`: a build of the store.

use std::path::PathBuf;

use kiln_cache::manifest::{BuildResult, Manifest};

use super::build::print_identity;
use super::common::{Context, answer, answer_json, when};
use super::pull::find_named;
use crate::terminal::exit::Exit;
use crate::terminal::text::{duration, hanging};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A revision, input key, signature or build id; of these 8 digits are enough when no other
    /// build has them
    build: String,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
}

/// Other commits that are shown of those which lead to a build.
const COMMITS: u32 = 10;

/// In the place of a commit that nobody said.
const UNTOLD: &str = "not told (first pushed without --commit)";

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    let (asked, manifest) = find_named(&store, &args.build, &args.repo).await?;
    if context.json {
        answer_json(&manifest)?;
        return Ok(Exit::Done);
    }
    answer(format_args!("commit     {}", manifest.told_commit().unwrap_or(UNTOLD)));
    if is_another_commit(&asked, &manifest) {
        answer(format_args!("asked for  {asked}, which gives the same build"));
    }
    let others = store.commits_of(&manifest.input_key, COMMITS + 2).await?;
    let others = others.iter().filter(|it| **it != manifest.commit && **it != asked);
    for (n, commit) in others.enumerate() {
        if n == COMMITS as usize {
            answer("           and more");
            break;
        }
        answer(format_args!("{:<11}{commit}", if n == 0 { "also for" } else { "" }));
    }
    let made = when(manifest.created);
    if manifest.is_pushed() {
        answer(format_args!("input key  {}", manifest.input_key));
        answer(format_args!("pushed     {made} UTC: how it was compiled was not told"));
    } else {
        answer(format_args!("tree       {}", manifest.input.tree));
        answer(format_args!("input key  {}", manifest.input_key));
        let took = duration(manifest.seconds);
        answer(format_args!("made       {made} UTC, compiled in {took}"));
        answer(hanging("compiler   ", &manifest.compiler));
    }
    if let BuildResult::Failed { errors } = &manifest.result {
        answer("result     does not build; first errors:");
        for error in errors {
            answer(format_args!("  {error}"));
        }
    }
    print_identity(&manifest);
    Ok(Exit::Done)
}

/// Whether a build was asked for by a commit that it was not made of: one of the same tree, or one
/// that is proved to give the same.
fn is_another_commit(asked: &str, manifest: &Manifest) -> bool {
    let names_a_commit = asked.len() == 40 && asked.bytes().all(|byte| byte.is_ascii_hexdigit());
    names_a_commit && asked != manifest.commit && manifest.build_id.as_deref() != Some(asked)
}
