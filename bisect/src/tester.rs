//! One run of one image: in a virtual machine, or by a command on the host.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use kiln_cache::evidence::{Outcome, TestKey};
use kiln_cache::signature::ImageId;
use kiln_cache::{Artifact, Digest, Manifest, Store, StoreError};

use crate::boot::{self, Arch, BuildPaths, HostCommand, Machine, PreparedPayload};
use crate::console::Patterns;

/// What one run gave.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// What was seen.
    pub outcome: Outcome,
    /// The console, or what the command printed.
    pub console: Vec<u8>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// How images are tested in one bisection.
#[derive(Clone, Debug)]
pub enum Tester {
    /// Boot the kernel with a payload.
    Vm {
        /// What runs in the guest.
        payload: PreparedPayload,
        /// The guest.
        machine: Machine,
        /// What the user says of crashes.
        patterns: Arc<Patterns>,
    },
    /// Run a command on the host.
    Host(HostCommand),
}

/// A run that could not be made at all (as opposed to one that failed).
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The artifacts can't be had from the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine can't be started.
    #[error(transparent)]
    Boot(#[from] boot::QemuError),
    /// A file on the way.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What.
        source: std::io::Error,
    },
    /// The build has nothing to boot.
    #[error("the build {0} has no kernel image to boot; test it with --command")]
    NoKernel(String),
}

impl Tester {
    /// The key that evidence of this test is kept under.
    pub fn key(&self) -> TestKey {
        match self {
            Self::Vm { payload, machine, patterns } => {
                boot::test_key(&payload.digest, machine, patterns)
            }
            Self::Host(command) => command.test_key(),
        }
    }

    /// Puts the files that a run needs where runs can use them: `folder/<image>/`. Files that are
    /// there already (from another step) are checked, and pulled again only when they differ.
    pub async fn place(
        &self,
        store: &Store,
        image: &ImageId,
        manifest: &Manifest,
        folder: &Path,
    ) -> Result<PathBuf, TestError> {
        let place = folder.join(image.to_string());
        match self {
            Self::Vm { payload, .. } => {
                place_kernel(store, manifest, payload.arch, folder).await?;
            }
            Self::Host(_) => {
                for artifact in &manifest.artifacts {
                    match fetch(store, artifact, &place).await {
                        // The test runs without what was let go of.
                        Err(TestError::Store(StoreError::LetGo(_))) => {}
                        fetched => _ = fetched?,
                    }
                }
            }
        }
        Ok(place)
    }

    /// Runs once. `place` is the folder that [`Tester::place`] gave.
    pub async fn run(&self, place: &Path, commit: &str) -> Result<TestRun, TestError> {
        let begin = Instant::now();
        let report = match self {
            Self::Vm { payload, machine, patterns } => {
                let kernel = place.join(payload.arch.kernel_image());
                match boot::run(&kernel, payload, machine, patterns).await {
                    // It is there, and could not be started this time: no memory, no processes left.
                    Err(error @ boot::QemuError::Start { .. }) => {
                        let seconds = begin.elapsed().as_secs_f64();
                        let outcome = Outcome::Infra { reason: error.to_string() };
                        return Ok(TestRun { outcome, console: Vec::new(), seconds });
                    }
                    done => done?,
                }
            }
            Self::Host(command) => {
                let existing = |name: &str| Some(place.join(name)).filter(|path| path.exists());
                let paths = BuildPaths {
                    commit: commit.to_owned(),
                    artifacts: place.to_owned(),
                    bzimage: existing(kiln_builder::image_of(kiln_builder::host_arch()).0),
                    vmlinux: existing("vmlinux"),
                };
                command.run(&paths).await
            }
        };
        Ok(TestRun { outcome: report.outcome, console: report.console, seconds: report.seconds })
    }
}

/// Puts a build's kernel image into `folder/<image>/`, under its artifact's name (which depends on
/// the architecture), and returns that path.
pub(crate) async fn place_kernel(
    store: &Store,
    manifest: &Manifest,
    arch: Arch,
    folder: &Path,
) -> Result<PathBuf, TestError> {
    let missing = || TestError::NoKernel(manifest.input_key.to_string());
    let kernel = manifest.artifact(arch.kernel_image()).ok_or_else(missing)?;
    let image = manifest.image().ok_or_else(missing)?;
    fetch(store, kernel, &folder.join(image.to_string())).await
}

/// Puts an artifact into a folder, read-only, and returns its path. A file that is there already is
/// taken only when it is, byte for byte, what the store would give: a test may have written to it,
/// and a power cut may have torn it.
async fn fetch(store: &Store, artifact: &Artifact, place: &Path) -> Result<PathBuf, TestError> {
    let path = place.join(&artifact.name);
    let fail = |source| TestError::Io { path: path.clone(), source };
    let wanted = (artifact.size, artifact.digest);
    let found = path.clone();
    let proven = tokio::task::spawn_blocking(move || is(&found, wanted))
        .await
        .map_err(|error| fail(std::io::Error::other(error)))?;
    if !proven {
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent)
                .await
                .map_err(|source| TestError::Io { path: parent.to_owned(), source })?;
        }
        store.read_to_file(&artifact.digest, &path).await?;
    }
    let readable = std::fs::Permissions::from_mode(0o444);
    tokio::fs::set_permissions(&path, readable).await.map_err(fail)?;
    Ok(path)
}

/// Whether a file has this size and digest. One that can't be read has not.
fn is(path: &Path, (size, digest): (u64, Digest)) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == size)
        && Digest::of_file(path).is_ok_and(|found| found == digest)
}

#[cfg(test)]
mod tests {
    use kiln_cache::Location;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_not_the_artifact_is_pulled_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::folder(dir.path().join("store"))).await.unwrap();
        let content = b"a kernel".to_vec();
        let digest = store.put_bytes(content.clone().into()).await.unwrap();
        let size = content.len() as u64;
        let artifact = Artifact { name: "modules/a.ko".into(), digest, size };
        let place = dir.path().join("place");
        let path = fetch(&store, &artifact, &place).await.unwrap();
        for other in [&b"cut"[..], b"a KERNEL", &content] {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, other).unwrap();
            fetch(&store, &artifact, &place).await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), content);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        }
    }
}
