//! Which parts of a file were taken from which parts of another, when every address has moved:
//! long runs that agree in most bytes, not short ones that agree in all.

/// A run of the new file that resembles a run of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    /// Where it begins in the new file.
    pub(crate) new: u64,
    /// Where it begins in the base.
    pub(crate) base: u64,
    /// Its length in both.
    pub(crate) len: u64,
}

/// Bytes that must agree exactly to give a place to begin at.
const ANCHOR: usize = 16;
/// Bytes over which two places are compared.
const SIGHT: usize = 64;
/// Of these, how many must agree.
const ALIKE: usize = 44;
/// How far the score of a run may fall behind its best before it ends.
const FALL: i64 = 40;
/// Entries of the table of anchors, at most: 64 MiB.
const ENTRIES: usize = 1 << 24;

/// Finds the runs, ascending in the new file and not overlapping there. `starts` are places where
/// both files begin something of the same name: pairs of an offset of the new file and one of the
/// base, ascending.
pub(crate) fn find(base: &[u8], new: &[u8], starts: &[(u64, u64)]) -> Vec<Copy> {
    let anchors = Anchors::new(base);
    let mut copies: Vec<Copy> = Vec::new();
    let mut starts = starts.iter().peekable();
    let mut at = 0;
    while at < new.len() {
        let mut named = None;
        while let Some((_, there)) = starts.next_if(|(here, _)| *here <= at as u64) {
            named = Some(*there as usize);
        }
        let last = copies.last().map(|copy| at as u64 - copy.new + copy.base);
        let candidates = [named, last.map(|at| at as usize), anchors.at(base, new, at)];
        let best = candidates
            .into_iter()
            .flatten()
            .map(|there| (alike(base, there, new, at, SIGHT), there));
        let Some((score, there)) = best.max_by_key(|(score, _)| *score) else {
            at += 1;
            continue;
        };
        if score < ALIKE.min(new.len() - at) {
            at += 1;
            continue;
        }
        let begin = settle(base, new, &mut copies, at, there);
        let limit = starts.peek().map_or(new.len(), |(here, _)| *here as usize);
        let end = extend(base, new, at, there, limit, &anchors);
        let back = at - begin;
        if end > begin {
            let copy =
                Copy { new: begin as u64, base: (there - back) as u64, len: (end - begin) as u64 };
            append(&mut copies, copy);
        }
        at = end.max(at + 1);
    }
    copies.retain(|copy| copy.len > 0);
    copies
}

/// Adds a run behind others: one that goes on in both files where the last one ends makes that longer.
pub(super) fn append(copies: &mut Vec<Copy>, copy: Copy) {
    match copies.last_mut() {
        Some(last) if last.new + last.len == copy.new && last.base + last.len == copy.base => {
            last.len += copy.len;
        }
        _ => copies.push(copy),
    }
}

/// How many of the next bytes agree.
fn alike(base: &[u8], there: usize, new: &[u8], here: usize, sight: usize) -> usize {
    let (a, b) = (base.get(there..).unwrap_or_default(), &new[here..]);
    a.iter().zip(b).take(sight).filter(|(a, b)| a == b).count()
}

/// Where a run that was found at `at` really begins: before it, as far as it fits better than
/// the run before. Shortens that run; gives the new beginning.
fn settle(base: &[u8], new: &[u8], copies: &mut [Copy], at: usize, there: usize) -> usize {
    let last = copies.last_mut();
    let (end, shift) = last
        .as_deref()
        .map_or((0, None), |copy| ((copy.new + copy.len) as usize, Some((copy.new, copy.base))));
    // Into the gap, while it agrees well enough.
    let (mut begin, mut best, mut score) = (at, 0_i64, 0_i64);
    let mut n = at;
    while n > end && at - n < there {
        n -= 1;
        score += if new[n] == base[there - (at - n)] { 1 } else { -1 };
        if score > best {
            (best, begin) = (score, n);
        } else if score < best - 16 {
            break;
        }
    }
    if begin > end {
        return begin;
    }
    // Into the run before, while this one agrees better.
    let Some((last, (from, source))) = last.zip(shift) else { return begin };
    let (mut best, mut score) = (0_i64, 0_i64);
    let mut n = end;
    while n > from as usize && at - n < there && end - n < 4096 {
        n -= 1;
        let ours = new[n] == base[there - (at - n)];
        let theirs = new[n] == base[(source + n as u64 - from) as usize];
        score += i64::from(ours) - i64::from(theirs);
        if score > best {
            (best, begin) = (score, n);
        } else if score < best - 16 {
            break;
        }
    }
    last.len = begin as u64 - last.new;
    begin
}

