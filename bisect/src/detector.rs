//! Whether a commit made a bug visible (or hid it) rather than brought it (or mended it): what the
//! crashing kernel has that the clean one beside it lacks.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

/// Options (without their prefix) that watch for bugs; they bring none.
const WATCHERS: &str = "^(KASAN|KMSAN|KCSAN|KFENCE|UBSAN|KCOV|LOCKDEP|PROVE_|DEBUG_|DETECT_|\
    SOFTLOCKUP_DETECTOR|HARDLOCKUP_DETECTOR|WQ_WATCHDOG|FORTIFY_SOURCE|HARDENED_USERCOPY|\
    BUG_ON_DATA_CORRUPTION|PANIC_ON_|FAULT_INJECTION|FAIL|INIT_ON_|STACKPROTECTOR|\
    SCHED_STACK_END_CHECK|LOCK_STAT|RCU_CPU_STALL|GENERIC_BUG$|BUG$)";

/// Other options that are named one by one, at most.
const NAMED: usize = 5;

/// What is known of a kernel beside its runs.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// Its complete configuration.
    pub config: Option<&'a str>,
    /// Its `System.map`.
    pub symbols: Option<&'a str>,
}

/// What the crashing kernel has, and the clean one not, that may be why only one shows the crash;
/// sentences for people. `reproducer` is the source of what provokes it.
///
/// Sees configuration and system calls. Does not see devices or file systems that the commit brings.
pub fn visible_only(
    crashing: Kernel<'_>,
    clean: Kernel<'_>,
    reproducer: Option<&str>,
) -> Vec<String> {
    let mut said = Vec::new();
    if let (Some(crashing), Some(clean)) = (crashing.config, clean.config) {
        said.extend(options(crashing, clean));
    }
    for call in missing_calls(crashing, clean, reproducer) {
        said.push(format!(
            "only the kernel that crashes has the system call {call}, which the reproducer makes"
        ));
    }
    said
}

/// Beginnings of titles, and the options (without their prefix, by all the names that they had) one of
/// which a kernel needs to tell of such a bug.
const NEEDED: [(&str, &[&str]); 13] = [
    ("KASAN:", &["KASAN"]),
    ("KMSAN:", &["KMSAN"]),
    ("KCSAN:", &["KCSAN"]),
    ("KFENCE:", &["KFENCE"]),
    ("UBSAN:", &["UBSAN"]),
    ("memory leak in", &["DEBUG_KMEMLEAK"]),
    ("possible deadlock in", &["LOCKDEP"]),
    ("inconsistent lock state in", &["LOCKDEP"]),
    ("WARNING: suspicious RCU usage", &["PROVE_RCU"]),
    ("WARNING: ODEBUG bug", &["DEBUG_OBJECTS"]),
    ("BUG: sleeping function called", &["DEBUG_ATOMIC_SLEEP", "DEBUG_SPINLOCK_SLEEP"]),
    ("BUG: soft lockup in", &["SOFTLOCKUP_DETECTOR", "LOCKUP_DETECTOR", "DETECT_SOFTLOCKUP"]),
    ("INFO: task hung in", &["DETECT_HUNG_TASK", "DETECT_SOFTLOCKUP"]),
];

/// Why an older kernel can't show a crash of this title, though the crashing one does: it has not what
/// tells of such bugs, or a system call that the reproducer makes. Nothing when it can, or when
/// nobody knows.
pub fn lacks(
    title: &str,
    crashing: Kernel<'_>,
    older: Kernel<'_>,
    reproducer: Option<&str>,
) -> Option<String> {
    let needed = NEEDED.iter().find(|(begins, _)| title.starts_with(begins));
    if let (Some((_, options)), Some(with), Some(without)) = (needed, crashing.config, older.config)
    {
        let (with, without) = (values(with), values(without));
        let has = |config: &BTreeMap<&str, &str>| {
            options.iter().any(|option| config.contains_key(option))
        };
        if has(&with) && !has(&without) {
            return Some(format!(
                "it has no CONFIG_{}, without which it tells nothing",
                options[0]
            ));
        }
    }
    let call = missing_calls(crashing, older, reproducer).into_iter().next()?;
    Some(format!("it has no system call {call}, which the reproducer makes"))
}

/// System calls that a reproducer makes, and of which only the first kernel has an entry.
fn missing_calls<'a>(
    crashing: Kernel<'a>,
    clean: Kernel<'_>,
    reproducer: Option<&str>,
) -> Vec<&'a str> {
    let (Some(crashing), Some(clean), Some(source)) = (crashing.symbols, clean.symbols, reproducer)
    else {
        return Vec::new();
    };
    // Before 4.17 no entry has such a name, which says nothing of what there is.
    let without = calls(clean);
    if without.is_empty() {
        return Vec::new();
    }
    let only = calls(crashing).into_iter().filter(|call| !without.contains(call));
    only.filter(|call| makes(source, call)).collect()
}

