//! Lines with `BUG:`: what the kernel itself calls a bug.

use super::format::{FAULT, Format, STACK};
use crate::console::choose::Choice;
use crate::console::walk::{Step, Walk};

/// Everything with `BUG:` but the sanitizers' reports, which come first.
pub(crate) const BUGS: [Format; 23] = [
    Format::new(
        "BUG: (?:unable to handle kernel paging request|unable to handle page fault for address|Unable to handle kernel data access)",
        "BUG: unable to handle kernel paging request in {f}",
    )
    .also(&["bad-access in {f}"])
    .walk(FAULT),
    Format::new(
        "BUG: (?:unable to handle kernel NULL pointer dereference|[kK]ernel NULL pointer dereference)",
        "BUG: unable to handle kernel NULL pointer dereference in {f}",
    )
    .also(&["bad-access in {f}"])
    .walk(FAULT),
    // Printed in two parts; the second got lost.
    Format::new("BUG: [uU]nable to handle kernel", "BUG: unable to handle kernel").damaged(),
    Format::new(
        "BUG: (spinlock|rwlock) (lockup suspected|already unlocked|recursion|cpu recursion|bad magic|wrong owner|wrong CPU|trylock failure on UP)",
        "BUG: {1} {2} in {f}",
    )
    .walk(STACK.skipping(&["spin_", "_lock", "_unlock"])),
    Format::new("BUG: soft lockup", "BUG: soft lockup in {f}")
        .also(&["stall in {f}"])
        .walk(FAULT.choosing(Choice::Entered)),
    Format::new("BUG: .*still has locks held!", "BUG: still has locks held in {1}")
        .then(&["{PC} +{FUNC}"]),
    Format::new("BUG: scheduling while atomic", "BUG: scheduling while atomic in {f}")
        .walk(STACK.skipping(&["schedule"])),
    Format::new(
        "BUG: lock held when returning to user space",
        "BUG: lock held when returning to user space in {1}",
    )
    .then(&["leaving the kernel with locks still held", "at: (?:{PC} +)?{FUNC}"])
    .untraced(),
    Format::new("BUG: bad unlock balance detected!", "BUG: bad unlock balance in {f}")
        .walk(UNLOCK),
    Format::new("BUG: held lock freed!", "BUG: held lock freed in {1}").then(&["{PC} +{FUNC}"]),
    Format::new("BUG: Bad rss-counter state", "BUG: Bad rss-counter state").untraced(),
    Format::new("BUG: non-zero nr_ptes on freeing mm", "BUG: non-zero nr_ptes on freeing mm")
        .untraced(),
    Format::new("BUG: non-zero nr_pmds on freeing mm", "BUG: non-zero nr_pmds on freeing mm")
        .untraced(),
    // The file system and the device say nothing of the bug.
    Format::new("BUG: Dentry .* still in use", "BUG: Dentry still in use in {1}")
        .here(r"still in use \([0-9]+\) \[(unmount) of ([^\]]+)\]")
    .also(&["BUG: Dentry still in use [{1} of {2}]"]),
    // Who finds the page is innocent; who allocated it may know.
    Format::new("BUG: Bad page (state|cache)", "BUG: Bad page {1} in {f}").walk(
        Walk::of(&[Step::Line("page last allocated"), Step::Trace]).skipping(&[
            "(?:free|put|get|update|release)_page",
            "free_unref",
            "^_*folio",
            "truncate_inode_pages",
            "page_frag_free",
            "alloc",
            "vmap",
            "page_owner",
        ]),
    ),
    Format::new("BUG: Bad page map", "BUG: Bad page map"),
    Format::new("BUG: workqueue lockup", "BUG: workqueue lockup").untraced(),
    Format::new(
        "BUG: sleeping function called from invalid context at",
        "BUG: sleeping function called from invalid context in {f}",
    )
    .walk(STACK),
    Format::new(
        r"BUG: using ([a-z_]+)\(\) in preemptible",
        "BUG: using {1}() in preemptible code in {f}",
    )
    .walk(STACK.skipping(&[
        "dump_stack",
        "preemption",
        "preempt",
        "debug_",
        "processor_id",
        "this_cpu",
    ])),
    Format::new(
        "BUG: workqueue leaked lock or atomic",
        "BUG: workqueue leaked lock or atomic in {1}",
    )
    .then(&["last function: ([a-zA-Z0-9_]+)$"])
    .untraced(),
    Format::new("BUG: .*stack guard page was hit at", "BUG: stack guard page was hit in {f}")
        .also(&["stack-overflow in {f}"])
        .walk(FAULT.choosing(Choice::Entered)),
    // ARM's words for what x86 reports as a warning of lockdep: one title for both.
    Format::new("BUG: Invalid wait context", "WARNING: locking bug in {f}")
        .walk(STACK.skipping(&["lock_sock", "release_sock"])),
    Format::new(r"BUG:\s*$", "BUG: corrupted").damaged(),
];

const UNLOCK: Walk =
    Walk::of(&[Step::Line("{PC} +{FUNC}"), Step::Line("Call [Tt]race:|Backtrace:"), Step::Trace]);

const USERCOPY: Format = Format::new("kernel BUG at mm/usercopy.c", "BUG: bad usercopy in {f}")
    .walk(STACK.skipping(&["usercopy", "__check"]));
// Often another's write into freed memory.
const LIST: Format = Format::new("kernel BUG at lib/list_debug.c", "BUG: corrupted list in {f}")
    .also(&["bad-access in {f}"])
    .walk(STACK);
// Helpers for socket buffers check what their callers pass.
const KERNEL_BUG: Format =
    Format::new("kernel BUG at .*", "kernel BUG in {f}").walk(FAULT.skipping(&["^skb_"]));
const OBJECT_FREE: Format =
    Format::new("BUG kmalloc-.*: Object already free", "BUG: Object already free");

/// Lines with `kernel BUG`: a failed `BUG_ON`.
pub(crate) const ASSERTIONS: [Format; 3] = [USERCOPY, LIST, KERNEL_BUG];

/// The same with a capital, as some architectures print it.
pub(crate) const ASSERTIONS_ELSEWHERE: [Format; 1] =
    [Format::new("Kernel BUG (.*)", "kernel BUG {1}")];

/// The slab allocator's checks.
pub(crate) const SLAB: [Format; 1] = [OBJECT_FREE];
