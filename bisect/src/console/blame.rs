//! Finds the function that a report blames: the first one of its evidence that is no plumbing.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::item::{Item, Stack};
use super::name::Function;
use super::pattern;
use super::{dispatch, plumbing};

/// Where a kind of report has its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The title names no function.
    Nobody,
    /// The instruction that faulted; then its callers.
    Fault,
    /// The instruction that faulted, and nobody else.
    Pc,
    /// The stack of whoever reports.
    Stack,
    /// A trap that the compiler put in, so the same as for a fault; just a stack on architectures
    /// and releases where a warning is an ordinary call.
    Trap,
    /// The function that the first line names; then the stack below.
    Named,
    /// Where the lock was taken that the lines after these words tell of.
    Lock(&'static str),
    /// The same; then where the lock was taken that is held already; then the stack below.
    Locks(&'static str),
    /// The stack below the line with these words.
    Below(&'static str),
    /// Who allocated what nobody points to.
    Leaked,
    /// A processor loops: below the interrupt that noticed it, what common code called.
    Stall,
    /// A processor loops, or a stack is too deep: what common code called, below the fault.
    Loop,
    /// A task waits: what is below scheduler and locks.
    Wait,
}

/// A set of function names; empty matches none.
#[derive(Debug, Default)]
pub(crate) struct Names(Option<Regex>);

impl Names {
    pub(crate) fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        Self(pattern::names(names))
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|names| names.is_match(name))
    }
}

static PLUMBING: LazyLock<Names> = LazyLock::new(|| Names::new(plumbing::names()));
static DISPATCHERS: LazyLock<Names> = LazyLock::new(|| Names::new(dispatch::names()));
static PAGE_FAULTS: LazyLock<Names> = LazyLock::new(|| Names::new(dispatch::page_faults()));

/// A stack of a deliberate failure (`lib/fault-inject.c`) got into the report.
static INJECTED: LazyLock<Names> = LazyLock::new(|| Names::new(["should_fail*", "__should_fail*"]));

/// Where the timer's interrupt entered, which notices that a processor loops (`arch/*`).
static TIMER: LazyLock<Names> = LazyLock::new(|| {
    Names::new([
        "*apic_timer_interrupt*",
        "el1_irq",
        "el1h_64_irq",
        "__irq_svc",
        "call_on_irq_stack",
    ])
});

/// Scheduler and locks (`kernel/sched/`, `kernel/locking/`): a task that waits stands in them.
static WAITING: LazyLock<Names> = LazyLock::new(|| {
    Names::new([
        "*schedule*",
        "context_switch",
        "__switch_to*",
        "*_wait*",
        "*wait_*",
        "wait",
        "*_lock*",
        "mutex_*",
        "__mutex_*",
        "rwsem_*",
        "down_*",
        "__down_*",
        "*completion*",
        "rt_mutex_*",
        "__flush_work",
        "*cancel_work*",
        "*cancel_delayed_work*",
        "*rcu_barrier*",
        "__rela_dyn_start",
        "call_rwsem_*",
        "kthread_*",
        "__synchronize*",
        "percpu_*",
        "flush_work",
    ])
});

/// Waits that are so common that they, and not their callers, are the bug: for a grace period of
/// RCU (`kernel/rcu/`), under one name whatever its flavour; for the network's big lock.
const GRACE_PERIOD: [&[u8]; 4] =
    [b"synchronize_rcu", b"synchronize_srcu", b"synchronize_sched", b"synchronize_net"];
const BIG_LOCK: &[u8] = b"rtnl_lock";

/// Calls of other processors (`kernel/smp.c`): whoever waits for one that does not answer is
/// innocent, and the name differs between releases.
const CROSS_CALL: &[u8] = b"smp_call_function";

type Frames<'a> = Vec<&'a [u8]>;

