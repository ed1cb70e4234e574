//! Kernels as commands are given them: builds of the store, files, folders that make was run in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_cache::build_draft::{VMLINUX, VMLINUX_O};
use kiln_cache::manifest::{Artifact, Manifest};
use kiln_cache::signature::explain::Files;
use kiln_cache::signature::is_named_by_image;
use kiln_cache::signature::symbols::may_be_linked_from;
use kiln_cache::{BuildInput, Store, files_of};

use super::common::Context;
use super::pull::find_named;
use crate::terminal::exit::{Exit, Fault};

/// Where Kbuild leaves boot images, and their names as artifacts.
const BOOT_IMAGES: [(&str, &str); 4] = [
    ("arch/x86/boot/bzImage", "bzImage"),
    ("arch/arm64/boot/Image", "Image"),
    ("arch/riscv/boot/Image", "Image"),
    ("arch/s390/boot/bzImage", "bzImage"),
];

/// The files of a build in a folder, by their names as artifacts: of one that make was run in, or that
/// artifacts were pulled into.
pub(crate) fn of_folder(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let mut add = |name: &str, path: PathBuf| {
        if path.is_file() {
            files.insert(name.to_owned(), path);
        }
    };
    for name in [VMLINUX, VMLINUX_O, ".config", "System.map"] {
        add(name, folder.join(name));
    }
    // What make left comes before a copy of it.
    for (_, name) in BOOT_IMAGES {
        add(name, folder.join(name));
    }
    for (path, name) in BOOT_IMAGES {
        add(name, folder.join(path));
    }
    let order = folder.join("modules.order");
    let pulled = folder.join("modules");
    let mut listed = String::new();
    if order.is_file() {
        listed = std::fs::read_to_string(&order)
            .with_context(|| format!("can't read {}", order.display()))?;
    } else if pulled.is_dir() {
        let found =
            files_of(&pulled).with_context(|| format!("can't read {}", pulled.display()))?;
        for (name, path) in found.into_iter().filter(|(name, _)| name.ends_with(".ko")) {
            add(&format!("modules/{name}"), path);
        }
    }
    for line in listed.lines().map(str::trim) {
        // "fs/a.o" since 6.3, before that "fs/a.ko", and up to 5.3 "kernel/fs/a.ko".
        let stem = line.strip_suffix(".ko").or_else(|| line.strip_suffix(".o"));
        let Some(name) = stem.map(|stem| format!("{stem}.ko")) else { continue };
        let short = name.strip_prefix("kernel/").unwrap_or(&name);
        let found = if folder.join(&name).exists() { &name } else { short };
        add(&format!("modules/{found}"), folder.join(found));
    }
    Ok(files)
}

/// The source files whose objects lie in a folder that make was run in, by their paths from it. Which
/// of them are linked is not asked.
pub(crate) fn source_files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for item in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let Ok(kind) = item.file_type() else { continue };
            let path = item.path();
            if kind.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "o")
                && let Ok(object) = path.strip_prefix(folder)
            {
                // What was assembled has another end, and is named by the same stem.
                let command = path.with_file_name(format!(".{}.cmd", item.file_name().display()));
                let text = std::fs::read_to_string(command).unwrap_or_default();
                let stem = object.with_extension("").to_string_lossy().into_owned();
                let ends = [".c", ".S", ".rs"].into_iter();
                let mut named = ends.filter(|end| text.contains(&format!("{stem}{end}")));
                found.extend(named.next().map(|end| format!("{stem}{end}")));
            }
        }
    }
    found
}

/// A kernel that has a name.
pub(crate) enum Kernel {
    /// Files by their names as artifacts.
    Files(Files),
    /// A build, and the store that has its files.
    Build(Box<Manifest>, Store),
}

