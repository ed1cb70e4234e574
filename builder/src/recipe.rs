//! How Kiln calls Kbuild, so that equal sources give equal bytes.
//!
//! Everything here decides the bytes of a build. Whoever changes a value changes [`VERSION`] too:
//! it is part of every build's key.

use std::ffi::OsString;
use std::path::Path;

use crate::tree::KernelVersion;

/// Version of this recipe, part of the key of every build. 4: gcc's seed. (Builds of recipe 3 may rest on
/// answers of stages T2 and T3 that made stale objects current.)
pub const VERSION: &str = "4";

/// Where a build finds its sources, whatever folder of the host they lie in.
pub(crate) const SOURCE: &str = "/mnt/kiln/source";
/// Where a build writes its objects.
pub(crate) const OBJECTS: &str = "/mnt/kiln/objects";
/// Where a build command leaves its artifacts.
pub(crate) const OUT: &str = "/mnt/kiln/out";

/// File mode mask of the build. Modes reach the image through initramfs archives.
pub const UMASK: u32 = 0o022;

/// The only folders that tools are looked for in, so that a user's own `PATH` decides nothing.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that take time, place and person out of a build. A build command gets them too, on
/// top of its caller's environment; Kbuild gets [`environment`], which is these and nothing else.
pub(crate) const PINNED: &[(&str, &str)] = &[
    // Sorting, messages and character classes of every tool.
    ("LC_ALL", "C"),
    // Tools that print local time.
    ("TZ", "UTC"),
    // The banner. It must not be empty: an empty one falls through to `date`.
    ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
    // The "#1" of the banner; otherwise a counter kept in the objects folder.
    ("KBUILD_BUILD_VERSION", "1"),
    // The banner again: otherwise `whoami` and `uname -n`.
    ("KBUILD_BUILD_USER", "kiln"),
    ("KBUILD_BUILD_HOST", "kiln"),
    // Archivers, compressors and `__DATE__`.
    ("SOURCE_DATE_EPOCH", "0"),
    // No date in the head of a `.config` (kernels before 2.6.38), which IKCONFIG would embed.
    ("KCONFIG_NOTIMESTAMP", "1"),
    // No cache files beside Python scripts of the tree.
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// The whole environment of a Kbuild run.
pub fn environment() -> Vec<(OsString, OsString)> {
    let pinned = PINNED.iter().copied();
    pinned
        .chain([("PATH", PATH), ("HOME", "/nonexistent")])
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Make variables given on the command line, where they win over the tree's own Makefile.
fn make_variables(arch: &str, version: KernelVersion) -> Vec<String> {
    let KernelVersion { version, patchlevel } = version;
    vec![
        // Otherwise `uname -m` of the host.
        format!("ARCH={arch}"),
        // Without the point release, which would make every release's image differ from the next
        // one's by its name alone. The version in the head of `.config` comes from here as well.
        format!("KERNELVERSION={version}.{patchlevel}.0"),
        // The name in the banner, in vermagic and in the boot header. Given whole, so that
        // localversion files, CONFIG_LOCALVERSION and git tags don't reach it.
        format!("KERNELRELEASE={version}.{patchlevel}.0-kiln"),
        // Set and empty: stops `scripts/setlocalversion` from asking git.
        "LOCALVERSION=".to_owned(),
    ]
}

/// What make is called with for a kernel, its targets and toolchain aside. `source` and `objects`: as
/// make sees them.
pub fn arguments(
    arch: &str,
    version: KernelVersion,
    source: &Path,
    objects: &Path,
    jobs: usize,
) -> Vec<OsString> {
    let mut output = OsString::from("O=");
    output.push(objects);
    let mut arguments: Vec<OsString> = vec!["-C".into(), source.into(), output];
    arguments.push(format!("-j{}", jobs.max(1)).into());
    arguments.extend(make_variables(arch, version).into_iter().map(OsString::from));
    arguments
}

/// Make variables with flags for the compiler.
///
/// - gcc's seed: with it the stamps in profiled objects (`CONFIG_GCOV_KERNEL`) are no more of the clock,
///   nor those in the names of what a file has for itself (`-frandom-seed` in gcc's manual). clang has
///   none of these.
/// - The host's folders are taken out of debug information and `__FILE__`, where `mapped` gives sources
///   and objects: only when the fixed mount points are not to be had. With them the paths are equal anyway.
pub fn flags(is_gcc: bool, mapped: Option<(&Path, &Path)>) -> Vec<String> {
    let maps = mapped.map(|(source, objects)| {
        format!(
            "-ffile-prefix-map={}={OBJECTS} -ffile-prefix-map={}={SOURCE}",
            objects.display(),
            source.display()
        )
    });
    let seed = is_gcc.then(|| "-frandom-seed=kiln".to_owned());
    let c: Vec<String> = seed.into_iter().chain(maps.clone()).collect();
    let c = (!c.is_empty()).then(|| format!("KCFLAGS={}", c.join(" ")));
    c.into_iter().chain(maps.map(|maps| format!("KAFLAGS={maps}"))).collect()
}

/// Options that Kiln sets in every configuration before `olddefconfig`, because their usual value
/// makes equal sources give different images. Options that a tree does not have are ignored by it.
pub(crate) const PINNED_OPTIONS: &[PinnedOption] = &[
    PinnedOption {
        // The usual value makes Kbuild generate a fresh key in each objects folder and embed its
        // certificate. Empty means: no key of the build's own.
        name: "CONFIG_MODULE_SIG_KEY",
        unless_other_than: "\"certs/signing_key.pem\"",
        value: "\"\"",
    },
    PinnedOption {
        // `-march=native`, since 6.16: the kernel of the machine that happened to build it, which
        // others would be given for theirs.
        name: "CONFIG_X86_NATIVE_CPU",
        unless_other_than: "y",
        value: "n",
    },
];

/// An option with the value that Kiln gives it.
pub(crate) struct PinnedOption {
    pub(crate) name: &'static str,
    /// The usual value. A configuration that asks for any other value keeps it.
    pub(crate) unless_other_than: &'static str,
    pub(crate) value: &'static str,
}

/// Options whose images this recipe can't vouch for to repeat, with the reason for the note.
/// Nothing is proved from builds that set one.
pub(crate) const UNREPEATABLE: &[(&str, &str)] =
    &[("CONFIG_RUST", "its core library is not part of the toolchain's id")];

/// The same for builds without namespaces of their own, which get this machine's random bytes. Such a
/// build keeps no closure.
pub(crate) const RANDOM: &[(&str, &str)] = &[
    ("CONFIG_RANDSTRUCT_FULL", "its seed is random in each objects folder"),
    ("CONFIG_RANDSTRUCT_PERFORMANCE", "its seed is random in each objects folder"),
    ("CONFIG_GCC_PLUGIN_RANDSTRUCT", "its seed is random in each objects folder"),
    ("CONFIG_GCC_PLUGIN_LATENT_ENTROPY", "it compiles random numbers in"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_releases_share_a_name() {
        let makefile = |point: u32| format!("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = {point}\n");
        let variables =
            |point| make_variables("x86_64", KernelVersion::parse(&makefile(point)).unwrap());
        assert_eq!(variables(176), variables(190));
        assert!(variables(1).contains(&"KERNELRELEASE=6.1.0-kiln".to_owned()));
    }

    #[test]
    fn flags_are_those_that_are_needed() {
        assert!(flags(false, None).is_empty());
        assert_eq!(flags(true, None), ["KCFLAGS=-frandom-seed=kiln"]);
        let mapped = flags(true, Some((Path::new("/s"), Path::new("/o"))));
        let maps = format!("-ffile-prefix-map=/o={OBJECTS} -ffile-prefix-map=/s={SOURCE}");
        let c = format!("KCFLAGS=-frandom-seed=kiln {maps}");
        assert_eq!(mapped, [c, format!("KAFLAGS={maps}")]);
    }

    #[test]
    fn the_environment_names_each_variable_once() {
        let environment = environment();
        let mut names: Vec<_> = environment.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), environment.len());
        assert!(
            environment.iter().all(|(_, value)| !value.is_empty()),
            "empty means unset to make"
        );
    }
}
