//! The text of a configuration, without running anything.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::recipe::{PINNED_OPTIONS, RANDOM, UNREPEATABLE};

/// An option that did not get the value that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// With its prefix, "CONFIG_KASAN".
    pub option: String,
    /// As given; "n" when it was asked to be off.
    pub asked: String,
    /// What the tree made of it; "n" when off or unknown there.
    pub got: String,
    /// Kiln's recipe sets this option, so it is not the tree's doing.
    pub pinned: bool,
}

impl fmt::Display for ConfigChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, asked, got, pinned } = self;
        let why = if *pinned {
            "Kiln's recipe sets it so that images repeat"
        } else if got == "n" {
            "its dependencies are not met in this tree, or the tree does not have it"
        } else {
            "the tree forces it"
        };
        write!(f, "{option}: asked {asked}, got {got} ({why})")
    }
}

/// Values by option (with its prefix, "CONFIG_KASAN") of a configuration's text. The last assignment counts, as for Kconfig; an option that is "not set" is
/// "n".
pub fn parse(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if let Some(off) = line.strip_prefix("# CONFIG_") {
        let name = off.strip_suffix(" is not set")?;
        return Some((&line[2..2 + "CONFIG_".len() + name.len()], "n"));
    }
    let (name, value) = line.split_once('=')?;
    name.starts_with("CONFIG_").then_some((name, value))
}

/// The text without empty lines and remarks, which Kconfig passes over (`conf_read_simple` in
/// `scripts/kconfig/confdata.c`): two that differ in nothing else are one configuration. A line that
/// says what is "not set" begins like a remark; of its second character some releases ask nothing.
pub(crate) fn settings(text: &str) -> String {
    let says = |line: &&str| match line.as_bytes() {
        [b'\n'] => false,
        [b'#', rest @ ..] => rest.get(1..).is_some_and(|rest| rest.starts_with(b"CONFIG_")),
        _ => true,
    };
    text.split_inclusive('\n').filter(says).collect()
}

/// Whether an option is `y` or `m`.
pub(crate) fn is_set(text: &str, option: &str) -> bool {
    matches!(parse(text).get(option), Some(&("y" | "m")))
}

/// The text that goes to `olddefconfig`: as given, with the recipe's own options set.
pub fn with_pinned_options(given: &str) -> String {
    let asked = parse(given);
    let mut text = given.to_owned();
    for pinned in PINNED_OPTIONS {
        let value = asked.get(pinned.name).copied();
        if value.is_none_or(|value| value == pinned.unless_other_than) {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            // A second assignment overrides the first; Kconfig says so on its error stream.
            text += &format!("{}={}\n", pinned.name, pinned.value);
        }
    }
    text
}

/// Options of `given` that came out with another value.
pub(crate) fn changes(given: &str, normalized: &str) -> Vec<ConfigChange> {
    let got: HashMap<&str, &str> = parse(normalized).into_iter().collect();
    parse(given)
        .into_iter()
        .map(|(option, asked)| (option, asked, got.get(option).copied().unwrap_or("n")))
        .filter(|(_, asked, got)| !same_value(asked, got))
        .map(|(option, asked, got)| ConfigChange {
            option: option.to_owned(),
            asked: asked.to_owned(),
            got: got.to_owned(),
            pinned: PINNED_OPTIONS.iter().any(|p| p.name == option && p.value == got),
        })
        .filter(|change| !is_description(&change.option))
        .collect()
}

/// An option that is off has no value of its own: "", 0 and n say the same of one that is absent.
fn same_value(asked: &str, got: &str) -> bool {
    asked == got || (got == "n" && matches!(asked, "\"\"" | "0" | "0x0"))
}