impl Kernel {
    /// Finds it: a folder, a file (taken as `alone`), or a build of the store.
    pub(crate) async fn find(
        context: &Context,
        name: &str,
        repo: &Path,
        alone: &str,
    ) -> anyhow::Result<Self> {
        let path = Path::new(name);
        if path.is_dir() {
            return of_folder(path).map(Self::Files);
        }
        if path.is_file() {
            return Ok(Self::Files([(alone.to_owned(), path.to_owned())].into()));
        }
        if [".", "~"].iter().any(|it| name.starts_with(it)) || path.is_absolute() {
            return Err(
                Fault::new(Exit::Failed, format!("there is no file or folder '{name}'")).into()
            );
        }
        let store = context.open_existing().await?;
        let (_, manifest) = find_named(&store, name, repo).await?;
        if !manifest.is_built() {
            let why = format!("the build of '{name}' has no kernel: it does not build");
            return Err(Fault::new(Exit::NotFound, why).into());
        }
        Ok(Self::Build(Box::new(manifest), store))
    }

    /// What a build of the store was made from.
    pub(crate) fn input(&self) -> Option<&BuildInput> {
        match self {
            Self::Files(_) => None,
            Self::Build(manifest, _) => Some(&manifest.input),
        }
    }

    /// Its files; those of a build are put into `place` when `wanted` says so.
    pub(crate) async fn files(
        &self,
        place: &Path,
        wanted: impl Fn(&Artifact) -> bool,
    ) -> anyhow::Result<Files> {
        let (manifest, store) = match self {
            Self::Files(files) => return Ok(files.clone()),
            Self::Build(manifest, store) => (manifest, store),
        };
        let mut files = Files::new();
        for artifact in manifest.artifacts.iter().filter(|it| wanted(it)) {
            let to = place.join(&artifact.name);
            let folder = to.parent().unwrap_or(place);
            tokio::fs::create_dir_all(folder)
                .await
                .with_context(|| format!("can't make {}", folder.display()))?;
            store.read_to_file(&artifact.digest, &to).await?;
            files.insert(artifact.name.clone(), to);
        }
        Ok(files)
    }
}

/// Leaves out a `vmlinux.o` that the `vmlinux` with it was not linked from: an interrupted make leaves
/// one, or files that were put together.
pub(crate) fn without_foreign_object(files: &mut Files) -> anyhow::Result<()> {
    if let (Some(vmlinux), Some(object)) = (files.get(VMLINUX), files.get(VMLINUX_O))
        && !may_be_linked_from(vmlinux, object)?
    {
        let (vmlinux, object) = (vmlinux.display(), object.display());
        tracing::warn!(
            "{object} is left out: {vmlinux} was linked from another one; run make again"
        );
        files.remove(VMLINUX_O);
    }
    Ok(())
}

/// Whether an artifact helps to explain a difference.
pub(crate) fn explains(name: &str) -> bool {
    is_named_by_image(name) || name == VMLINUX_O || name == ".config"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(paths: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in paths {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn a_build_is_found_where_make_leaves_it_and_where_it_was_pulled_to() {
        let names = ["System.map", "bzImage", "modules/fs/a.ko", "vmlinux"];
        let made =
            folder_of(&["System.map", "arch/x86/boot/bzImage", "fs/a.ko", "old.ko", "vmlinux"]);
        std::fs::write(made.path().join("modules.order"), "fs/a.o\n").unwrap();
        let pulled =
            folder_of(&["System.map", "bzImage", "modules/fs/a.ko", "modules/notes", "vmlinux"]);
        for folder in [&made, &pulled] {
            let found = of_folder(folder.path()).unwrap();
            assert_eq!(found.keys().collect::<Vec<_>>(), names);
            assert!(found.values().all(|path| path.is_file()), "{found:?}");
        }
        // What make left is newer than a copy of it.
        std::fs::write(made.path().join("bzImage"), "").unwrap();
        let boot = &of_folder(made.path()).unwrap()["bzImage"];
        assert!(boot.ends_with("arch/x86/boot/bzImage"), "{}", boot.display());
    }
}
