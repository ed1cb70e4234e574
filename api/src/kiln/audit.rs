//! `kiln audit`: are proofs right?

use kiln_builder::audit::{Finding, Stratum, audit_report};

use super::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::table;
use crate::terminal::text::percent;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// How many proved builds were compiled anyway (`--audit` of `kiln build` and `kiln bisect`),
    /// and how many of them came out otherwise
    Report,
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    let Command::Report = command;
    let report = audit_report(&context.open_existing().await?).await?;
    let exit = if report.mismatches == 0 { Exit::Done } else { Exit::Corrupt };
    if context.json {
        answer_json(&report)?;
        return Ok(exit);
    }
    answer(format_args!("audited      {} kernels that were proved", report.audited));
    if report.audited > 0 {
        answer(format_args!("compiled     {} of them from nothing", report.from_nothing));
    }
    if report.unbuildable > 0 {
        answer(format_args!(
            "not counted  {} that were proved not to build, and did not",
            report.unbuildable
        ));
    }
    if report.compiled_upon > 0 {
        answer(format_args!(
            "not counted  {} compiled upon what a stage took: again, and the same",
            report.compiled_upon
        ));
    }
    if report.overlooked > 0 {
        answer(format_args!(
            "overlooked   something, by make upon the build audited before: {} times",
            report.overlooked
        ));
    }
    answer(format_args!("mismatches   {}", report.mismatches));
    if report.audited > 0 {
        answer(format_args!(
            "rate         below {} of proofs are wrong, with 95 % confidence",
            percent(report.upper_bound)
        ));
        let rows = |name: &str, it: &Stratum| {
            let (audited, mismatches) = (it.audited.to_string(), it.mismatches.to_string());
            vec![name.to_owned(), audited, mismatches, percent(it.upper_bound)]
        };
        let stages = report.stages.iter().map(|(stage, it)| rows(stage.name(), it)).collect();
        let kinds = report.kinds.iter().map(|(kind, it)| rows(kind, it)).collect();
        print("stage", stages);
        print("changed files", kinds);
    }
    for incident in &report.incidents {
        let Finding { commit, proved_by, stage, .. } = incident;
        let said = match incident.compiled_upon {
            false => format!("was proved by stage {stage} to be build"),
            true => format!("was compiled upon what stage {stage} took from build"),
        };
        let compiled = incident.compiled.map_or("another".to_owned(), |key| key.to_string());
        answer(format_args!(
            "\nMISMATCH: commit {commit}\n  {said}\n    {proved_by}\n  compiled, it is build\n    {compiled}"
        ));
    }
    Ok(exit)
}

fn print(what: &str, rows: Vec<Vec<String>>) {
    let heading = [what, "audited", "mismatches", "rate below"];
    answer(format_args!("\n{}", table::render(&heading, &rows, &[1, 2, 3]).trim_end()));
}