/// How far a run goes on: to where it agrees too little, or where an anchor leads to a place that
/// agrees clearly better.
fn extend(
    base: &[u8],
    new: &[u8],
    here: usize,
    there: usize,
    limit: usize,
    anchors: &Anchors,
) -> usize {
    let (a, b) = (&base[there..], &new[here..limit]);
    let len = a.len().min(b.len());
    let (mut n, mut best, mut score, mut top) = (0, 0, 0_i64, 0_i64);
    while n < len {
        let block = (len - n).min(SIGHT);
        let same = a[n..n + block].iter().zip(&b[n..n + block]).filter(|(a, b)| a == b).count();
        if block == SIGHT && same < SIGHT - 6 {
            for m in n..n + block {
                let Some(other) = anchors.at(base, new, here + m) else { continue };
                if other == there + m {
                    continue;
                }
                let wide = |there: usize| alike(base, there, new, here + m, 4 * SIGHT);
                if wide(other) > wide(there + m) + 32 {
                    return here + m;
                }
            }
        }
        if same == block {
            score += block as i64;
            n += block;
            if score > top {
                (top, best) = (score, n);
            }
            continue;
        }
        for _ in 0..block {
            score += if a[n] == b[n] { 1 } else { -1 };
            n += 1;
            if score > top {
                (top, best) = (score, n);
            }
        }
        if score < top - FALL {
            break;
        }
    }
    here + best
}

/// A table of places of the base by the bytes that stand there.
struct Anchors {
    table: Vec<u32>,
    shift: u32,
}

impl Anchors {
    fn new(base: &[u8]) -> Self {
        let stride = (base.len() / ENTRIES + 1).next_power_of_two().max(2);
        let entries = (base.len() / stride * 2).next_power_of_two().clamp(1024, ENTRIES);
        let mut anchors =
            Self { table: vec![u32::MAX; entries], shift: 64 - entries.trailing_zeros() };
        // Backwards, so that of equal places the first stays.
        let last = base.len().saturating_sub(ANCHOR).min(u32::MAX as usize - 1);
        for at in (0..=last / stride).rev().map(|n| n * stride) {
            if let Some(slot) = anchors.slot(base, at) {
                anchors.table[slot] = at as u32;
            }
        }
        anchors
    }

    /// `None` for bytes that are all alike: they stand everywhere.
    fn slot(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let bytes: &[u8; ANCHOR] = bytes.get(at..at + ANCHOR)?.first_chunk()?;
        let value = u128::from_le_bytes(*bytes);
        let (low, high) = (value as u64, (value >> 64) as u64);
        if low == high && low == low.rotate_left(8) {
            return None;
        }
        let hash = (low ^ high.rotate_left(29).wrapping_mul(0xff51_afd7_ed55_8ccd))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some((hash >> self.shift) as usize)
    }

    /// A place of the base where the same bytes stand as at `at` of the new file.
    fn at(&self, base: &[u8], new: &[u8], at: usize) -> Option<usize> {
        let there = *self.table.get(self.slot(new, at)?)? as usize;
        (base.get(there..there + ANCHOR)? == &new[at..at + ANCHOR]).then_some(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize, seed: u8) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// What `find` promises whatever it is given.
    fn check(base: &[u8], new: &[u8], copies: &[Copy]) {
        let mut end = 0;
        for copy in copies {
            assert!(copy.new >= end && copy.len > 0, "{copies:?}");
            end = copy.new + copy.len;
            assert!(copy.base + copy.len <= base.len() as u64, "{copies:?}");
        }
        assert!(end <= new.len() as u64);
    }

    #[test]
    fn an_insertion_splits_a_file_in_two_runs() {
        let base = noise(10_000, 1);
        let mut new = base.clone();
        new.splice(4000..4000, noise(100, 2));
        // Now and then a byte differs, as moved addresses do.
        for byte in new.iter_mut().step_by(50) {
            *byte ^= 1;
        }
        let copies = find(&base, &new, &[]);
        check(&base, &new, &copies);
        let total: u64 = copies.iter().map(|copy| copy.len).sum();
        assert!(total > 9800, "{copies:?}");
        assert!(copies.len() <= 3, "{copies:?}");
    }

    #[test]
    fn odd_sizes_and_equal_bytes() {
        for (base, new) in [
            (vec![], vec![]),
            (noise(5, 1), noise(5, 1)),
            (vec![0; 5000], vec![0; 9000]),
            (noise(100, 1), noise(3000, 2)),
            (noise(3000, 1), vec![]),
            (vec![], noise(3000, 1)),
            ([noise(500, 3), noise(500, 4)].concat(), [noise(500, 4), noise(500, 3)].concat()),
        ] {
            let copies = find(&base, &new, &[(0, 0)]);
            check(&base, &new, &copies);
        }
    }
}
