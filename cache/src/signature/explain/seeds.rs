//! Seeds that plugins of the compiler draw by, anew in each build from nothing unless they are fixed.

use crate::signature::mapping::ByteSource;

use super::config::Config;
use super::kernel::{Elves, Side};
use super::{Cause, CauseKind};

/// Options that have the layout of structures drawn (Linux, security/Kconfig.hardening; before 5.19 and
/// since).
const LAYOUT: [&str; 2] = ["CONFIG_GCC_PLUGIN_RANDSTRUCT", "CONFIG_RANDSTRUCT"];
/// The option that has constants for entropy drawn, and what they are mixed into (Linux,
/// mm/page_alloc.c, scripts/gcc-plugins/latent_entropy_plugin.c).
const ENTROPY: &str = "CONFIG_GCC_PLUGIN_LATENT_ENTROPY";
pub(super) const ENTROPY_POOL: &str = "latent_entropy";
/// What a kernel that loads modules says of the first seed (Linux, include/linux/vermagic.h).
const HASHED: &str = "RANDSTRUCT_";
const VERMAGIC: &[u8] = b"vermagic=";

/// A seed, in two builds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seed {
    /// Nothing is drawn.
    Unused,
    /// Something is, but by what can't be told.
    Unseen,
    Same,
    Differs(String, String),
}

impl Seed {
    fn of(is_used: bool, before: Option<String>, after: Option<String>) -> Self {
        match (before, after) {
            (Some(a), Some(b)) if a == b => Self::Same,
            (Some(a), Some(b)) => Self::Differs(a, b),
            _ if is_used => Self::Unseen,
            _ => Self::Unused,
        }
    }

    fn cause(&self, kind: CauseKind) -> Option<Cause> {
        match self {
            Self::Differs(a, b) => Some(Cause::between(kind, a, b)),
            _ => None,
        }
    }
}

/// Both seeds.
pub(super) struct Seeds {
    layout: Seed,
    entropy: Seed,
}

impl Seeds {
    /// `modules`: any module of each build.
    pub(super) fn of(
        elves: &Elves<'_>,
        config: Option<&Config>,
        modules: Option<[&dyn ByteSource; 2]>,
    ) -> Self {
        let used = |names: &[&str]| config.is_some_and(|it| it.has_any(names));
        let sides = [&elves.before, &elves.after];
        let own = sides.map(|it| layout_of(it.symbol_bytes("vermagic")?));
        let in_modules = modules.map(|it| it.map(|file| of_module(file.bytes())));
        let [before, after] = match (own, in_modules) {
            ([None, _] | [_, None], Some(of_modules)) => of_modules,
            (own, _) => own,
        };
        let value = |side: &Side<'_>| {
            let bytes = side.symbol_bytes(ENTROPY_POOL)?.first_chunk::<8>()?;
            Some(format!("{:016x}", u64::from_le_bytes(*bytes)))
        };
        // The pool begins with a constant of its own unit.
        let [one, other] = sides.map(|it| value(it).filter(|_| used(&[ENTROPY])));
        Self {
            layout: Seed::of(used(&LAYOUT), before, after),
            entropy: Seed::of(used(&[ENTROPY]), one, other),
        }
    }

    /// Another layout of structures, if it was seen.
    pub(super) fn layout_cause(&self) -> Option<Cause> {
        self.layout.cause(CauseKind::RandstructSeed)
    }

    /// Other constants for entropy, if they were seen.
    pub(super) fn entropy_cause(&self) -> Option<Cause> {
        self.entropy.cause(CauseKind::LatentEntropySeed)
    }

    /// Whether the layout of structures is drawn by a seed that nothing here tells.
    pub(super) fn is_layout_unseen(&self) -> bool {
        self.layout == Seed::Unseen
    }

    /// Whether constants for entropy are drawn.
    pub(super) fn draws_entropy(&self) -> bool {
        self.entropy != Seed::Unused
    }
}

/// The hash of the seed in a text that says what modules must match.
fn layout_of(vermagic: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(vermagic);
    let word = text.split([' ', '\0']).find_map(|it| it.strip_prefix(HASHED));
    word.map(str::to_owned)
}

/// The same of a module's file: of its first text that says it.
fn of_module(bytes: &[u8]) -> Option<String> {
    let at = memchr::memmem::find(bytes, VERMAGIC)? + VERMAGIC.len();
    layout_of(bytes[at..].split(|&byte| byte == 0).next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_where_it_is_said() {
        let text = b"6.1.0 SMP mod_unload RANDSTRUCT_0123abcd \0more";
        assert_eq!(layout_of(text), Some("0123abcd".to_owned()));
        assert_eq!(layout_of(b"6.1.0 SMP mod_unload \0RANDSTRUCT"), None);
        let module = b"\x7fELF\0license=GPL\0vermagic=6.1.0 RANDSTRUCT_77 \0";
        assert_eq!(of_module(module), Some("77".to_owned()));
        assert_eq!(of_module(b"\x7fELF\0license=GPL\0"), None);
    }

    #[test]
    fn what_can_not_be_told_is_not_said_to_be_the_same() {
        let seed = |text: &str| Some(text.to_owned());
        assert_eq!(Seed::of(true, seed("1"), None), Seed::Unseen);
        assert_eq!(Seed::of(false, None, None), Seed::Unused);
        assert_eq!(Seed::of(true, seed("1"), seed("1")), Seed::Same);
        let differs = Seed::of(false, seed("1"), seed("2"));
        let cause = differs.cause(CauseKind::RandstructSeed).unwrap();
        assert_eq!(cause.text(), "randstruct seed: '1' against '2'");
    }
}
