//! What is asked of a builder, and the keys that follow from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kiln_cache::{BuildInput, Digest, InputKey};

use crate::error::{BuildError, Doing};
use crate::toolchain::Toolchain;
use crate::tree::Revision;
use crate::{kconfig, outside, recipe};

/// A revision to build, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Folder of the git repository.
    pub repository: PathBuf,
    /// What to build, from [`crate::Repository::resolve`].
    pub revision: Revision,
    /// Kernel configuration as given. `None`: every option at its default, or for a build command
    /// no configuration at all.
    pub config: Option<Config>,
    /// Kbuild, or a command in its place.
    pub how: How,
    /// Jobs side by side (`make -j`); at least one.
    pub jobs: usize,
    /// Refuse a configuration that `olddefconfig` changes, instead of noting what it changed.
    pub strict_config: bool,
}

/// A kernel configuration as somebody gave it: a whole `.config` or a fragment of one. Cheap to
/// clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    text: Arc<str>,
    digest: Digest,
    /// The text without what Kconfig passes over, and its digest.
    settings: Arc<str>,
    settings_digest: Digest,
}

impl Config {
    /// A configuration of this text.
    pub fn new(text: &str) -> Self {
        let settings = kconfig::settings(text);
        Self {
            text: text.into(),
            digest: Digest::of(text.as_bytes()),
            settings_digest: Digest::of(settings.as_bytes()),
            settings: settings.into(),
        }
    }

    /// Reads a configuration from a file. Bytes that are not UTF-8 (there may be some in comments
    /// and strings) are replaced.
    pub fn read(path: &Path) -> Result<Self, BuildError> {
        let bytes = std::fs::read(path).doing("reading the configuration", path)?;
        Ok(Self::new(&String::from_utf8_lossy(&bytes)))
    }

    /// Digest of the text.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The architecture it is for, as `ARCH=` names it, where an option says so. For another one
    /// `olddefconfig` would quietly make something else of it.
    pub fn architecture(&self) -> Option<&'static str> {
        const MARKS: [(&str, &str); 9] = [
            // With CONFIG_X86 beside it, of which `ARCH=x86_64` would make a kernel of 64 bits.
            ("CONFIG_X86_32", "i386"),
            ("CONFIG_X86", "x86_64"),
            ("CONFIG_ARM64", "arm64"),
            ("CONFIG_ARM", "arm"),
            ("CONFIG_RISCV", "riscv"),
            ("CONFIG_PPC", "powerpc"),
            ("CONFIG_S390", "s390"),
            ("CONFIG_LOONGARCH", "loongarch"),
            ("CONFIG_MIPS", "mips"),
        ];
        let found = MARKS.iter().find(|(option, _)| kconfig::is_set(&self.text, option));
        let is_32 = || kconfig::parse(&self.text).get("CONFIG_64BIT") == Some(&"n");
        match found? {
            (_, "x86_64") if is_32() => Some("i386"),
            (_, architecture) => Some(*architecture),
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// How a revision is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Linux's own build system, by [`crate::recipe`].
    Kbuild,
    /// A command line for `sh -c`, run in the sources. See [`crate::command`].
    Command(String),
}

/// Architecture of this machine, as `ARCH=` names it.
pub fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "riscv64" => "riscv",
        "powerpc64" => "powerpc",
        "s390x" => "s390",
        other => other,
    }
}

/// The bootable image of an architecture (as `ARCH=` names it): its make target, which is also its
/// name among a build's artifacts, and where Kbuild leaves it.
pub fn image_of(arch: &str) -> (&'static str, &'static str) {
    match arch {
        "arm64" => ("Image", "arch/arm64/boot/Image"),
        "riscv" => ("Image", "arch/riscv/boot/Image"),
        "powerpc" => ("zImage", "arch/powerpc/boot/zImage"),
        "s390" => ("bzImage", "arch/s390/boot/bzImage"),
        _ => ("bzImage", "arch/x86/boot/bzImage"),
    }
}

/// What Kbuild makes: the bootable image, and modules when the configuration has any. Sorted.
pub(crate) fn targets() -> Vec<String> {
    let mut targets = vec![image_of(host_arch()).0.to_owned(), "modules".to_owned()];
    targets.sort();
    targets
}

impl Request {
    /// The input with a given digest of the configuration: as given for the request's key,
    /// normalized for the build's own.
    pub(crate) fn input(&self, config: Digest, toolchain: Option<&Toolchain>) -> BuildInput {
        BuildInput {
            tree: self.revision.tree.clone(),
            config,
            arch: host_arch().to_owned(),
            // A build command chooses its own tools: the digest of nothing says so.
            toolchain: toolchain.map_or_else(|| Digest::of(b""), |toolchain| toolchain.id),
            recipe: match &self.how {
                How::Kbuild => recipe::VERSION.to_owned(),
                How::Command(command) => format!("command-1:{}", Digest::of(command.as_bytes())),
            },
            targets: match &self.how {
                How::Kbuild => targets(),
                How::Command(_) => Vec::new(),
            },
        }
    }

    /// The configuration as given; empty when there is none.
    pub(crate) fn text(&self) -> &str {
        self.config.as_ref().map_or("", Config::text)
    }

    /// What the configuration sets, as given.
    pub(crate) fn settings(&self) -> &str {
        self.config.as_ref().map_or("", |config| &config.settings)
    }

    /// Digest of what the configuration sets, as given, with the files outside the tree that it names,
    /// from a look that is younger than `age`. A build command gets the text, and that alone.
    pub(crate) fn given(&self, age: Duration) -> Result<Digest, BuildError> {
        match (&self.how, &self.config) {
            (_, None) => Ok(Digest::of(b"")),
            (How::Command(_), Some(config)) => Ok(config.digest),
            (How::Kbuild, Some(config)) => {
                outside::digest_lately(&config.settings, config.settings_digest, age)
            }
        }
    }

    /// Key of the request.
    pub(crate) fn key(&self, given: Digest, toolchain: Option<&Toolchain>) -> InputKey {
        self.input(given, toolchain).key()
    }

    /// Key of everything but the tree: what builds of this request along a history share.
    pub(crate) fn family(&self, given: Digest, toolchain: Option<&Toolchain>) -> InputKey {
        let mut input = self.input(given, toolchain);
        input.tree.clear();
        input.key()
    }

    /// Name of the folder of working pairs that suit this request: the same architecture,
    /// toolchain, configuration as given and way of building.
    pub(crate) fn pool_key(&self, given: Digest, toolchain: Option<&Toolchain>) -> String {
        let mut input = self.input(given, toolchain);
        input.tree.clear();
        input.targets.clear();
        input.key().0.to_hex()[..24].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_tells_its_architecture() {
        let of = |text: &str| Config::new(text).architecture();
        assert_eq!(of("CONFIG_X86_64=y\nCONFIG_X86=y\n"), Some("x86_64"));
        assert_eq!(of("CONFIG_ARM64=y\n# CONFIG_X86 is not set\n"), Some("arm64"));
        assert_eq!(of("CONFIG_NET=y\n"), None);
        for of_32_bits in ["CONFIG_X86_32=y\n", "# CONFIG_64BIT is not set\n"] {
            assert_eq!(of(&format!("{of_32_bits}CONFIG_X86=y\n")), Some("i386"), "{of_32_bits}");
        }
        assert_eq!(of("# CONFIG_64BIT is not set\nCONFIG_ARM=y\n"), Some("arm"));
    }
}
