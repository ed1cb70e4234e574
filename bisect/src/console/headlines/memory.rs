//! Checks of memory management and file systems.

use super::{Headline, message, report};
use crate::console::blame::Blame;

pub(super) const REPORTS: &[Headline] = &[
    // mm/page_alloc.c: bad_page, mm/filemap.c. Who finds the page is innocent; the page's owner
    // (mm/page_owner.c) may not be.
    report(
        "BUG: Bad page (state|cache) in",
        "BUG: Bad page {1} in {f}",
        Blame::Below("page last allocated"),
    )
    .past(&[
        "*alloc*",
        "*folio*",
        "*_page",
        "*vmap*",
        "*page_owner*",
        "free_unref*",
        "page_frag_*",
    ]),
    // mm/memory.c: print_bad_pte.
    report("BUG: Bad page map", "BUG: Bad page map", Blame::Nobody),
    // kernel/fork.c: check_mm.
    message("BUG: Bad rss-counter state", "BUG: Bad rss-counter state"),
    message("BUG: (non-zero (?:nr_ptes|nr_pmds|pgtables_bytes) on freeing mm)", "BUG: {1}"),
    // mm/slub.c: print_tracking and object_err of old releases.
    report(
        r"BUG kmalloc-[a-z0-9-]+.*: Object already free",
        "BUG: Object already free",
        Blame::Nobody,
    ),
    // fs/dcache.c: umount_check. Which file system it is says nothing of the bug.
    report(
        r"BUG: Dentry .*still in use \([0-9-]+\) +\[(unmount) of ([^\]]+)\]",
        "BUG: Dentry still in use in {1}",
        Blame::Nobody,
    )
    .also(&["BUG: Dentry still in use [{1} of {2}]"]),
    // fs/super.c: generic_shutdown_super; fs/open.c: filp_close.
    message("VFS: Busy inodes after unmount", "VFS: Busy inodes after unmount (use-after-free)"),
    message("VFS: Close: file count is 0", "VFS: Close: file count is zero (use-after-free)"),
];
