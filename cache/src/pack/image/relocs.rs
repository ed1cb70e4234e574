//! The relocations behind a kernel that may be loaded anywhere, as how far each is from the one
//! before.
//!
//! They are addresses in ascending order, 32-bit words (`emit_relocs` in arch/x86/tools/relocs.c),
//! and all that follow a place change when something is put in there. How far they are apart
//! changes in that place alone, so neighbouring builds have nearly all of it in common; and most
//! distances are short, so as LEB128 they take a third of the room even before anything else.

use crate::pack::delta::wire::{Reader, put};

/// Bytes of a word.
const WORD: usize = 4;
/// Fewer bytes are not worth a blob of their own.
const FEW: usize = 256;

/// The distances between words, each modulo 2³², the first from zero. `None` for what is little, no
/// whole number of words, does not get shorter this way, or does not come back.
pub(crate) fn shorten(words: &[u8]) -> Option<Vec<u8>> {
    if words.len() < FEW {
        return None;
    }
    let (mut out, mut last) = (Vec::with_capacity(words.len() / 2), 0_u32);
    let mut words_left = words.chunks_exact(WORD);
    for word in words_left.by_ref() {
        let word = u32::from_le_bytes(word.try_into().ok()?);
        put(&mut out, u64::from(word.wrapping_sub(last)));
        last = word;
    }
    if !words_left.remainder().is_empty() || out.len() >= words.len() {
        return None;
    }
    let mut back = Vec::new();
    restore(&out, &mut back)?;
    (back == words).then_some(out)
}

/// Appends the words that gave these distances. `None`, with some of them appended, for what
/// [`shorten`] never gives.
pub(crate) fn restore(distances: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // One that ends each number. It goes behind a whole kernel, which is not to grow twofold.
    let count = distances.iter().filter(|byte| **byte < 0x80).count();
    out.reserve_exact(count * WORD);
    let (mut distances, mut last) = (Reader(distances), 0_u32);
    while !distances.0.is_empty() {
        last = last.wrapping_add(u32::try_from(distances.number().ok()?).ok()?);
        out.extend(last.to_le_bytes());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn what_is_put_in_changes_one_place() {
        let words: Vec<u32> = (0..1000).map(|n| 0x8100_0000 + n * 24 + n % 7).collect();
        // As relocs.c writes them: each table behind a zero.
        let table = |words: &[u32]| bytes(&[&[0], words, &[0, 0x8200_0004], &[0], words].concat());
        let mut other = words.clone();
        other[500..].iter_mut().for_each(|word| *word += 300);
        let [one, other] = [table(&words), table(&other)].map(|it| shorten(&it).unwrap());
        assert!(one.len() < 2100, "{}", one.len());
        let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
        assert!(one[same + 1..same + 400] == other[same + 2..same + 401]);
    }

    #[test]
    fn what_is_no_table_stays_as_it_is() {
        let table = bytes(&(0..100).collect::<Vec<_>>());
        assert!(shorten(&table).is_some());
        for cut in [1, 2, 3] {
            assert_eq!(shorten(&table[cut..]), None);
        }
        assert_eq!(shorten(&[]), None);
        assert_eq!(shorten(&[0; FEW - WORD]), None, "padding");
        let wide: Vec<u32> = (0..100).map(|n| (n % 2 * 9) << 28).collect();
        assert_eq!(shorten(&bytes(&wide)), None, "longer than before");
    }

    #[test]
    fn distances_are_whole_numbers_of_32_bits() {
        for wrong in [&[0x80][..], &[1, 0xff], &[0xff, 0xff, 0xff, 0xff, 0x1f]] {
            assert_eq!(restore(wrong, &mut Vec::new()), None);
        }
        let mut out = b"kernel".to_vec();
        restore(&[0xff, 0xff, 0xff, 0xff, 0x0f, 2], &mut out).unwrap();
        assert_eq!(out, b"kernel\xff\xff\xff\xff\x01\0\0\0");
    }

    proptest! {
        #[test]
        fn words_come_back(words in proptest::collection::vec(any::<u32>(), 0..200), near: bool) {
            let words: Vec<u32> = words.iter().map(|it| if near { it >> 20 } else { *it }).collect();
            if let Some(short) = shorten(&bytes(&words)) {
                let mut back = Vec::new();
                restore(&short, &mut back).unwrap();
                prop_assert_eq!(back, bytes(&words));
            }
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = shorten(&bytes);
            let _ = restore(&bytes, &mut Vec::new());
        }
    }
}
