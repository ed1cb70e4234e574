//! Files outside the tree that a configuration names (an initramfs, certificates, firmware).
//!
//! Kbuild reads them, no checkout holds them, and the view that watches a build does not serve
//! them. So their content is part of a build's key, beside the text that names them. A
//! configuration that names none has the digest of its text alone.

mod content;
mod names;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kiln_cache::Digest;

use crate::error::BuildError;
use names::named;

/// Digest of a configuration and of all that it names, from a look at the files now.
///
/// It covers what is at each named path: nothing, a file's content, or a folder's files with names,
/// modes and contents. Errors: a file that can't be read, a folder too large to be meant, a
/// relative path that leaves the tree.
pub(crate) fn digest(text: &str) -> Result<Digest, BuildError> {
    let named = named(text)?;
    if named.is_empty() {
        return Ok(Digest::of(text.as_bytes()));
    }
    let mut hasher = blake3::Hasher::new_derive_key("kiln configuration with files v1");
    hasher.update(Digest::of(text.as_bytes()).as_bytes());
    for one in &named {
        hasher.update(content::of(one)?.as_bytes());
    }
    Ok(hasher.finalize().into())
}

/// The same from a look that is younger than `age`. `text_digest` is the digest of the text.
pub(crate) fn digest_lately(
    text: &str,
    text_digest: Digest,
    age: Duration,
) -> Result<Digest, BuildError> {
    static LOOKS: LazyLock<Mutex<HashMap<Digest, (Instant, Digest)>>> =
        LazyLock::new(Mutex::default);
    let looks = || LOOKS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, found)) = looks().get(&text_digest)
        && at.elapsed() < age
    {
        return Ok(*found);
    }
    let found = digest(text)?;
    let mut looks = looks();
    // Few configurations are in use at a time; the others need not be remembered.
    looks.retain(|_, (at, _)| at.elapsed() < Duration::from_secs(60));
    looks.insert(text_digest, (Instant::now(), found));
    Ok(found)
}

/// Refuses a normalized configuration that names a file which the configuration as given does not:
/// the request's key, by which proofs are given, knows nothing of that file.
pub(crate) fn refuse_unasked(given: &str, normalized: &str) -> Result<(), BuildError> {
    let asked = named(given)?;
    for one in named(normalized)? {
        if !asked.iter().any(|asked| asked.path == one.path && asked.packed == one.packed) {
            return Err(one.refuse(
                "that is this tree's default, which the configuration as given does not mention: \
                 write the option into it",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_files_is_its_text() {
        let text = "CONFIG_A=y\nCONFIG_CMDLINE=\"init=/bin/sh\"\nCONFIG_KEY=\"certs/k.pem\"\n";
        assert_eq!(digest(text).unwrap(), Digest::of(text.as_bytes()));
    }

    #[test]
    fn what_is_named_counts() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("my.pem");
        let text = format!("CONFIG_MODULE_SIG_KEY=\"{}\"\n", key.display());
        let absent = digest(&text).unwrap();
        std::fs::write(&key, "one").unwrap();
        let one = digest(&text).unwrap();
        std::fs::write(&key, "other").unwrap();
        let other = digest(&text).unwrap();
        assert!(absent != one && one != other && absent != other);
        std::fs::write(&key, "one").unwrap();
        assert_eq!(digest(&text).unwrap(), one);
    }

    #[test]
    fn a_default_of_the_tree_has_to_be_asked_for() {
        let normalized = "CONFIG_NEW_KEYS=\"/etc/keys.pem\"\nCONFIG_MODPROBE_PATH=\"/sbin/x\"\n";
        let error = refuse_unasked("CONFIG_A=y\n", normalized).unwrap_err().to_string();
        assert!(error.contains("CONFIG_NEW_KEYS") && error.contains("/etc/keys.pem"), "{error}");
        refuse_unasked(normalized, normalized).unwrap();
    }
}
