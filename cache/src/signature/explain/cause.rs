//! Known causes.

use serde::Serialize;

use super::Difference;

/// Why bytes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// An option of the configuration.
    Configuration,
    /// The compiler or linker.
    CompilerVersion,
    /// The tree that was built.
    Sources,
    /// How Kiln calls make.
    Recipe,
    /// Functions or data that are not the same before linking, by no input that is known to differ.
    ChangedCode,
    /// The order of functions and data, each of which is the same.
    Order,
    /// How code that is the same is unwound.
    Unwinding,
    /// Where the linker is told to put things.
    LinkerScript,
    /// Code of the boot image around the kernel, which is not in `vmlinux.o`.
    BootCode,
    /// Only numbers of source lines: a comment, say.
    LineNumbers,
    /// Numbers of source lines in files of which more changed, or may have.
    LinesBesideCode,
    /// `KBUILD_BUILD_TIMESTAMP`.
    BuildTimestamp,
    /// `KBUILD_BUILD_USER`, `KBUILD_BUILD_HOST`.
    BuildUser,
    /// `KBUILD_BUILD_VERSION`.
    BuildNumber,
    /// `KERNELRELEASE`.
    Release,
    /// The key that modules are signed with, made anew in each objects folder.
    ModuleSigningKey,
    /// Other certificates that are built in.
    Certificates,
    /// The seed that the layout of structs is drawn by.
    RandstructSeed,
    /// Constants that are drawn, for entropy at boot.
    LatentEntropySeed,
    /// The copy of the configuration in the kernel.
    EmbeddedConfiguration,
    /// The folder of the sources, in debug information.
    SourcePathInDebugInformation,
    /// The folder of the sources, in texts of the kernel.
    SourcePathInStrings,
    /// Debug information, which is not loaded.
    DebugInformation,
    /// `CONFIG_BUILD_SALT`.
    BuildSalt,
    /// The kernel's version in the vDSO.
    VdsoVersion,
    /// None of these.
    Unknown,
    /// Follows from any other difference: the linker's hash over the whole output.
    BuildId,
    /// Follows from others: what it refers to lies elsewhere.
    Moved,
    /// Follows from others: the kernel inside the boot image.
    CompressedKernel,
}

/// A cause, with what was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Cause {
    /// Which.
    pub kind: CauseKind,
    /// The two values, the options, the files. May be empty.
    pub detail: String,
}

impl CauseKind {
    /// Whether it only follows from something else that differs.
    pub(super) fn follows(self) -> bool {
        matches!(self, Self::BuildId | Self::Moved | Self::CompressedKernel)
    }
}

impl Cause {
    pub(super) fn new(kind: CauseKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// "a" against "b".
    pub(super) fn between(kind: CauseKind, before: &str, after: &str) -> Self {
        Self::new(kind, format!("'{before}' against '{after}'"))
    }

    /// The cause as a person would say it.
    pub fn text(&self) -> String {
        let name = self.kind.text();
        match self.detail.as_str() {
            "" => name.to_owned(),
            detail => format!("{name}: {detail}"),
        }
    }
}

impl CauseKind {
    /// The name that people use.
    pub fn text(self) -> &'static str {
        match self {
            Self::Configuration => "configuration differs",
            Self::CompilerVersion => "compiler version",
            Self::Sources => "the sources differ, by their trees",
            Self::Recipe => "recipe",
            Self::ChangedCode => "changed code or data",
            Self::Order => "order of functions and data",
            Self::Unwinding => "how code is unwound",
            Self::LinkerScript => "linker script",
            Self::BootCode => "boot code",
            Self::LineNumbers => "line numbers only",
            Self::LinesBesideCode => "line numbers, beside changed code",
            Self::BuildTimestamp => "build timestamp",
            Self::BuildUser => "build user or host",
            Self::BuildNumber => "build number",
            Self::Release => "kernel release",
            Self::ModuleSigningKey => "module signing key",
            Self::Certificates => "built-in certificates",
            Self::RandstructSeed => "randstruct seed",
            Self::LatentEntropySeed => "latent entropy seed",
            Self::EmbeddedConfiguration => "embedded configuration (IKCONFIG)",
            Self::SourcePathInDebugInformation => "source path in debug information",
            Self::SourcePathInStrings => "source path in strings",
            Self::DebugInformation => "debug information",
            Self::BuildSalt => "build salt",
            Self::VdsoVersion => "kernel version in the vDSO",
            Self::Unknown => "unknown cause",
            Self::BuildId => "build id (follows from the rest)",
            Self::Moved => "addresses (follow from the rest)",
            Self::CompressedKernel => "compressed kernel (follows from vmlinux)",
        }
    }
}

/// All causes of some differences, each once, in the order of [`CauseKind`].
pub(super) fn summary(differences: &[Difference]) -> Vec<Cause> {
    let mut all: Vec<Cause> = differences.iter().flat_map(|it| it.causes.iter().cloned()).collect();
    all.sort();
    all.dedup();
    all
}