/// Options that only describe the compiler in use; nobody asks for them.
fn is_description(option: &str) -> bool {
    let name = option.trim_start_matches("CONFIG_");
    [
        "CC_",
        "GCC_",
        "CLANG_",
        "LD_",
        "LLD_",
        "AS_",
        "RUSTC_",
        "BINDGEN_",
        "PAHOLE_",
        "TOOLS_SUPPORT_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
        && !name.starts_with("CC_OPTIMIZE")
        && !name.starts_with("GCC_PLUGIN")
        && !name.starts_with("LD_DEAD_CODE")
}

/// How many changed options are written out in notes.
const WRITTEN_OUT: usize = 20;

/// Sentences for people: what was changed, what can't be made to repeat by a build, which may have
/// namespaces of its own, and what was made to.
pub(crate) fn notes(changes: &[ConfigChange], normalized: &str, confined: bool) -> Vec<String> {
    let mut notes: Vec<String> =
        changes.iter().take(WRITTEN_OUT).map(ConfigChange::to_string).collect();
    if changes.len() > WRITTEN_OUT {
        let more = changes.len() - WRITTEN_OUT;
        notes.push(format!("{more} more options came out otherwise than asked"));
    }
    let values = parse(normalized);
    let set = |option| values.get(option) == Some(&"y");
    let random = if confined { &[] } else { RANDOM };
    for (option, why) in UNREPEATABLE.iter().chain(random).filter(|(option, _)| set(*option)) {
        notes.push(format!("{option}=y: {why}, so equal sources may give different images"));
    }
    for (option, _) in RANDOM.iter().filter(|(option, _)| confined && set(*option)) {
        notes.push(format!(
            "{option}=y: its random numbers are the same, public ones in all builds of Kiln's; it \
             protects nobody to whom this kernel is shipped"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(given: &str, normalized: &str) -> Vec<String> {
        changes(given, normalized).iter().map(ConfigChange::to_string).collect()
    }

    #[test]
    fn remarks_set_nothing() {
        let text = "# one\n\n#\nCONFIG_A=y\n# CONFIG_B is not set\n## CONFIG_C is not set\n  # x\n#CONFIG_D";
        assert_eq!(settings(text), "CONFIG_A=y\n# CONFIG_B is not set\n  # x\n");
        assert_eq!(
            settings("CONFIG_A=\"#é\"\n#é\n#-CONFIG_B is not set"),
            "CONFIG_A=\"#é\"\n#-CONFIG_B is not set"
        );
    }

    #[test]
    fn the_last_assignment_counts() {
        let values = parse("CONFIG_A=y\n# CONFIG_B is not set\n# a comment\nCONFIG_A=m\nA=1\n");
        assert_eq!(values, BTreeMap::from([("CONFIG_A", "m"), ("CONFIG_B", "n")]));
        assert!(
            is_set("CONFIG_A=m\n", "CONFIG_A") && !is_set("# CONFIG_A is not set\n", "CONFIG_A")
        );
    }

    #[test]
    fn tells_what_was_asked_and_what_came_out() {
        let given =
            "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x\"\nCONFIG_GONE=y\nCONFIG_D=m\n";
        let normalized = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=\"x\"\nCONFIG_NEW=y\nCONFIG_D=y\n";
        let list = changed(given, normalized);
        assert_eq!(list.len(), 3, "{list:?}");
        assert!(list[0].starts_with("CONFIG_B: asked n, got y"));
        assert!(list[1].starts_with("CONFIG_D: asked m, got y"));
        assert!(list[2].starts_with("CONFIG_GONE: asked y, got n"));
    }

    #[test]
    fn what_nobody_asked_for_is_no_change() {
        let given = "CONFIG_GCC_VERSION=100200\nCONFIG_CC_VERSION_TEXT=\"gcc 10\"\nCONFIG_E=\"\"\n";
        assert_eq!(changed(given, "CONFIG_GCC_VERSION=120200\n"), Vec::<String>::new());
        assert_eq!(changed("CONFIG_CC_OPTIMIZE_FOR_SIZE=y\n", "").len(), 1);
    }

    #[test]
    fn pins_the_module_key_unless_it_is_the_users_own() {
        let name = "CONFIG_MODULE_SIG_KEY";
        let pinned = |given: &str| {
            let text = with_pinned_options(given);
            parse(&text).get(name).map(|value| (*value).to_owned())
        };
        assert_eq!(pinned("CONFIG_A=y").as_deref(), Some("\"\""));
        assert_eq!(pinned(&format!("{name}=\"certs/signing_key.pem\"\n")).as_deref(), Some("\"\""));
        assert_eq!(pinned(&format!("{name}=\"/my.pem\"\n")).as_deref(), Some("\"/my.pem\""));
        let given = format!("{name}=\"certs/signing_key.pem\"\n");
        let list = changed(&given, &format!("{name}=\"\"\n"));
        assert!(list[0].contains("Kiln's recipe"), "{list:?}");
    }

    #[test]
    fn a_kernel_is_not_made_for_the_processor_of_its_builder() {
        let name = "CONFIG_X86_NATIVE_CPU";
        let given = format!("{name}=y\nCONFIG_A=y\n");
        assert_eq!(parse(&with_pinned_options(&given)).get(name), Some(&"n"));
        let list = changed(&given, "CONFIG_A=y\n");
        assert!(list[0].contains("asked y, got n (Kiln's recipe"), "{list:?}");
    }

    #[test]
    fn notes_stay_short() {
        let given: String = (0..50).map(|n| format!("CONFIG_X{n}=y\n")).collect();
        let notes = |confined| notes(&changes(&given, ""), "CONFIG_RANDSTRUCT_FULL=y\n", confined);
        for (confined, word) in [(true, "public"), (false, "different images")] {
            let notes = notes(confined);
            assert_eq!(notes.len(), WRITTEN_OUT + 2);
            assert!(notes[WRITTEN_OUT].starts_with("30 more"));
            let last = &notes[WRITTEN_OUT + 1];
            assert!(last.contains("RANDSTRUCT_FULL") && last.contains(word), "{last}");
        }
    }
}
