//! Unpacked frames that other blobs rest on, kept for a while: the frames of a keyframe are needed
//! for every kernel beside it. With them, whatever else all readers of a store share.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;

use crate::digest::Digest;

use super::checked::Checked;
use super::wholes::Wholes;

/// Bytes that are kept.
const LIMIT: usize = 96 << 20;

/// The least recently added frames go first.
#[derive(Debug, Default)]
pub(crate) struct FrameCache {
    frames: Mutex<Kept>,
    pub(super) wholes: Wholes,
    pub(super) checked: Checked,
}

#[derive(Debug, Default)]
struct Kept {
    frames: HashMap<(Digest, usize), Bytes>,
    order: VecDeque<(Digest, usize)>,
    bytes: usize,
}

impl FrameCache {
    /// A frame that is here. Not proven: whoever uses it proves what comes of it.
    pub(crate) fn get(&self, digest: &Digest, frame: usize) -> Option<Bytes> {
        self.kept().frames.get(&(*digest, frame)).cloned()
    }

    /// Keeps a frame.
    pub(crate) fn put(&self, digest: &Digest, frame: usize, bytes: Bytes) {
        let mut kept = self.kept();
        let key = (*digest, frame);
        kept.bytes += bytes.len();
        match kept.frames.insert(key, bytes) {
            Some(old) => kept.bytes -= old.len(),
            None => kept.order.push_back(key),
        }
        while kept.bytes > LIMIT {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(old) = kept.frames.remove(&oldest) {
                kept.bytes -= old.len();
            }
        }
    }

    /// Forgets the frames of a blob: what came of them was wrong.
    pub(crate) fn forget(&self, digest: &Digest) {
        let mut kept = self.kept();
        let Kept { frames, order, bytes } = &mut *kept;
        order.retain(|key| key.0 != *digest);
        frames.retain(|key, frame| {
            let stays = key.0 != *digest;
            if !stays {
                *bytes -= frame.len();
            }
            stays
        });
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // What a panicking holder left is a cache still: everything in it is proven by its user.
        self.frames.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_a_forgotten_blob_goes_whole() {
        let cache = FrameCache::default();
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let frame = Bytes::from(vec![0; LIMIT / 4]);
        for n in 0..4 {
            cache.put(&a, n, frame.clone());
        }
        cache.put(&b, 0, frame.clone());
        assert!(cache.get(&a, 0).is_none());
        assert!(cache.get(&a, 3).is_some() && cache.get(&b, 0).is_some());
        cache.forget(&a);
        assert!(cache.get(&a, 3).is_none() && cache.get(&b, 0).is_some());
        assert_eq!(cache.kept().bytes, LIMIT / 4);
    }
}
