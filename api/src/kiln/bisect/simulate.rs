//! `kiln bisect simulate`: bisections of made-up histories, by the real planner and by other rules.

use clap::ValueEnum;
use kiln_bisect::plan::Settings;
use kiln_bisect::simulate::{self, Policy, Shape, Summary, World};

use crate::kiln::build::cores;
use crate::kiln::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::text::percent;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Probability that one run of a bad kernel shows the crash
    #[arg(long, value_name = "P", default_value_t = 0.2, value_parser = rate)]
    p: f64,
    /// Bisections to play
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    trials: u32,
    /// The same seed gives the same answer
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Commits between the good and the bad end
    #[arg(long, value_name = "N", default_value_t = 6693, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    commits: u32,
    /// Form of the history
    #[arg(long, value_enum, default_value_t)]
    graph: Graph,
    /// Share of the commits that change the image
    #[arg(long, value_name = "F", default_value_t = 1.0, value_parser = share)]
    changing: f64,
    /// Machines side by side
    #[arg(long, value_name = "V", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    machines: u32,
    /// Builds side by side while machines run; 0: a build and runs take turns
    #[arg(long, value_name = "W", default_value_t = 0)]
    builders: u32,
    /// All that builds is built when the bisection begins
    #[arg(long)]
    warm: bool,
    /// What goes wrong beside the bug
    #[arg(long, value_enum, default_value_t)]
    world: Name,
    /// Who bisects
    #[arg(long, value_enum, default_value_t)]
    policy: Who,
    /// Name a culprit at this probability
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = super::confidence)]
    confidence: f64,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Graph {
    /// One parent each
    #[default]
    Linear,
    /// Topic branches of about 12 commits, forking from older points
    Merges,
}

/// The worlds of design section 7.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Name {
    /// Host faults, unrelated crashes, a second bug, spans that don't build
    #[default]
    Main,
    /// The rate varies from image to image by 0.3 of itself (coefficient of variation)
    #[value(name = "drift-0.3")]
    Drift03,
    /// The rate varies by half of itself
    #[value(name = "drift-0.5")]
    Drift05,
    /// The rate varies by all of itself
    #[value(name = "drift-1")]
    Drift1,
    /// In 30 % of the trials the bug is older than the good end
    Older,
    /// 0.2 % of all runs show the target's title for another cause
    SameTitle,
    /// 30 % of the bug's crashes bear another title
    OtherTitles,
    /// 30 % of the runs fail for the host's reasons
    Infra,
    /// 5 % of all runs crash for an unrelated reason, mostly under a title of its own
    Noisy,
    /// 2 % of the commits change files of the functions that crashed; the culprit is one of them as
    /// often as in public bisections: in 27 of 33
    Suspects,
    /// The same, and the culprit is none of them
    FalseSuspects,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Who {
    /// The planner that `kiln bisect` uses
    #[default]
    Kiln,
    /// `git bisect run`, one run a revision
    Git,
    /// `git bisect run`, ten runs a revision, bad when one crashes
    #[value(name = "git-10")]
    Git10,
    /// syzkaller's rules of 2021: one crash of any title is bad
    #[value(name = "syzkaller-2021")]
    Syzkaller2021,
    /// syzkaller's rules since 2024: bad needs two crashes, good half of the runs clean
    #[value(name = "syzkaller-2026")]
    Syzkaller2026,
    /// `git bayesect run`: one run at a time where it leaves least entropy; any crash is bad
    Bayesect,
}

impl Args {
    fn world(&self) -> World {
        let mut world = World {
            rate: self.p,
            commits: self.commits,
            changing: self.changing,
            machines: self.machines,
            builders: self.builders,
            warm: self.warm,
            shape: match self.graph {
                Graph::Linear => Shape::Linear,
                Graph::Merges => Shape::Merges,
            },
            ..World::default()
        };
        match self.world {
            Name::Main => {}
            Name::Drift03 => world.drift = 0.3,
            Name::Drift05 => world.drift = 0.5,
            Name::Drift1 => world.drift = 1.0,
            Name::Older => world.older = 0.3,
            Name::SameTitle => world.same_title = 0.002,
            Name::OtherTitles => world.other_title = 0.3,
            Name::Infra => world.infra = 0.3,
            Name::Noisy => world.unrelated = 0.05,
            Name::Suspects => (world.suspects, world.suspected) = (0.02, 27.0 / 33.0),
            Name::FalseSuspects => world.suspects = 0.02,
        }
        world
    }

    fn policy(&self) -> Policy {
        match self.policy {
            Who::Kiln => {
                let settings = Settings { threshold: self.confidence, ..Settings::default() };
                Policy::Kiln(Box::new(settings))
            }
            Who::Git => Policy::Git { runs: 1 },
            Who::Git10 => Policy::Git { runs: 10 },
            Who::Syzkaller2021 => Policy::Syzkaller2021,
            Who::Syzkaller2026 => Policy::Syzkaller2026,
            Who::Bayesect => Policy::Bayesect,
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let (world, policy) = (args.world(), args.policy());
    let progress = context.progress();
    progress.status(format!("playing {} bisections of {} commits", args.trials, args.commits));
    let (trials, seed) = (args.trials, args.seed);
    let played =
        tokio::task::spawn_blocking(move || simulate::run(&world, &policy, trials, seed, cores()));
    let summary = played.await?;
    progress.clear();
    if context.json {
        answer_json(&summary)?;
    } else {
        print(&summary);
    }
    Ok(Exit::Done)
}

fn print(summary: &Summary) {
    answer(format_args!("trials         {}", summary.trials));
    answer(format_args!("right          {}", percent(summary.right)));
    answer(format_args!("wrong          {}", percent(summary.wrong)));
    let silent = percent(summary.inconclusive);
    if summary.inconclusive > 0.0 {
        answer(format_args!(
            "inconclusive   {silent}; the truth is among the commits left in {} of them",
            percent(summary.set_contains_truth)
        ));
    } else {
        answer(format_args!("inconclusive   {silent}"));
    }
    answer(format_args!("builds         {:.1} on average", summary.builds));
    answer(format_args!("runs           {:.1}", summary.runs));
    answer(format_args!(
        "hours          {:.2}, {:.2} times the lower bound of any method",
        summary.hours,
        summary.hours / summary.lower_bound_hours
    ));
    for bin in &summary.calibration {
        let (sure, right) = (percent(bin.probability), percent(bin.right));
        answer(format_args!("{:<14} {} answers given with {sure}", "calibration", bin.answers));
        answer(format_args!("{:<14} {right} of them right", ""));
    }
}

/// What is rarer no bisection could hunt.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1.0).contains(&rate) => Ok(rate),
        _ => Err(format!("'{text}' is no such probability: give a number from 0.001 to 1")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err(format!("'{text}' is no share: give a number above 0 and up to 1")),
    }
}
