//! Doors of subsystems: the driver or protocol that goes through them is meant.

use super::Part;

#[rustfmt::skip] // one name a line would make a table that nobody reads
pub(super) const PARTS: &[Part] = &[
    // net/core/dev.c, net/core/skbuff.c
    &[
        "unregister_netdev*", "*rollback_registered*", "kfree_skb*", "__kfree_skb",
        "sk_skb_reason_drop",
    ],
    // drivers/usb/core/, drivers/usb/gadget/udc/dummy_hcd.c
    &[
        "usb_kill_*", "usb_control_msg*", "usb_submit_urb*", "usb_hcd_submit_urb",
        "usb_hcd_link_urb*", "dummy_urb_enqueue",
    ],
    // drivers/{tty,i2c,char/hw_random}: taking a device away
    &[
        "tty_unregister_device", "i2c_del_adapter", "__unregister_client",
        "hwrng_unregister",
    ],
    // lib/logic_pio.c, include/asm-generic/io.h, arch/*/include/asm/io.h
    &[
        "logic_in*", "logic_out*", "*readb", "*readw", "*readl", "*readq", "*writeb",
        "*writew", "*writel", "*writeq", "inb", "inw", "inl", "outb", "outw", "outl",
    ],
];
