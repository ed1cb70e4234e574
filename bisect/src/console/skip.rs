//! Functions that stand in a stack trace and are never where the bug is: what reports it, and
//! what everybody calls. Patterns are found anywhere in a name unless they say otherwise.

/// What finds and prints errors.
const REPORTING: &[&str] = &[
    "__sanitizer|__asan|kasan|hwasan|__msan|kmsan|kcsan_setup_watchpoint",
    "check_memory_region|check_heap_object|check_object|__fortify_report|assertfail",
    "print_address_description|print_report|print_usage_bug|print_unlock|print_tainted|^get_taint$",
    "panic|report_bug|fixup_bug|imbalance_bug|invalid_op|do_error|_trap$|do_trap",
    "__warn|warn_slowpath|warn_alloc|warn_bogus|debug_object",
    "show_stack|dump_stack|walk_stack|dump_backtrace|arch_stack_walk",
    "stack_trace_save|stack_trace_consume_entry|perf_trace",
    "__might_fault|might_fault|might_sleep|__might_resched",
    "program_check_exception|program_check_common|_indirect_thunk_",
    // The way of an exception on arm64.
    "do_(?:kernel|translation)_fault|do_mem_abort|el1_abort|el1h_64_sync(?:_handler)?",
];

/// Memory: allocation, the page cache, reference counts, bits and atomics.
const MEMORY: &[&str] = &[
    "k?v?[mzc]alloc|krealloc|kmem_cache|slab_|allocate_slab|^kv?free$",
    "alloc_page|__alloc_frozen_pages_noprof|folio_(?:alloc|unlock)|filemap_alloc_folio",
    "__filemap_get_folio|find_or_create_page|do_read_cache_folio|read_cache_page",
    "pagecache_get_page|grab_cache_page_write_begin|find_lock_entries",
    "truncate_inode_pages_range|^(?:un)?lock_page|mark_buffer_dirty|__phys_addr",
    "^refcount_|^kref_|ref_tracker|ida_free|xas_(?:start|load|find)",
    "atomic(?:64)?_(?:dec|inc|read|set|or|xor|and|add|sub|fetch|xchg|cmpxchg|try)",
    "(?:set|clear|change|test)_bit|(?:read|write)_once_.*nocheck|read_word_at_a_time",
];

/// Locks, and the interrupt state around them.
const LOCKING: &[&str] = &[
    "lockdep|lock_acquire|lock_release|lock_class|mark_lock|(?:reacquire|mark)_held_locks",
    "raw_spin_rq|spin_lock|spin_trylock|spin_unlock|seqprop_assert",
    "(?:read|write)_(?:lock|trylock|unlock)|bh_(?:enable|disable)",
    "^down$|down_read|down_write|down_trylock|up_read|up_write",
    "^mutex_|^__mutex_|^rt_mutex_|owner_on_cpu|osq_lock|osq_unlock",
    "(?:trace|lockdep)_(?:hard|soft)irq|cleanup_srcu_struct",
];

/// Copying, comparing, searching and printing.
const STRINGS: &[&str] = &[
    "mem(?:cpy|cmp|set|chr|move|dup)|strn?(?:cmp|str|dup|len)|str(?:cpy|lcpy|ncpy|scpy|chr)",
    "string|pointer|snprintf|scnprintf|kasprintf|kvasprintf|printk|va_format",
    "dev_(?:info|notice|warn|err|alert|crit|emerg)|hex_dump_to_buffer|print_hex_dump",
    "copy_(?:to|from)_(?:user|iter)|copy_page_(?:to|from)_iter|copy_folio_to_iter",
    "^copyin$|^copyout$|put_user|get_user|extract_(?:user|iter)_to_sg",
    r"^crc\d+|crc_itu_t",
];

/// Containers and counted objects.
const CONTAINERS: &[&str] = &[
    "list_(?:add|del|replace|move|splice)|^rb_|^__rb_|^klist_|rhashtable_lookup",
    "kobject_|add_uevent_var|^put_device$|kfree_skb",
    "^iput$|^iput_final$|^ihold$|drop_nlink|fast_dput|dput",
];

/// Waiting, timers and deferred work.
const WAITING: &[&str] = &[
    "__wake_up|finish_wait|^complete$|wait_for_completion|kthread_stop",
    "del_timer|lock_timer_base|__timer_delete_sync|sk_stop_timer_sync|__mod_timer",
    "(?:timer|work)_is_static_object|try_to_grab_pending|insert_work|queue_work",
    "flush_work|__cancel_work_timer|cancel_work_sync|queue_delayed_work_on",
    "__queue_delayed_work|(?:flush|drain|destroy)_workqueue",
];

/// Device model, input and output: the driver that calls them is meant.
const DEVICES: &[&str] = &[
    "get_device_parent|device_(?:add|del|unregister|destroy|release|for_each_child)",
    "devres_release_all|device_remove_file|sysfs_remove|tty_unregister_device",
    "hwrng_unregister|i2c_del_adapter|__unregister_client",
    "rollback_registered|unregister_netdev",
    "dummy_urb_enqueue|usb_kill_urb|usb_kill_anchored_urbs",
    "usb_control_msg|usb_hcd_submit_urb|usb_submit_urb",
    "(?:read|write)[bwlq]$|logic_in|logic_out",
];

/// All of them.
pub(crate) fn always() -> impl Iterator<Item = &'static str> {
    [REPORTING, MEMORY, LOCKING, STRINGS, CONTAINERS, WAITING, DEVICES]
        .into_iter()
        .flatten()
        .copied()
}

/// What a system call's function begins with, by architecture and release: taken off, so that
/// one bug has one title everywhere.
pub(crate) const SYSCALL_PREFIXES: [&str; 16] = [
    "SYSC_",
    "SyS_",
    "sys_",
    "ksys_",
    "__sys_",
    "___sys_",
    "____sys_",
    "__x64_",
    "__ia32_",
    "__arm64_",
    "__se_",
    "__se_sys_",
    "__do_sys_",
    "compat_SYSC_",
    "compat_SyS_",
    // Nothing taken off: the name as the kernel has it.
    "",
];

/// A name without its longest system call prefix.
pub(crate) fn without_prefix(name: &str) -> &str {
    SYSCALL_PREFIXES
        .iter()
        .filter_map(|p| name.strip_prefix(p))
        .min_by_key(|n| n.len())
        .unwrap_or(name)
}
