//! The recipe of a blob that is stored in parts: two blobs or three, put together, some compressed.
//!
//! ```text
//! recipe = u8 1, u8[32] the rest, u8[32] the kernel, size, split, codec (numbers as in
//!          `super::delta::wire`)
//!        | u8 2, u8[32] the rest, u8[32] the kernel, u8[32] the relocations, size, split, codec
//! blob   = rest[..split], the kernel compressed by the codec, rest[split..]
//! ```
//!
//! In version 2 what is compressed is the kernel and, behind it, the relocations, which are stored
//! as `super::image::relocs` says.

use crate::digest::Digest;

use super::delta::wire::{Cut, Reader, put};
use super::image::{Codec, relocs};

/// A rest and a kernel.
const TWO: u8 = 1;
/// Relocations, too.
const THREE: u8 = 2;

/// How to put a blob together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) rest: Digest,
    pub(crate) kernel: Digest,
    /// What goes behind the kernel, if that is a part of its own.
    pub(crate) relocs: Option<Digest>,
    /// Size of the whole.
    pub(crate) size: u64,
    /// Where in the rest the compressed kernel goes.
    pub(crate) split: u64,
    pub(crate) codec: Codec,
}

impl Recipe {
    /// The blobs that it takes, in the order in which [`Self::assemble`] wants them.
    pub(crate) fn parts(&self) -> Vec<Digest> {
        [self.rest, self.kernel].into_iter().chain(self.relocs).collect()
    }

    /// Size of what comes of it, if that is one that memory may hold.
    pub(crate) fn size(&self) -> Option<u64> {
        (self.size < 1 << 30).then_some(self.size)
    }

    /// Puts the parts together. `None` when they do not give the size, or the compressor refuses.
    pub(crate) fn assemble(&self, parts: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        let mut parts = parts.into_iter();
        let (rest, mut kernel) = (parts.next()?, parts.next()?);
        let relocs = parts.next();
        if relocs.is_some() != self.relocs.is_some() {
            return None;
        }
        if let Some(distances) = relocs {
            relocs::restore(&distances, &mut kernel)?;
        }
        let (before, after) = rest.split_at_checked(usize::try_from(self.split).ok()?)?;
        let packed = self.codec.compress(&kernel)?;
        // The longest of all, and no longer needed.
        drop(kernel);
        let whole = [before, &packed, after].concat();
        (whole.len() as u64 == self.size).then_some(whole)
    }

