//! The recipe of a blob that is stored in parts: two blobs, one of them compressed, put together.
//!
//! ```text
//! recipe = u8 1, u8[32] the rest, u8[32] the kernel, size, split, codec (numbers as in
//!          `super::delta::wire`)
//! blob   = rest[..split], the kernel compressed by the codec, rest[split..]
//! ```

use crate::digest::Digest;

use super::delta::wire::{Cut, Reader, put};
use super::image::Codec;

const VERSION: u8 = 1;

/// How to put a blob together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// The rest, and the kernel.
    pub(crate) parts: [Digest; 2],
    /// Size of the whole.
    pub(crate) size: u64,
    /// Where in the rest the compressed kernel goes.
    pub(crate) split: u64,
    pub(crate) codec: Codec,
}

impl Recipe {
    /// The blobs that it takes.
    pub(crate) fn parts(&self) -> &[Digest] {
        &self.parts
    }

    /// Size of what comes of it, if that is one that memory may hold.
    pub(crate) fn size(&self) -> Option<u64> {
        (self.size < 1 << 30).then_some(self.size)
    }

    /// Puts the parts together. `None` when they do not give the size, or the compressor refuses.
    pub(crate) fn assemble(&self, parts: &[Vec<u8>]) -> Option<Vec<u8>> {
        let [rest, kernel] = parts else { return None };
        let (before, after) = rest.split_at_checked(usize::try_from(self.split).ok()?)?;
        let packed = self.codec.compress(kernel)?;
        let whole = [before, &packed, after].concat();
        (whole.len() as u64 == self.size).then_some(whole)
    }

    /// The recipe's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        self.parts.iter().for_each(|part| out.extend(part.as_bytes()));
        put(&mut out, self.size);
        put(&mut out, self.split);
        self.codec.write(&mut out);
        out
    }

    /// Reads a recipe.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Cut> {
        let mut reader = Reader(bytes);
        if reader.bytes(1)? != [VERSION] {
            return Err(Cut);
        }
        let mut part =
            || reader.bytes(32)?.first_chunk::<32>().map(|it| Digest::from(*it)).ok_or(Cut);
        let parts = [part()?, part()?];
        let (size, split) = (reader.number()?, reader.number()?);
        let codec = Codec::read(&mut reader)?;
        if reader.0.is_empty() { Ok(Self { parts, size, split, codec }) } else { Err(Cut) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::store::object_of;
    use crate::blob::table::{Form, encode_recipe};
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
        let recipe = Recipe { parts: [parts[0], parts[1]], size, split, codec };
        let stored = encode_recipe(&recipe.to_bytes(), reader.proof(), Form::Parts);
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
        let packed = Codec::Bzip2 { level: 9 }.compress(&kernel).unwrap();
        let rest = b"before and after".to_vec();
        let whole = [&rest[..6], &packed, &rest[6..]].concat();
        let recipe = Recipe {
            parts: [Digest::of(&rest), Digest::of(&kernel)],
            size: whole.len() as u64,
            split: 6,
            codec: Codec::Bzip2 { level: 9 },
        };
        let bytes = recipe.to_bytes();
        assert_eq!(Recipe::parse(&bytes), Ok(recipe.clone()));
        for len in 0..bytes.len() {
            assert!(Recipe::parse(&bytes[..len]).is_err());
        }
        assert_eq!(recipe.assemble(&[rest.clone(), kernel.clone()]), Some(whole));
        assert_eq!(recipe.assemble(&[rest]), None);
        let wrong = Recipe { split: 99, ..recipe };
        assert_eq!(wrong.assemble(&[b"x".to_vec(), kernel]), None);
    }
}
