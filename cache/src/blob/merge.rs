//! BLAKE3 as a tree: from the hashes of a blob's frames to the digest that names the blob.
//!
//! BLAKE3 hashes 1 KiB chunks and joins them in a binary tree whose left side always is the
//! largest power of two of chunks that leaves something for the right side. A frame is a power of
//! two of chunks, so every frame but the last is a complete subtree, the last is the right edge,
//! and the tree over frames has the same rule ("largest power of two of frames").

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::digest::Digest;

/// Both hashes of one frame.
pub(crate) struct FrameHash {
    /// As a part of a longer blob, at the offset it was hashed for.
    pub(crate) part: ChainingValue,
    /// As a blob of its own; means something only for the frame at offset 0.
    pub(crate) whole: Option<Digest>,
}

/// Hashes a frame that is not empty and begins at `offset`, a multiple of its nominal size.
pub(crate) fn hash_frame(offset: u64, plain: &[u8]) -> FrameHash {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(plain);
    // `finalize` refuses a hasher that was told an offset.
    let whole = (offset == 0).then(|| hasher.finalize().into());
    FrameHash { part: hasher.finalize_non_root(), whole }
}

/// The digest of the blob whose frames have these hashes; `None` for fewer than two frames, whose
/// digest is not made by merging.
pub(crate) fn merge(parts: &[ChainingValue]) -> Option<Digest> {
    if parts.len() < 2 {
        return None;
    }
    let (left, right) = parts.split_at(left_len(parts.len()));
    Some(merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).into())
}

fn subtree(parts: &[ChainingValue]) -> ChainingValue {
    match parts {
        [part] => *part,
        _ => {
            let (left, right) = parts.split_at(left_len(parts.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// The largest power of two below `len`, which is at least 2.
fn left_len(len: usize) -> usize {
    len.div_ceil(2).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_frames_give_the_digest_of_the_whole() {
        let frame = 2048;
        let content: Vec<u8> = (0..frame * 21 + 5).map(|i| (i * i % 251) as u8).collect();
        for frames in 2..=20 {
            for len in [frames * frame - frame + 1, frames * frame - 1, frames * frame] {
                let parts: Vec<_> = content[..len]
                    .chunks(frame)
                    .enumerate()
                    .map(|(i, plain)| hash_frame((i * frame) as u64, plain).part)
                    .collect();
                assert_eq!(merge(&parts), Some(Digest::of(&content[..len])), "{len} bytes");
            }
        }
    }

    #[test]
    fn one_frame_is_hashed_as_it_is() {
        assert_eq!(hash_frame(0, b"kiln").whole, Some(Digest::of(b"kiln")));
        assert!(hash_frame(1024, b"kiln").whole.is_none());
        assert_eq!(merge(&[]), None);
        assert_eq!(merge(&[[0; 32]]), None);
    }
}
