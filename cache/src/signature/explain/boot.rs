//! Two boot images: the kernel inside, and the code around it, each by itself.

use std::path::Path;

use crate::signature::SignatureError;
use crate::signature::image::{Code, companion, own_of, payload_of};
use crate::signature::mapping::{ByteSource, Mapping};

use super::kernel::{Elves, Side};
use super::modules::differing;
use super::{Cause, CauseKind, Difference};

/// What the boot code is told of its kernel: how far it is from `_text` to each of these (Linux,
/// arch/x86/boot/compressed/Makefile, `voffset.h`).
const MEASURED: [&str; 3] = ["_end", "__bss_start", "__start_rodata"];
const START: &str = "_text";
const SETUP: &str = "set-up code";
const DECOMPRESSOR: &str = "decompressor";
/// Where the set-up header begins. Before it is the PE header, of which sizes grow with the kernel's.
const SETUP_HEADER: usize = 0x1f1;
/// Bytes of such a number.
const WIDTH: usize = 4;

/// The differences of two boot images. `kernel_differs`: whether anything that `image` sees differs in
/// the kernels beside them.
pub(super) fn differences(
    name: &str,
    [a, b]: [&Path; 2],
    elves: &Elves<'_>,
    kernel_differs: bool,
) -> Result<Vec<Difference>, SignatureError> {
    let (a, b) = (Mapping::open(a)?, Mapping::open(b)?);
    if a.bytes() == b.bytes() {
        return Ok(Vec::new());
    }
    let row = |place: &str, bytes, cause| Difference {
        file: name.to_owned(),
        place: place.to_owned(),
        symbols: Vec::new(),
        symbol_count: 0,
        bytes,
        masked: false,
        causes: vec![cause],
    };
    let own = [(&a, &elves.before), (&b, &elves.after)]
        .map(|(file, side)| own_of(file, &side.elf, side.source));
    let [Some(before), Some(after)] = own else {
        return Ok(vec![unread(&row, [&a, &b], elves)]);
    };
    let mut rows = Vec::new();
    let numbers = Numbers::of(elves, [&a, &b]);
    let decompressor = numbers.cause(DECOMPRESSOR, &before.decompressor, &after.decompressor);
    let setup = numbers.cause(SETUP, &before.setup, &after.setup);
    // Its fields lead into the decompressor: when that is another one, they are as much the same.
    let setup = setup.filter(|_| decompressor.is_none() || before.setup.shown != after.setup.shown);
    let packed = |bytes: &[u8]| payload_of(bytes).unwrap_or(0..0);
    let (packed_before, packed_after) =
        (&a.bytes()[packed(a.bytes())], &b.bytes()[packed(b.bytes())]);
    let repacked = packed_before != packed_after;
    let moves = repacked || decompressor.is_some();
    for (place, cause, old, new) in [
        (SETUP, setup, &before.setup, &after.setup),
        (DECOMPRESSOR, decompressor, &before.decompressor, &after.decompressor),
    ] {
        rows.extend(cause.map(|cause| row(place, differing(&old.shown, &new.shown), cause)));
        if old.counts_as(new) && old.bytes != new.bytes {
            let row =
                row(place, differing(&old.bytes, &new.bytes), follows(CauseKind::Moved, moves));
            rows.push(Difference { masked: true, ..row });
        }
    }
    if before.relocations != after.relocations {
        let place = "addresses to change when the kernel is moved";
        // They are made of the kernel, which has them as its own bytes as well.
        let cause = match kernel_differs {
            true => Cause::new(CauseKind::CompressedKernel, ""),
            false => Cause::new(CauseKind::Unknown, "they are made of equal kernels"),
        };
        rows.push(row(place, 0, cause));
    }
    if repacked || before.said != after.said {
        let bytes = differing(packed_before, packed_after) + differing(&before.said, &after.said);
        let cause = follows(CauseKind::CompressedKernel, repacked);
        let row = row("the kernel inside and its version", bytes, cause);
        rows.insert(0, Difference { masked: true, ..row });
    }
    if rows.is_empty() {
        let bytes = differing(a.bytes(), b.bytes());
        let row = row("room behind the kernel inside", bytes, follows(CauseKind::Moved, repacked));
        rows.push(Difference { masked: true, ..row });
    }
    Ok(rows)
}

/// The cause of what is hidden because it follows from the kernel inside: if that is another one.
fn follows(kind: CauseKind, is_another: bool) -> Cause {
    match is_another {
        true => Cause::new(kind, ""),
        false => Cause::new(CauseKind::Unknown, "the kernel inside is the same"),
    }
}