/// The function that the evidence blames; none when the evidence is missing, has nothing but
/// plumbing, or is mixed with another stack. `lines` begin with the report's first;
/// `also` are names that are plumbing in this kind of report.
pub(crate) fn function(
    blame: Blame,
    lines: &[&[u8]],
    items: &[Item<'_>],
    also: &Names,
) -> Option<Function> {
    let after =
        |words: &str| lines.iter().position(|line| super::find(line, words.as_bytes()).is_some());
    match blame {
        Blame::Nobody => None,
        Blame::Fault => topmost(&fault(items)?, also),
        Blame::Pc => match items.iter().find(|item| matches!(item, Item::Pc(_)))? {
            Item::Pc(Some(name)) => topmost(&[*name], also),
            _ => None,
        },
        Blame::Stack => topmost(&stack(items, Stack::Own)?, also),
        Blame::Trap => match items.iter().position(|item| matches!(item, Item::Pc(Some(_)))) {
            Some(at) => topmost(&fault(&items[at..])?, also),
            None => topmost(&stack(items, Stack::Own)?, also),
        },
        Blame::Named => {
            let mut frames: Frames<'_> = named(lines.first()?).into_iter().collect();
            frames.extend(stack(items, Stack::Own).unwrap_or_else(|| bare(items)));
            topmost(&frames, also)
        }
        Blame::Lock(words) => {
            let at = after(words)?;
            items[at..].iter().find_map(lock).map(text).map(|name| Function::of(&name))
        }
        Blame::Locks(words) => {
            let at = after(words)?;
            let mut frames: Frames<'_> = items[at..].iter().filter_map(lock).take(2).collect();
            frames.extend(bare(&items[at..]));
            topmost(&frames, also)
        }
        Blame::Below(words) => topmost(&bare(&items[after(words)? + 1..]), also),
        Blame::Leaked => topmost(&stack(items, Stack::Leaked)?, also),
        Blame::Stall => entered(&interrupted(items)?, also),
        Blame::Loop => entered(&fault(items).or_else(|| stack(items, Stack::Own))?, also),
        Blame::Wait => waiting(&stack(items, Stack::Own)?),
    }
}

/// The functions that a report stands in, plumbing left out; the innermost first.
pub(crate) fn stood_in(items: &[Item<'_>], most: usize) -> Vec<String> {
    let at = |wanted: fn(&Item<'_>) -> bool| items.iter().position(wanted);
    let fault_at = at(|item| matches!(item, Item::Pc(Some(_))));
    let stack_at = at(|item| *item == Item::Heading(Stack::Own));
    let frames = match (fault_at, stack_at) {
        // Below a stack the registers of the program that was running are told.
        (Some(fault_at), at) if at.is_none_or(|at| fault_at < at) => fault(&items[fault_at..]),
        (_, Some(_)) => stack(items, Stack::Own),
        _ => None,
    };
    let mut names: Vec<String> = Vec::new();
    let frames = frames.unwrap_or_default();
    // Whatever called a dispatcher calls everything.
    for frame in frames.into_iter().take_while(|frame| !DISPATCHERS.has(frame)) {
        let name = text(frame);
        if names.len() < most && !PLUMBING.has(frame) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The function in a first line such as `BUG: KASAN: use-after-free in function+0x1/0x2`.
fn named(line: &[u8]) -> Option<&[u8]> {
    static IN: LazyLock<Regex> = LazyLock::new(|| pattern::compile(" in (?:.* )?{FUNCTION}"));
    pattern::names_in(&IN.captures(line)?).next()
}

fn lock<'a>(item: &Item<'a>) -> Option<&'a [u8]> {
    if let Item::Lock(name) = item { Some(name) } else { None }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// The functions of a run of frames; it ends where another stack begins.
fn bare<'a>(items: &[Item<'a>]) -> Frames<'a> {
    let mut frames = Vec::new();
    for item in items {
        match item {
            Item::Frame(name, caller) => {
                frames.push(*name);
                frames.extend(caller);
            }
            // The headline of this very stack may stand above it.
            Item::Heading(Stack::Own) if frames.is_empty() => {}
            Item::Heading(_) => break,
            _ => {}
        }
    }
    frames
}

/// The first stack of this kind; none without its heading.
fn stack<'a>(items: &[Item<'a>], kind: Stack) -> Option<Frames<'a>> {
    let at = items.iter().position(|item| *item == Item::Heading(kind))?;
    Some(bare(&items[at + 1..]))
}

/// Where the processor was, and its callers; none when nothing says where.
fn fault<'a>(items: &[Item<'a>]) -> Option<Frames<'a>> {
    let at = items.iter().position(|item| matches!(item, Item::Pc(_)))?;
    let mut frames: Frames<'_> = match items[at] {
        Item::Pc(Some(name)) => vec![name],
        _ => Vec::new(),
    };
    frames.extend(bare(&items[at + 1..]));
    Some(frames)
}

/// What the timer's interrupt interrupted.
fn interrupted<'a>(items: &[Item<'a>]) -> Option<Frames<'a>> {
    let frame_at = |item: &Item<'_>| match item {
        Item::Frame(name, caller) => TIMER.has(name) || caller.is_some_and(|name| TIMER.has(name)),
        _ => false,
    };
    let at = items.iter().position(frame_at)?;
    let below = &items[at + 1..];
    Some(match below.iter().find(|item| matches!(item, Item::Pc(_) | Item::Heading(_))) {
        Some(Item::Pc(_)) => fault(below)?,
        _ => bare(below),
    })
}

/// The first function that is no plumbing.
fn topmost(frames: &[&[u8]], also: &Names) -> Option<Function> {
    for name in frames {
        if INJECTED.has(name) {
            return None;
        }
        let function = Function::of(&text(name));
        let shown = function.shown.as_bytes();
        let passed = |names: &Names| names.has(name) || names.has(shown);
        if !passed(&PLUMBING) && !passed(also) {
            return Some(function);
        }
    }
    None
}

/// The function that common code called.
fn entered(frames: &[&[u8]], also: &Names) -> Option<Function> {
    let frames: Vec<&[u8]> = frames
        .iter()
        .copied()
        .filter(|name| !PLUMBING.has(name) && !also.has(name) && !TIMER.has(name))
        .collect();
    let of = |names: &Names| frames.iter().position(|name| names.has(name));
    let cross = frames.iter().position(|name| name.starts_with(CROSS_CALL));
    let at = of(&DISPATCHERS).or_else(|| of(&PAGE_FAULTS));
    if let Some(cross) = cross.filter(|cross| at.is_none_or(|at| *cross <= at)) {
        return Some(Function::known_as(&text(frames[cross]), "smp_call_function"));
    }
    Some(Function::of(&text(frames[at?.saturating_sub(1)])))
}

/// The function that waits.
fn waiting(frames: &[&[u8]]) -> Option<Function> {
    // A task that waits injects nothing: the stack is another's.
    if frames.iter().any(|name| INJECTED.has(name)) {
        return None;
    }
    for name in frames {
        if GRACE_PERIOD.iter().any(|wait| super::find(name, wait).is_some()) {
            return Some(Function::known_as(&text(name), "synchronize_rcu"));
        }
        if name.starts_with(BIG_LOCK) {
            return Some(Function::called(&text(name)));
        }
        if !WAITING.has(name) && !PLUMBING.has(name) {
            return Some(Function::of(&text(name)));
        }
    }
    None
}