fn options(crashing: &str, clean: &str) -> Vec<String> {
    let watcher = Regex::new(WATCHERS).ok();
    let (crashing, clean) = (values(crashing), values(clean));
    let (mut said, mut others) = (Vec::new(), Vec::new());
    let names: BTreeSet<&str> = crashing.keys().chain(clean.keys()).copied().collect();
    for name in names {
        let here = crashing.get(name).copied().unwrap_or("n");
        let there = clean.get(name).copied().unwrap_or("n");
        if here == there {
            continue;
        }
        let watches = watcher.as_ref().is_some_and(|watcher| watcher.is_match(name));
        if watches && there == "n" {
            said.push(format!(
                "CONFIG_{name}, which watches for bugs, is on only in the kernel that crashes"
            ));
        } else {
            others.push(format!(
                "CONFIG_{name} is {here} in the kernel that crashes, {there} in the other"
            ));
        }
    }
    let more = others.len().saturating_sub(NAMED);
    said.extend(others.into_iter().take(NAMED));
    if more > 0 {
        said.push(format!("{more} more options differ"));
    }
    said
}

/// Options that have a value, without their prefix.
fn values(config: &str) -> BTreeMap<&str, &str> {
    let option = |line| {
        let (name, value) = str::split_once(str::strip_prefix(line, "CONFIG_")?, '=')?;
        Some((name, value))
    };
    config.lines().filter_map(option).collect()
}

/// System calls by the entries that `SYSCALL_DEFINE` makes: "openat", "io_uring_setup".
fn calls(symbols: &str) -> BTreeSet<&str> {
    let prefixes = ["__x64_sys_", "__arm64_sys_", "__riscv_sys_", "__s390x_sys_"];
    symbols
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .filter_map(|name| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)))
        .collect()
}

/// Whether a source makes a system call, by its name or its number's.
fn makes(source: &str, call: &str) -> bool {
    let pattern = format!(r"\b(__NR_|SYS_)?{}\b", regex::escape(call));
    Regex::new(&pattern).is_ok_and(|pattern| pattern.is_match(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel<'a>(config: &'a str, symbols: &'a str) -> Kernel<'a> {
        Kernel { config: Some(config), symbols: Some(symbols) }
    }

    #[test]
    fn a_sanitizer_that_only_one_side_has_is_named() {
        let crashing = kernel("CONFIG_KASAN=y\nCONFIG_FOO=y\nCONFIG_BAR=m\n", "");
        let clean = kernel("# CONFIG_KASAN is not set\nCONFIG_FOO=y\n", "");
        let said = visible_only(crashing, clean, None);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("CONFIG_KASAN, which watches"), "{said:?}");
        assert!(said[1].starts_with("CONFIG_BAR is m"), "{said:?}");
        assert!(visible_only(clean, clean, None).is_empty());
    }

    #[test]
    fn a_kernel_that_does_not_watch_can_t_show_what_is_watched_for() {
        let with =
            kernel("CONFIG_KASAN=y\nCONFIG_FOO=y\n", "1 T __x64_sys_new\n1 T __x64_sys_old\n");
        let without = kernel("CONFIG_FOO=y\n", "1 T __x64_sys_old\n");
        let title = "KASAN: use-after-free Read in foo";
        let why = lacks(title, with, without, None).unwrap();
        assert!(why.contains("CONFIG_KASAN"), "{why}");
        assert_eq!(lacks(title, with, with, None), None);
        // Neither is watched for in the kernel that crashes, nor by what another kernel lacks.
        assert_eq!(lacks(title, without, without, None), None);
        assert_eq!(lacks("WARNING in foo", with, without, None), None);
        let why = lacks("WARNING in foo", with, without, Some("syscall(__NR_new)")).unwrap();
        assert!(why.contains("system call new"), "{why}");
        assert_eq!(lacks("WARNING in foo", with, without, Some("syscall(__NR_old)")), None);
        let ancient = kernel("CONFIG_FOO=y\n", "1 T sys_new\n");
        assert_eq!(lacks("WARNING in foo", with, ancient, Some("syscall(__NR_new)")), None);
    }

    #[test]
    fn a_system_call_that_is_new_and_used_is_named() {
        let old = "ffffffff81000000 T __x64_sys_openat\n";
        let new =
            "ffffffff81000000 T __x64_sys_openat\nffffffff81000010 T __x64_sys_io_uring_setup\n";
        let source = "int fd = syscall(__NR_io_uring_setup, 8, &params);";
        let said = visible_only(kernel("", new), kernel("", old), Some(source));
        assert!(said.len() == 1 && said[0].contains("io_uring_setup"), "{said:?}");
        let other = "int fd = my_io_uring_setup_test();";
        assert!(visible_only(kernel("", new), kernel("", old), Some(other)).is_empty());
        assert!(visible_only(kernel("", old), kernel("", new), Some(source)).is_empty());
    }
}
