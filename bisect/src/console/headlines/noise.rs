//! Lines with the words of a report that only inform: found by looking for `BUG:`, `WARNING:` and
//! `INFO:` in the kernel's sources.

/// Patterns of whole lines.
pub(crate) const NOISE: &[&str] = &[
    // arch/x86/kernel/cpu/: what the mitigations and the boot parameters of this machine are.
    "WARNING: See https?://",
    "WARNING: .*(?:mitigation|Spectre|eIBRS|[Uu]nprivileged eBPF|BTB|IBPB|hyperthreading)",
    "WARNING: kernel not compiled with",
    "WARNING: .*BIOS",
    "WARNING: polling idle and HT enabled",
    // fs/namespace.c, fs/ext4, fs/xfs, security/: file systems tell the administrator.
    "WARNING: [Tt]he mand mount option",
    r"(?:EXT4-fs|XFS|BTRFS|F2FS-fs|JFS|NTFS|REISERFS|FAT-fs|jbd2|SQUASHFS)\b.*(?:WARNING|BUG):",
    "(?i:warning: .* uses (?:deprecated|wireless extensions|32-bit))",
    // kernel/workqueue.c, drivers/video/fbdev/core/fbcon.c, net/core/pktgen.c.
    "WARNING: workqueue cpumask",
    "WARNING: .*missed to adjust virtual screen size",
    "WARNING: Requested queue_map_",
    // Programs: the dynamic linker, sshd, fuzzers.
    r"WARNING: Unsupported flag value\(s\) of ",
    "WARNING: /[a-z]+/",
    "BUG: no syscalls can create resource",
    // sound/core/seq/seq_timer.c has Go's words.
    "ALSA: |fatal error: cannot create timer",
    // A mount option that holds a console's text (fs/fs_parser.c).
    "Unknown parameter '",
    // The kernel's start as the boot loader tells it.
    "Decompressing Linux|Parsing ELF|entry_offset",
];