/// The row of two boot images that are not taken apart.
fn unread(
    row: &dyn Fn(&str, u64, Cause) -> Difference,
    [a, b]: [&Mapping; 2],
    elves: &Elves<'_>,
) -> Difference {
    let part = |file: &Mapping, side: &Side<'_>| companion(file, &side.elf, side.source);
    let parts = [part(a, &elves.before), part(b, &elves.after)];
    let bytes = differing(a.bytes(), b.bytes());
    if parts[0] == parts[1] {
        let [old, new] = [&elves.before, &elves.after].map(|it| it.source.bytes());
        let cause = follows(CauseKind::CompressedKernel, old != new);
        return Difference { masked: true, ..row("the kernel inside", bytes, cause) };
    }
    let (place, why) = match parts.map(|it| it.kind) {
        ["flat", "flat"] => ("between sections", "bytes that are none of vmlinux"),
        _ => ("the boot image", "it is not made of the vmlinux beside it, or can't be unpacked"),
    };
    row(place, bytes, Cause::new(CauseKind::Unknown, why))
}

/// Numbers that boot code has of its kernel, in two builds: those that are not the same.
struct Numbers {
    all: Vec<[u32; 2]>,
    /// By how much the second kernel is longer, if it is.
    longer: Option<u32>,
}

/// How two pieces of code compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Equal,
    /// But for numbers of the kernel.
    Numbers,
    Different,
}

impl Numbers {
    fn of(elves: &Elves<'_>, files: [&Mapping; 2]) -> Self {
        let sides = [&elves.before, &elves.after];
        let far = |side: &Side<'_>, name: &str| {
            let (end, start) = (side.symbols.only(name)?, side.symbols.only(START)?);
            Some(end.address.wrapping_sub(start.address) as u32)
        };
        // The length of the unpacked kernel is the end of the packed one (see `payload`).
        let unpacked = |file: &Mapping| {
            let packed = file.bytes().get(payload_of(file.bytes())?)?;
            packed.last_chunk().map(|it| u32::from_le_bytes(*it))
        };
        let pair = |[a, b]: [Option<u32>; 2]| Some([a?, b?]).filter(|[a, b]| a != b);
        let measured = MEASURED.iter().map(|name| pair(sides.map(|it| far(it, name))));
        let longer = pair(sides.map(|it| far(it, MEASURED[0]))).map(|[a, b]| b.wrapping_sub(a));
        let all = measured.chain([pair(files.map(unpacked))]).flatten().collect();
        Self { all, longer }
    }

    /// Why code differs; `None` if it does not.
    fn cause(&self, place: &str, old: &Code, new: &Code) -> Option<Cause> {
        let compared = self.compare(&old.shown, &new.shown, place == SETUP);
        match (compared, old.leads == new.leads) {
            (Compared::Equal, true) => None,
            (Compared::Numbers, true) => Some(Cause::new(CauseKind::CompressedKernel, "")),
            (Compared::Equal, false) => Some(Cause::new(
                CauseKind::BootCode,
                format!("fields of the {place} lead elsewhere"),
            )),
            // Places are told by how many bytes are not zero, and those of numbers may be.
            (Compared::Numbers, false) => Some(Cause::new(
                CauseKind::Unknown,
                "numbers of the kernel's size, and perhaps more",
            )),
            (Compared::Different, _) => Some(Cause::new(CauseKind::BootCode, place)),
        }
    }

    fn compare(&self, old: &[u8], new: &[u8], is_setup: bool) -> Compared {
        if old == new {
            return Compared::Equal;
        }
        if old.len() != new.len() {
            return Compared::Different;
        }
        let word = |bytes: &[u8], at: usize| {
            Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<WIDTH>()?))
        };
        let mut at = 0;
        while let Some(next) = (at..old.len()).find(|&it| old[it] != new[it]) {
            let is_number = |&start: &usize| {
                let Some((a, b)) = word(old, start).zip(word(new, start)) else { return false };
                let grows = is_setup && start + WIDTH <= SETUP_HEADER;
                self.all.contains(&[a, b]) || (grows && self.longer == Some(b.wrapping_sub(a)))
            };
            // Its lowest bytes may be the same.
            let first = (next + 1).saturating_sub(WIDTH).max(at);
            let Some(start) = (first..=next).rev().find(is_number) else {
                return Compared::Different;
            };
            at = start + WIDTH;
        }
        Compared::Numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_kernel_are_told_from_code() {
        let numbers = Numbers { all: vec![[0x1234, 0x2234]], longer: Some(0x1000) };
        let old = [0x90, 0x34, 0x12, 0, 0, 0xc3];
        let new = [0x90, 0x34, 0x22, 0, 0, 0xc3];
        assert_eq!(numbers.compare(&old, &old, false), Compared::Equal);
        assert_eq!(numbers.compare(&old, &new, false), Compared::Numbers);
        let mut code = new;
        code[5] = 0xcb;
        assert_eq!(numbers.compare(&old, &code, false), Compared::Different);
        let mut other = new;
        other[2] = 0x23;
        assert_eq!(numbers.compare(&old, &other, false), Compared::Different);
        assert_eq!(numbers.compare(&old, &new[..5], false), Compared::Different);
        // Sizes in the PE header, which is before the set-up header.
        let (old, new) = ([0, 0x50, 0, 0, 0], [0, 0x60, 0, 0, 0]);
        assert_eq!(numbers.compare(&old, &new, true), Compared::Numbers);
        assert_eq!(numbers.compare(&old, &new, false), Compared::Different);
    }
}
