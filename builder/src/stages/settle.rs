//! Comparing once the sources have changed.

use super::aside;
use super::plan::Plan;
use super::provenance::Stage;
use super::survey::{Survey, Unit};
use super::tokens::Tokens;
use crate::error::BuildError;
use crate::kbuild::Kbuild;
use crate::units::Invocation;

/// Objects that are compiled aside on the chance that a changed header gives the same: a declaration
/// that nobody uses, a line that moved.
const MOST_GUESSED: usize = 8;

/// What the comparison showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every object made from a changed file comes out as it is. To be confirmed by make.
    Same(Stage),
    /// One does not, or nobody knows.
    Differs {
        /// Why, for people.
        because: String,
        /// But for the lines they stand at, all tokens are the same.
        same_code: bool,
    },
}

/// Compares what the compilers give for the tree that the pair holds now with what they gave before.
pub(crate) fn settle(kbuild: &Kbuild<'_>, survey: &Survey) -> Result<Outcome, BuildError> {
    let differs = |because: String| Outcome::Differs { because, same_code: false };
    match &survey.plan {
        Plan::Compile(reason) => return Ok(differs(reason.to_string())),
        Plan::Evaluate if survey.base.allows(Stage::Commands) => {
            return Ok(Outcome::Same(Stage::Commands));
        }
        Plan::Evaluate => return Ok(differs("an audit has revoked this stage".into())),
        Plan::Compare { .. } => {}
    }
    let units = &survey.units;
    let expanded = now(kbuild, units, true)?;
    let agree = |part: fn(&Tokens) -> kiln_cache::Digest| {
        let mut pairs = units.iter().zip(&expanded);
        pairs.find(|(unit, now)| match (&unit.expanded, now) {
            (Some(before), Some(now)) => part(before) != part(now),
            _ => true,
        })
    };
    if let Some((unit, _)) = agree(|tokens| tokens.files) {
        return Ok(differs(format!("{} includes other files", unit.object)));
    }
    let moved = agree(|tokens| tokens.placed);
    if moved.is_none() && survey.tokens_decide() && survey.base.allows(Stage::Tokens) {
        return Ok(Outcome::Same(Stage::Tokens));
    }
    let comments_only = matches!(survey.plan, Plan::Compare { comments_only: true, .. });
    let same_code = moved.is_none() || (comments_only && same_text(kbuild, units)?);
    if let Some((unit, _)) = moved
        && !same_code
        && !(units.len() <= MOST_GUESSED && survey.is_of_headers())
    {
        return Ok(differs(format!("{} is given other tokens", unit.object)));
    }
    if !survey.base.allows(Stage::Objects) {
        let because = "an audit has revoked this stage".into();
        return Ok(Outcome::Differs { because, same_code });
    }
    let invocations: Vec<(&Invocation, &str)> =
        units.iter().map(|unit| (&unit.invocation, unit.object.as_str())).collect();
    let same = aside::gives_the_same(kbuild, &invocations)?;
    Ok(match units.iter().zip(same).find(|(_, same)| !same) {
        None => Outcome::Same(Stage::Objects),
        Some((unit, _)) => {
            Outcome::Differs { because: format!("{} comes out otherwise", unit.object), same_code }
        }
    })
}

fn now(
    kbuild: &Kbuild<'_>,
    units: &[Unit],
    lines: bool,
) -> Result<Vec<Option<Tokens>>, BuildError> {
    let invocations: Vec<&Invocation> = units.iter().map(|unit| &unit.invocation).collect();
    aside::preprocess(kbuild, &invocations, lines)
}

/// Whether the text is the same but for lines, with `__LINE__` left a word.
fn same_text(kbuild: &Kbuild<'_>, units: &[Unit]) -> Result<bool, BuildError> {
    let plain = now(kbuild, units, false)?;
    Ok(units.iter().zip(plain).all(|(unit, now)| match (&unit.plain, now) {
        (Some(before), Some(now)) => before.text == now.text,
        _ => false,
    }))
}
