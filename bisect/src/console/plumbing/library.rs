//! The kernel's library: it works on what it is given.

use super::Part;

#[rustfmt::skip] // one name a line would make a table that nobody reads
pub(super) const PARTS: &[Part] = &[
    // lib/string.c, lib/string_helpers.c, arch/*/lib/mem*
    &[
        "memchr*", "memscan", "__mem*", "memcpy*", "memset*", "memmove*", "memcmp*",
        "strlen", "strnlen*", "strcmp", "strncmp", "strcasecmp", "strncasecmp", "strstr",
        "strnstr", "strchr*", "strnchr*", "strrchr", "strcpy", "strncpy*", "strlcpy",
        "strscpy*", "strcat", "strncat", "strlcat", "strsep", "strpbrk", "strspn", "strcspn",
        "__str*", "sized_str*", "bcmp", "read_word_at_a_time*", "*read_once*_nocheck",
    ],
    // lib/vsprintf.c, lib/kasprintf.c, lib/hexdump.c, kernel/printk/, drivers/base/core.c
    &[
        "*printf*", "string", "string_nocheck", "hex_string", "escaped_string",
        "ip*_string*", "uuid_string", "mac_address_string", "symbol_string", "dentry_name",
        "pointer", "number", "va_format", "*printk*", "console_unlock", "msg_print_text",
        "hex_dump_to_buffer", "print_hex_dump*", "_dev_*", "dev_*printk*", "__netdev_printk",
        "netdev_printk", "netdev_*_ratelimited",
    ],
    // lib/usercopy.c, lib/iov_iter.c, arch/*/lib/*user*, mm/maccess.c
    &[
        "*copy_to_user*", "*copy_from_user*", "*copy_in_user*", "copy_user_*", "copyin*",
        "copyout*", "copy_to_user_iter", "copy_from_user_iter", "*copy_to_iter*",
        "*copy_from_iter*", "copy_page_to_iter*", "copy_page_from_iter*", "copy_folio_*",
        "memcpy_to_iter", "memcpy_from_iter", "*put_user*", "get_user", "__get_user",
        "__get_user_1", "__get_user_2", "__get_user_4", "__get_user_8", "__get_user_nocheck*",
        "*clear_user*", "strncpy_from_*", "strnlen_user*", "csum_and_copy_*", "iterate_*",
    ],
    // lib/{rbtree,idr,xarray,klist,rhashtable,crc*,bitmap,nlattr}.c, include/linux/{bitops,atomic}*
    &[
        "rb_*", "__rb_*", "ida_free", "xas_*", "klist_*", "rhashtable_lookup*",
        "__rhashtable_lookup*",
        "*crc16*", "*crc32*", "crc_*", "__bitmap_*", "nla_str*", "nla_mem*", "set_bit*", "__set_bit*",
        "clear_bit*", "__clear_bit*", "change_bit", "__change_bit", "*test_bit",
        "*test_and_*_bit*", "arch_*_bit*", "atomic_*", "atomic64_*", "arch_atomic*",
        "raw_atomic*",
    ],
    // lib/kobject*.c, drivers/base/core.c, fs/sysfs/: the device model
    &[
        "kobject_*", "__kobject_*", "kobj_*", "add_uevent_var", "put_device", "get_device",
        "device_add*", "device_del", "device_unregister", "device_destroy",
        "device_release*", "device_remove_*", "device_for_each_child*", "get_device_parent",
        "devres_release*", "release_nodes", "dpm_sysfs_*", "sysfs_remove_*",
        "device_create_file*",
    ],
    // fs/{inode,dcache}.c: counts of users
    &[
        "iput*", "ihold", "dput", "fast_dput*", "drop_nlink", "inc_nlink", "clear_nlink",
    ],
];