    /// The recipe's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![if self.relocs.is_some() { THREE } else { TWO }];
        self.parts().iter().for_each(|part| out.extend(part.as_bytes()));
        put(&mut out, self.size);
        put(&mut out, self.split);
        self.codec.write(&mut out);
        out
    }

    /// Reads a recipe.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Cut> {
        let mut reader = Reader(bytes);
        let has_relocs = match reader.bytes(1)? {
            [TWO] => false,
            [THREE] => true,
            _ => return Err(Cut),
        };
        let mut part =
            || reader.bytes(32)?.first_chunk::<32>().map(|it| Digest::from(*it)).ok_or(Cut);
        let (rest, kernel) = (part()?, part()?);
        let relocs = if has_relocs { Some(part()?) } else { None };
        let (size, split) = (reader.number()?, reader.number()?);
        let codec = Codec::read(&mut reader)?;
        let recipe = Self { rest, kernel, relocs, size, split, codec };
        if reader.0.is_empty() { Ok(recipe) } else { Err(Cut) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::store::object_of;
    use crate::blob::table::{Form, encode_parts};
    use crate::error::StoreError;
    use crate::location::Location;
    use crate::store::Store;

    /// As when the compressor is another version than the one that packed: all that is stored is
    /// right, and what comes of it is not.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_does_not_come_out_the_same_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::folder(folder.path().join("store"));
        let store = Store::open(&location).await.unwrap();
        let (rest, kernel) = (b"before and after".to_vec(), b"kernel kernel".repeat(500));
        let codec = Codec::Bzip2 { level: 9 };
        let packed = codec.compress(&kernel).unwrap();
        let mut other = [&rest[..6], &packed, &rest[6..]].concat();
        other[20] ^= 1;
        let (size, split) = (other.len() as u64, 6);
        let other = bytes::Bytes::from(other);
        let digest = store.put_bytes(other.clone()).await.unwrap();
        let reader = store.reader(&digest).await.unwrap();
        let parts = [rest, kernel].map(|part| store.put_bytes(part.into()));
        let parts = futures::future::try_join_all(parts).await.unwrap();
        let (rest, kernel, relocs) = (parts[0], parts[1], None);
        let recipe = Recipe { rest, kernel, relocs, size, split, codec };
        let stored = encode_parts(&recipe, reader.proof());
        store.inner().objects.put(&object_of(&digest), stored.into()).await.unwrap();
        let reader = store.reader(&digest).await.unwrap();
        let error = reader.read(0..size).await.unwrap_err();
        assert!(matches!(error, StoreError::NotRepeated(it) if it == digest), "{error}");
        assert!(store.contains(&digest).await.unwrap(), "it stays");
        for part in &parts {
            assert!(store.contains(part).await.unwrap());
        }
        // Who has the bytes mends it, be it another process; who has only its name is told.
        let again = Store::open(&location).await.unwrap();
        let named = [("bzImage".to_owned(), digest)];
        let error = again.push_blobs(&named, None).await.unwrap_err();
        assert!(matches!(error, StoreError::NotRepeated(it) if it == digest), "{error}");
        assert!(matches!(reader.stands().await, Err(StoreError::NotRepeated(_))));
        let report = store.verify(true, &|_| ()).await.unwrap();
        assert_eq!((report.problems.len(), report.quarantined), (1, 0), "{:?}", report.problems);
        assert_eq!(again.put_bytes(other.clone()).await.unwrap(), digest);
        let reader = store.reader(&digest).await.unwrap();
        assert_eq!(
            (reader.form(), reader.read(0..size).await.unwrap()),
            (Form::Fast, other.into())
        );
        again.push_blobs(&named, None).await.unwrap();
    }

    #[test]
    fn a_recipe_comes_back_and_gives_the_whole() {
        let kernel = b"kernel kernel kernel kernel".repeat(500);
        let words: Vec<u8> = (7..900_u32).flat_map(|n| (n * 33).to_le_bytes()).collect();
        let distances = relocs::shorten(&words).unwrap();
        let (rest, codec) = (b"before and after".to_vec(), Codec::Bzip2 { level: 9 });
        for relocs in [None, Some(distances)] {
            let behind = relocs.as_ref().map_or(&[][..], |_| &words);
            let packed = codec.compress(&[&kernel[..], behind].concat()).unwrap();
            let whole = [&rest[..6], &packed, &rest[6..]].concat();
            let recipe = Recipe {
                rest: Digest::of(&rest),
                kernel: Digest::of(&kernel),
                relocs: relocs.as_deref().map(Digest::of),
                size: whole.len() as u64,
                split: 6,
                codec: codec.clone(),
            };
            let bytes = recipe.to_bytes();
            assert_eq!(bytes[0], if relocs.is_some() { 2 } else { 1 });
            assert_eq!(Recipe::parse(&bytes), Ok(recipe.clone()));
            for len in 0..bytes.len() {
                assert!(Recipe::parse(&bytes[..len]).is_err());
            }
            let other = [&[3], &bytes[1..]].concat();
            assert_eq!(Recipe::parse(&other), Err(Cut));
            let parts: Vec<_> = [rest.clone(), kernel.clone()].into_iter().chain(relocs).collect();
            assert_eq!(recipe.assemble(parts.clone()), Some(whole));
            assert_eq!(recipe.assemble(parts[..parts.len() - 1].to_vec()), None);
            let wrong = Recipe { split: 99, ..recipe };
            assert_eq!(wrong.assemble(parts), None);
        }
    }

    /// Stores that were packed before have recipes like this.
    #[test]
    fn a_recipe_without_relocations_has_the_bytes_that_it_always_had() {
        let recipe = Recipe {
            rest: Digest::from([1; 32]),
            kernel: Digest::from([2; 32]),
            relocs: None,
            size: 300,
            split: 6,
            codec: Codec::Bzip2 { level: 9 },
        };
        let bytes = [&[1][..], &[1; 32], &[2; 32], &[0xac, 2, 6, 4, 9]].concat();
        assert_eq!((recipe.to_bytes(), Recipe::parse(&bytes)), (bytes, Ok(recipe)));
    }
}
