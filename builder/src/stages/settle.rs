//! Comparing once the sources have changed.

use super::aside;
use super::plan::{MOST_GUESSED, MOST_UNITS, Plan};
use super::survey::{Survey, Unit};
use super::tokens::Tokens;
use crate::error::BuildError;
use crate::ground::Stage;
use crate::kbuild::Kbuild;
use crate::units::Invocation;

/// What is said of so many objects that compiling them aside does not pay.
pub(super) const TOO_MANY: &str = "objects are more than is worth comparing";

/// What the comparison showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every object made from a changed file comes out as it is. To be confirmed by make.
    Same(Stage),
    /// One does not, or nobody knows: why, for people.
    Differs(String),
}

/// Compares what the compilers give for the tree that the pair holds now with what they gave before.
pub(crate) fn settle(kbuild: &Kbuild<'_>, survey: &Survey) -> Result<Outcome, BuildError> {
    let differs = Outcome::Differs;
    match survey.hoped() {
        Err(because) => return Ok(differs(because)),
        Ok(Stage::Commands) => return Ok(Outcome::Same(Stage::Commands)),
        Ok(_) => {}
    }
    let units = &survey.units;
    let expanded = now(kbuild, units)?;
    let agree = |part: fn(&Tokens) -> kiln_cache::Digest| {
        let mut pairs = units.iter().zip(&expanded);
        pairs.find(|(unit, now)| match (&unit.tokens, now) {
            (Some(before), Some(now)) => part(before) != part(now),
            _ => true,
        })
    };
    if let Some((unit, now)) = agree(|tokens| tokens.files) {
        let what = match unit.tokens.is_some() && now.is_some() {
            true => "includes other files",
            false => "is not decided by its tokens",
        };
        return Ok(differs(format!("{} {what}", unit.object)));
    }
    let moved = agree(|tokens| tokens.placed);
    if moved.is_none() && survey.tokens_decide() && survey.base.allows(Stage::Tokens) {
        return Ok(Outcome::Same(Stage::Tokens));
    }
    let comments_only = matches!(survey.plan, Plan::Compare { comments_only: true, .. });
    let most = match moved {
        None => MOST_UNITS,
        Some(_) if comments_only || survey.is_of_headers() => MOST_GUESSED,
        Some(_) => 0,
    };
    if units.len() > most {
        return Ok(differs(match moved {
            Some((unit, _)) => format!("{} is given other tokens", unit.object),
            None => format!("{} {TOO_MANY}", units.len()),
        }));
    }
    if !survey.base.allows(Stage::Objects) {
        return Ok(differs("an audit has revoked this stage".into()));
    }
    let invocations: Vec<(&Invocation, &str)> =
        units.iter().map(|unit| (&unit.invocation, unit.object.as_str())).collect();
    let same = aside::gives_the_same(kbuild, &invocations)?;
    Ok(match units.iter().zip(same).find(|(_, same)| !same) {
        None => Outcome::Same(Stage::Objects),
        Some((unit, _)) => differs(format!("{} comes out otherwise", unit.object)),
    })
}

fn now(kbuild: &Kbuild<'_>, units: &[Unit]) -> Result<Vec<Option<Tokens>>, BuildError> {
    let invocations: Vec<&Invocation> = units.iter().map(|unit| &unit.invocation).collect();
    aside::preprocess(kbuild, &invocations)
}
