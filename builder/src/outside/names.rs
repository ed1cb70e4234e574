//! Which paths of the host a configuration names.

use std::path::{Component, Path, PathBuf};

use crate::error::BuildError;
use crate::kconfig::parse;

/// One path that an option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// With its prefix, "CONFIG_INITRAMFS_SOURCE".
    pub(super) option: String,
    /// Absolute.
    pub(super) path: PathBuf,
    /// It is packed into an archive, which also holds owners and times (`usr/gen_init_cpio.c`).
    pub(super) packed: bool,
}

impl Named {
    /// The error that names option and path.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> BuildError {
        BuildError::Outside {
            option: self.option.clone(),
            path: self.path.clone(),
            reason: reason.into(),
        }
    }
}

/// Options whose value the kernel uses when it runs: the build compiles the text in, and never
/// opens the file.
const RUN_TIME: &[&str] = &[
    "CONFIG_CMDLINE",
    "CONFIG_DEFAULT_INIT",
    "CONFIG_EVM_X509_PATH",
    "CONFIG_IMA_X509_PATH",
    "CONFIG_MODPROBE_PATH",
    "CONFIG_SECURITY_TOMOYO_ACTIVATION_TRIGGER",
    "CONFIG_SECURITY_TOMOYO_POLICY_LOADER",
    "CONFIG_STATIC_USERMODEHELPER_PATH",
    "CONFIG_UEVENT_HELPER_PATH",
    // Compilers' own words, which the toolchain's id stands for.
    "CONFIG_CC_VERSION_TEXT",
    "CONFIG_RUSTC_VERSION_TEXT",
];

/// No build reads content below these; an option that names something there means the machine
/// that boots.
const NO_FILES: [&str; 3] = ["/dev", "/proc", "/sys"];

const INITRAMFS: &str = "CONFIG_INITRAMFS_SOURCE";
const FIRMWARE: &str = "CONFIG_EXTRA_FIRMWARE";
const FIRMWARE_FOLDER: &str = "CONFIG_EXTRA_FIRMWARE_DIR";
/// Its default (drivers/base/firmware_loader/Kconfig).
const FIRMWARE_DEFAULT: &str = "/lib/firmware";

/// Every path of the host that string options name, in order of options. A value may hold several,
/// separated by blanks. A relative path is one of the tree, which is watched; one that climbs out
/// of it is an error.
pub(super) fn named(text: &str) -> Result<Vec<Named>, BuildError> {
    let values = parse(text);
    let mut all = Vec::new();
    for (option, value) in &values {
        let Some(value) = string(value) else { continue };
        // Firmware is named by the other option, file by file; its folder holds a gigabyte.
        if RUN_TIME.contains(option) || *option == FIRMWARE_FOLDER {
            continue;
        }
        for word in value.split_whitespace() {
            let path = if *option == FIRMWARE {
                let folder = values.get(FIRMWARE_FOLDER).and_then(|value| string(value));
                Path::new(folder.as_deref().unwrap_or(FIRMWARE_DEFAULT)).join(word)
            } else {
                word.into()
            };
            let packed = *option == INITRAMFS;
            let one = Named { option: (*option).to_owned(), path, packed };
            if NO_FILES.iter().any(|folder| one.path.starts_with(folder)) {
                continue;
            }
            if one.path.is_absolute() {
                all.push(one);
            } else if one.path.components().any(|part| part == Component::ParentDir) {
                return Err(one.refuse("it leaves the tree: write it as an absolute path"));
            }
        }
    }
    Ok(all)
}

/// The text of a string option; `None` for a value of another kind.
fn string(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut escaped = false;
    for letter in inner.chars() {
        // Kconfig writes `"` and `\` with a backslash in front (scripts/kconfig/confdata.c).
        if letter == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(letter);
            escaped = false;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let named = named(text).unwrap();
        named.iter().map(|one| one.path.display().to_string()).collect()
    }

    #[test]
    fn absolute_paths_of_string_options() {
        assert_eq!(
            paths("CONFIG_INITRAMFS_SOURCE=\"/a/root usr/list /b.cpio\"\n"),
            ["/a/root", "/b.cpio"]
        );
        assert_eq!(paths("CONFIG_SYSTEM_TRUSTED_KEYS=\"/a \\\"b\"\n"), ["/a"]);
        assert!(paths("CONFIG_MODULE_SIG_KEY=\"certs/my.pem\"\nCONFIG_N=0x10\n").is_empty());
    }

    #[test]
    fn firmware_by_file() {
        let files = "CONFIG_EXTRA_FIRMWARE=\"a.bin b/c.bin\"\n";
        assert_eq!(paths(files), ["/lib/firmware/a.bin", "/lib/firmware/b/c.bin"]);
        assert_eq!(paths(&format!("{files}CONFIG_EXTRA_FIRMWARE_DIR=\"/my\"\n"))[0], "/my/a.bin");
        assert!(paths(&format!("{files}CONFIG_EXTRA_FIRMWARE_DIR=\"firmware\"\n")).is_empty());
    }

    #[test]
    fn what_the_running_kernel_opens_is_not_the_builds() {
        assert!(paths("CONFIG_DEFAULT_INIT=\"/sbin/init\"\nCONFIG_X=\"/dev/ttyS0\"\n").is_empty());
    }

    #[test]
    fn a_path_that_climbs_out_is_refused() {
        let error = named("CONFIG_SYSTEM_TRUSTED_KEYS=\"../../my.pem\"\n").unwrap_err();
        assert!(error.to_string().contains("CONFIG_SYSTEM_TRUSTED_KEYS"), "{error}");
        assert!(named("CONFIG_X=\"a..b\"\n").unwrap().is_empty());
    }
}
