//! The architectures that can be booted, and what differs between them, in one table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A guest architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arch {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    #[serde(rename = "aarch64")]
    Aarch64,
}

/// What an architecture needs to be booted on a Debian host.
#[derive(Debug)]
pub(crate) struct ArchTraits {
    /// Name, as `uname -m` says it.
    pub(crate) name: &'static str,
    /// Name, as Linux's makefiles say it (`ARCH=`).
    pub(crate) linux: &'static str,
    /// QEMU's system emulator.
    pub(crate) qemu: &'static str,
    /// Debian package of that emulator.
    pub(crate) qemu_package: &'static str,
    /// QEMU's machine model.
    pub(crate) machine: &'static str,
    /// Kernel parameters for the serial console, early output included.
    pub(crate) console: &'static str,
    /// How the machine restarts at once; what `-no-reboot` turns into an exit.
    pub(crate) reboot: &'static str,
    /// Parameters for what emulation does badly. x86: on a loaded host the emulated timer comes
    /// late, and the kernel's check of it panics.
    pub(crate) emulation: &'static str,
    /// Cross compiler, and its Debian packages (compiler, C library).
    pub(crate) cross: (&'static str, &'static str, &'static str),
    /// `e_machine` of ELF files.
    pub(crate) elf_machine: u16,
}

static X86_64: ArchTraits = ArchTraits {
    name: "x86_64",
    linux: "x86_64",
    qemu: "qemu-system-x86_64",
    qemu_package: "qemu-system-x86",
    machine: "pc",
    console: "earlyprintk=serial console=ttyS0",
    reboot: "reboot=t",
    emulation: "no_timer_check",
    cross: ("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"),
    elf_machine: 62,
};

static AARCH64: ArchTraits = ArchTraits {
    name: "aarch64",
    linux: "arm64",
    qemu: "qemu-system-aarch64",
    qemu_package: "qemu-system-arm",
    machine: "virt",
    console: "earlycon console=ttyAMA0",
    reboot: "reboot=c",
    emulation: "",
    cross: ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"),
    elf_machine: 183,
};

impl Arch {
    pub(crate) fn traits(self) -> &'static ArchTraits {
        match self {
            Self::X86_64 => &X86_64,
            Self::Aarch64 => &AARCH64,
        }
    }

    /// The artifact of a build that is booted.
    pub fn kernel_image(self) -> &'static str {
        kiln_builder::image_of(self.traits().linux).0
    }

    /// Is this the architecture that Kiln itself runs on?
    pub fn is_host(self) -> bool {
        self.traits().name == std::env::consts::ARCH
    }

    /// The C compiler for this architecture, with the Debian packages that hold it and its
    /// static C library.
    pub(crate) fn compiler(self) -> (&'static str, &'static str, &'static str) {
        if self.is_host() { ("gcc", "gcc", "libc6-dev") } else { self.traits().cross }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.traits().name)
    }
}

/// An architecture that Kiln cannot boot.
#[derive(Debug, thiserror::Error)]
#[error("cannot boot architecture '{0}': known are x86_64 (amd64) and aarch64 (arm64)")]
pub struct UnknownArch(String);

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "x86_64" | "amd64" | "x86" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            _ => Err(UnknownArch(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_boots_what_its_builds_hold() {
        assert_eq!(Arch::X86_64.kernel_image(), "bzImage");
        assert_eq!(Arch::Aarch64.kernel_image(), "Image");
    }

    #[test]
    fn names_are_read_back() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            assert_eq!(arch.to_string().parse::<Arch>().unwrap(), arch);
            assert_eq!(serde_json::to_value(arch).unwrap(), arch.to_string());
        }
        assert!("sparc".parse::<Arch>().is_err());
    }
}
