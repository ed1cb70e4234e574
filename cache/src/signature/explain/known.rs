//! What is known of two builds besides the bytes of their kernels, and what that says of code that
//! differs.

use crate::input::BuildInput;

use super::banner::Banner;
use super::config::Config;
use super::objects::Objects;
use super::seeds::Seeds;
use super::{Cause, CauseKind, paths};

/// How many digits of an id are told.
const SHORT: usize = 12;

/// What was found out.
pub(super) struct Known<'a> {
    /// What a store says they were made from, if both are of one.
    pub(super) inputs: Option<[&'a BuildInput; 2]>,
    pub(super) banners: Option<[Banner; 2]>,
    pub(super) config: Option<Config>,
    pub(super) seeds: Seeds,
    pub(super) objects: Option<Objects>,
    /// Another linker script, as far as it was seen.
    pub(super) script: Option<Cause>,
    /// Prefixes of source paths in texts of the kernel.
    pub(super) paths: Option<paths::Moved>,
}

impl Known<'_> {
    /// Whether compilers and linkers say another version.
    pub(super) fn has_other_compiler(&self) -> bool {
        self.banners.as_ref().is_some_and(|[a, b]| a.compiler_cause(b).is_some())
    }

    /// Inputs that differ, by what was seen of them.
    pub(super) fn of_inputs(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        causes.extend(self.config.as_ref().filter(|it| !it.options.is_empty()).map(Config::cause));
        let compilers = self.banners.as_ref().and_then(|[a, b]| a.compiler_cause(b));
        if let Some([a, b]) = self.inputs {
            let differ = |kind, a: &str, b: &str| {
                let short = |id: &str| id.chars().take(SHORT).collect::<String>();
                (a != b).then(|| Cause::between(kind, &short(a), &short(b)))
            };
            let tools = [a, b].map(|it| it.toolchain.to_hex().to_string());
            let tools = differ(CauseKind::CompilerVersion, &tools[0], &tools[1]);
            causes.extend(compilers.or(tools));
            causes.extend(differ(CauseKind::Recipe, &a.recipe, &b.recipe));
            causes.extend(differ(CauseKind::Sources, &a.tree, &b.tree));
        } else {
            causes.extend(compilers);
        }
        causes.extend(self.seeds.layout_cause());
        causes
    }

    /// Why compiled code or data differs: inputs that do, or that nobody knows of any. `draws`: whether it
    /// has constants for entropy.
    pub(super) fn causes_of_code(&self, draws: bool) -> Vec<Cause> {
        let drawn = self.seeds.entropy_cause().filter(|_| draws);
        let causes: Vec<Cause> = drawn.into_iter().chain(self.of_inputs()).collect();
        if !causes.is_empty() {
            return causes;
        }
        let unknown = |why| vec![Cause::new(CauseKind::Unknown, why)];
        if draws && self.seeds.draws_entropy() {
            return unknown("perhaps constants for entropy, which are drawn");
        }
        if self.seeds.is_layout_unseen() {
            return unknown(
                "perhaps the seed of the layout of structures, which nothing here tells",
            );
        }
        let all_seen = self.config.is_some() && self.banners.is_some();
        match self.inputs {
            Some(_) => unknown("sources, configuration, toolchain and recipe are the same"),
            None if !all_seen => unknown("the configurations are not both at hand"),
            None => {
                let seen = "configuration and compiler's version are the same";
                vec![Cause::new(CauseKind::ChangedCode, seen)]
            }
        }
    }
}
