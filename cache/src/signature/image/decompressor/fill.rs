//! Zeros that a linker fills up with.
//!
//! When what is behind the packed kernel begins some multiples of 16 bytes later, there are more or
//! fewer of them at two places (Linux, arch/x86/boot/compressed/vmlinux.lds.S):
//!
//! - behind the instructions, up to a multiple of 32, where the read-only data begin: 16, or none;
//! - behind the read-only data, up to a page, where the data begin: fewer than a page.
//!
//! Where those are, fields tell. The read-only data begin where the first field leads to that no
//! branch before it leads to or over; but not right behind other bytes, unless on a multiple of 32:
//! that is a function whose address is taken. The data begin on the last page that one leads to.
//! Only zeros of no instruction, with nothing in them that a field leads to, are fill.
//!
//! So how many zeros do not count is told by what counts, and by where the whole begins: two
//! decompressors that begin at one place have one form only if they are equal. All other zeros may be
//! values, and count.

use std::ops::Range;

use super::Field;

/// What the code behind the packed kernel is aligned to.
const CODE: usize = 16;
/// What compilers align large constants to at most, and so the linker all that are read only.
const READ_ONLY: usize = 32;
const PAGE: usize = 4096;

/// Zeros up to the start of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fill {
    /// Those that do not count, in bytes from the packed kernel's end with the zeros behind it.
    pub(super) zeros: Range<usize>,
    /// What the section is aligned to.
    pub(super) alignment: usize,
}

/// Something that a field leads to.
struct Start {
    /// Where it is, in bytes from the decompressor's start.
    address: usize,
    /// How many zeros that may be fill are right before it.
    zeros: usize,
}

impl Start {
    fn is_aligned(&self, alignment: usize) -> bool {
        self.address.is_multiple_of(alignment)
    }
}

/// The fill in `shown`, which begins at `begin`; `code` tells of each of its bytes whether it is one of
/// an instruction, `fields` are in order.
pub(super) fn fills(shown: &[u8], begin: usize, code: &[bool], fields: &[Field]) -> Vec<Fill> {
    let starts = starts(shown, begin, code, fields);
    let Some([read_only, rest @ ..]) = behind_code(&starts, begin, fields) else {
        return Vec::new();
    };
    let fill = |start: &Start, count: usize, alignment| {
        let end = start.address - begin;
        Fill { zeros: end - count..end, alignment }
    };
    let first = read_only.is_aligned(READ_ONLY);
    let first = first.then(|| fill(read_only, read_only.zeros & CODE, READ_ONLY));
    let data = rest.iter().rfind(|it| it.is_aligned(PAGE));
    let second = data.map(|it| fill(it, it.zeros % PAGE, PAGE));
    first.into_iter().chain(second).collect()
}

/// All that fields lead to, in order.
fn starts(shown: &[u8], begin: usize, code: &[bool], fields: &[Field]) -> Vec<Start> {
    let mut is_start = vec![false; shown.len()];
    for field in fields {
        let at = field.target.checked_sub(begin);
        if let Some(is_start) = at.and_then(|at| is_start.get_mut(at)) {
            *is_start = true;
        }
    }
    let mut starts = Vec::new();
    let mut zeros = 0;
    for (at, ((byte, is_code), is_start)) in shown.iter().zip(code).zip(is_start).enumerate() {
        if is_start {
            starts.push(Start { address: begin + at, zeros });
            zeros = 0;
        }
        zeros = if *byte == 0 && !is_code { zeros + 1 } else { 0 };
    }
    starts
}

/// Those behind the code.
fn behind_code<'a>(starts: &'a [Start], begin: usize, fields: &[Field]) -> Option<&'a [Start]> {
    let mut branches = fields.iter().filter(|it| it.is_branch).peekable();
    // How far branches lead.
    let mut reach = begin;
    let first = starts.iter().position(|start| {
        while let Some(branch) = branches.next_if(|it| it.at < start.address) {
            reach = reach.max(branch.target);
        }
        reach < start.address && (start.zeros > 0 || start.is_aligned(READ_ONLY))
    });
    first.and_then(|first| starts.get(first..))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code of 20 bytes with a function at 4 and one whose address is taken at 10, read-only data up
    /// to 8 bytes behind its start, data: all at the end of `room` bytes.
    fn zeros(room: usize) -> Vec<usize> {
        let read_only = (room + 20).next_multiple_of(READ_ONLY);
        let data = (read_only + 8).next_multiple_of(PAGE);
        let mut shown = vec![0; data + 16 - room];
        for range in [0..20, read_only - room..read_only + 8 - room, data - room..data + 16 - room]
        {
            shown[range].fill(7);
        }
        let field = |at, target, is_branch| Field { at, target, is_branch };
        let mut fields = vec![
            field(0, room + 4, true),
            field(room, room + 10, false),
            field(room + 5, read_only, false),
            field(room + 12, data, false),
            // Of data, so not one of code.
            field(read_only, data + 8, true),
        ];
        fields.sort_unstable();
        let fills = fills(&shown, room, &vec![false; shown.len()], &fields);
        assert_eq!(fills.iter().map(|it| it.alignment).collect::<Vec<_>>(), [READ_ONLY, PAGE]);
        assert_eq!([fills[0].zeros.end, fills[1].zeros.end], [read_only - room, data - room]);
        fills.iter().map(|it| it.zeros.len()).collect()
    }

    #[test]
    fn fill_is_up_to_the_read_only_data_and_to_the_data() {
        assert_eq!(zeros(64), [0, PAGE - 96 - 8]);
        assert_eq!(zeros(80), [16, PAGE - 128 - 8]);
        assert_eq!(zeros(8000), [0, 8192 - 8032 - 8]);
    }

    #[test]
    fn other_zeros_are_none() {
        let field = |at, target, is_branch| Field { at, target, is_branch };
        // A table of zeros before a function, and one up to the next constant.
        let mut shown = vec![7; 4096];
        shown[8..64].fill(0);
        shown[200..320].fill(0);
        let fields = [field(0, 64, false), field(1, 128, true), field(129, 160, false)];
        let code = vec![false; shown.len()];
        let found = fills(&shown, 0, &code, &fields);
        assert_eq!(found, [Fill { zeros: 160..160, alignment: READ_ONLY }]);
        let more = [&fields[..], &[field(130, 320, false)]].concat();
        assert_eq!(fills(&shown, 0, &code, &more), found);
    }
}
