//! Fields that hold addresses, found in machine code, data and text by their looks.
//!
//! When a function grows, everything behind it moves, and every field that refers to something
//! that moved changes its value, although nothing else happened. Whoever knows how far things
//! moved can say the new value. Here nothing has to be right: a field that is taken for another
//! thing gives a wrong guess, which is corrected byte by byte like everything else that differs.
//! It only has to be the same when packing and when unpacking.

/// What the bytes of a page look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// No fields.
    Raw = 0,
    /// x86-64 instructions: calls, jumps, RIP-relative operands, sign-extended addresses.
    Code = 1,
    /// Aligned pointers.
    Words = 2,
    /// Aligned pointers, and 32-bit distances from the field to what it refers to.
    Relative = 3,
    /// Aligned pointers, and 32-bit offsets from the lowest address.
    Offsets = 4,
    /// The same, counted downwards from -1 (kallsyms with per-CPU symbols).
    Negated = 5,
    /// Pointers at any offset (debug information).
    Loose = 6,
    /// Addresses in hexadecimal, 16 digits (`System.map`).
    Text = 7,
}

impl Class {
    pub(crate) const ALL: [Self; 8] = [
        Self::Raw,
        Self::Code,
        Self::Words,
        Self::Relative,
        Self::Offsets,
        Self::Negated,
        Self::Loose,
        Self::Text,
    ];

    /// The class of a number.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// How a field refers to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Low half of the address, 4 bytes.
    Abs32,
    /// The address, 8 bytes.
    Abs64,
    /// Distance from the field's end, 4 bytes.
    Distance,
    /// Distance from the field's begin, 4 bytes.
    FromHere,
    /// Offset from the lowest address, 4 bytes.
    Offset,
    /// -1 less the offset, 4 bytes.
    Negated,
    /// The address in 16 hexadecimal digits.
    Digits,
}

/// Where a run of bytes lies, in the base.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Offset in the base: what is aligned there is aligned.
    pub(crate) offset: u64,
    /// Address of the first byte, when it has one.
    pub(crate) addr: Option<u64>,
    /// The base's lowest address.
    pub(crate) low: u64,
    /// Length of the base's program.
    pub(crate) size: u64,
}

/// What is to be done with a field.
pub(crate) trait Visit {
    /// A field at an index, with its target as an offset from the lowest address. `Some`: replace
    /// it, the target having moved so far.
    fn field(&mut self, at: usize, kind: Kind, target: u32) -> Option<i32>;
}

/// Finds the fields of a class. `here` is how far the bytes themselves moved in memory.
pub(crate) fn scan(
    class: Class,
    bytes: &mut [u8],
    place: &Place,
    here: i64,
    visit: &mut impl Visit,
) {
    let mut fields = Fields { bytes, place, here, visit };
    match class {
        Class::Raw => {}
        Class::Code => fields.code(),
        Class::Words => fields.words(None),
        Class::Relative => fields.words(Some(Kind::FromHere)),
        Class::Offsets => fields.words(Some(Kind::Offset)),
        Class::Negated => fields.words(Some(Kind::Negated)),
        Class::Loose => fields.loose(),
        Class::Text => fields.text(),
    }
}

struct Fields<'a, V> {
    bytes: &'a mut [u8],
    place: &'a Place,
    here: i64,
    visit: &'a mut V,
}

/// What an opcode byte says of the bytes behind it.
const OPCODE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        // ModRM: no register, RIP-relative.
        if byte & 0xc7 == 0x05 {
            table[byte] = 1;
        }
        byte += 1;
    }
    // call, jmp
    table[0xe8] = 1;
    table[0xe9] = 1;
    // two-byte opcodes, of which 80..8f jump
    table[0x0f] = 2;
    table
};

impl<V: Visit> Fields<'_, V> {
    fn u32(&self, at: usize) -> u32 {
        self.bytes.get(at..at + 4).map_or(0, |it| u32::from_le_bytes([it[0], it[1], it[2], it[3]]))
    }

    fn write32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// A target as an offset from the lowest address, if it lies in the program.
    fn inside(&self, target: u64) -> Option<u32> {
        let offset = target.wrapping_sub(self.place.low);
        (offset < self.place.size).then_some(offset as u32)
    }

    fn code(&mut self) {
        let Some(base) = self.place.addr else { return };
        // Kernels lie in the topmost 2 GiB, where sign extension gives the whole address.
        let (low, size) = (self.place.low as u32, self.place.size as u32);
        let mut at = 0;
        while at + 4 <= self.bytes.len() {
            let offset = self.u32(at).wrapping_sub(low);
            if offset < size {
                if let Some(moved) = self.visit.field(at, Kind::Abs32, offset) {
                    let value = self.u32(at).wrapping_add_signed(moved);
                    self.write32(at, value);
                }
                at += 4;
                continue;
            }
            let field = match OPCODE[usize::from(self.bytes[at])] {
                0 => {
                    at += 1;
                    continue;
                }
                1 => at + 1,
                _ if self.bytes[at + 1] & 0xf0 == 0x80 => at + 2,
                _ => {
                    at += 1;
                    continue;
                }
            };
            if field + 4 > self.bytes.len() {
                break;
            }
            let value = self.u32(field);
            let end = base.wrapping_add(field as u64 + 4);
            match self.inside(end.wrapping_add_signed(i64::from(value as i32))) {
                Some(target) => {
                    if let Some(moved) = self.visit.field(field, Kind::Distance, target) {
                        let step = i64::from(moved).wrapping_sub(self.here) as i32;
                        self.write32(field, value.wrapping_add_signed(step));
                    }
                    at = field + 4;
                }
                None => at += 1,
            }
        }
    }

    fn words(&mut self, half: Option<Kind>) {
        let mut at = (self.place.offset.wrapping_neg() % 4) as usize;
        while at + 4 <= self.bytes.len() {
            let offset = self.place.offset + at as u64;
            if offset.is_multiple_of(8) && at + 8 <= self.bytes.len() {
                let value = u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32;
                if let Some(target) = self.inside(value) {
                    self.pointer(at, value, target);
                    at += 8;
                    continue;
                }
            }
            if let Some(kind) = half {
                self.half(at, kind);
            }
            at += 4;
        }
    }

    fn half(&mut self, at: usize, kind: Kind) {
        let value = self.u32(at);
        let target = match kind {
            Kind::FromHere => self.place.addr.and_then(|base| {
                let here = base.wrapping_add(at as u64);
                self.inside(here.wrapping_add_signed(i64::from(value as i32)))
            }),
            Kind::Offset => (u64::from(value) < self.place.size).then_some(value),
            _ => (u64::from(!value) < self.place.size).then_some(!value),
        };
        let Some(target) = target.filter(|_| value != 0) else { return };
        let Some(moved) = self.visit.field(at, kind, target) else { return };
        let step = match kind {
            Kind::FromHere => i64::from(moved).wrapping_sub(self.here) as i32,
            Kind::Offset => moved,
            _ => moved.wrapping_neg(),
        };
        self.write32(at, value.wrapping_add_signed(step));
    }

    fn pointer(&mut self, at: usize, value: u64, target: u32) {
        if let Some(moved) = self.visit.field(at, Kind::Abs64, target) {
            let value = value.wrapping_add_signed(i64::from(moved));
            self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    }

    fn loose(&mut self) {
        let mut at = 0;
        while at + 8 <= self.bytes.len() {
            // Addresses of kernels end in four bytes of ones.
            if self.bytes[at + 7] != 0xff {
                at += 8;
                continue;
            }
            let Some(first) = (at..at + 8)
                .find(|n| n + 8 <= self.bytes.len() && self.bytes[n + 4..n + 8] == [0xff; 4])
            else {
                at += 8;
                continue;
            };
            let value = u64::from(self.u32(first)) | u64::from(u32::MAX) << 32;
            match self.inside(value) {
                Some(target) => {
                    self.pointer(first, value, target);
                    at = first + 8;
                }
                None => at = first + 1,
            }
        }
    }

    fn text(&mut self) {
        let mut at = 0;
        while let Some(found) =
            self.bytes.get(at..).and_then(|rest| memchr::memmem::find(rest, b"ffffffff"))
        {
            at += found;
            let Some(value) = self.bytes.get(at..at + 16).and_then(hexadecimal) else {
                at += 1;
                continue;
            };
            if let Some(target) = self.inside(value)
                && let Some(moved) = self.visit.field(at, Kind::Digits, target)
            {
                let value = value.wrapping_add_signed(i64::from(moved));
                for (n, digit) in self.bytes[at..at + 16].iter_mut().enumerate() {
                    *digit = b"0123456789abcdef"[(value >> (60 - 4 * n) & 15) as usize];
                }
            }
            at += 16;
        }
    }
}

/// Reads digits as `nm` writes them.
pub(crate) fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: u64 = 0xffff_ffff_8100_0000;

    /// Everything at or behind 0x1000 moved by 0x20.
    struct Move;

    impl Visit for Move {
        fn field(&mut self, _: usize, _: Kind, target: u32) -> Option<i32> {
            Some(if target >= 0x1000 { 0x20 } else { 0 })
        }
    }

    fn moved(class: Class, bytes: &[u8], addr: u64) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let place = Place { offset: 0, addr: Some(addr), low: LOW, size: 0x10000 };
        let here = if addr >= LOW + 0x1000 { 0x20 } else { 0 };
        scan(class, &mut bytes, &place, here, &mut Move);
        bytes
    }

    #[test]
    fn calls_over_the_border_change_and_others_do_not() {
        // call +0x2000; call +0x10; a RIP-relative load; mov $address,%rdi
        let code = b"\xe8\0\x20\0\0\xe8\x10\0\0\0\x48\x8b\x05\0\x20\0\0\x48\xc7\xc7\0\x20\0\x81";
        let want =
            b"\xe8\x20\x20\0\0\xe8\x10\0\0\0\x48\x8b\x05\x20\x20\0\0\x48\xc7\xc7\x20\x20\0\x81";
        assert_eq!(moved(Class::Code, code, LOW), want);
        // Behind the border everything moves with it, but for the address.
        let want = b"\xe8\0\x20\0\0\xe8\x10\0\0\0\x48\x8b\x05\0\x20\0\0\x48\xc7\xc7\x20\x20\0\x81";
        assert_eq!(moved(Class::Code, code, LOW + 0x2000), want);
    }

    #[test]
    fn words_and_their_halves() {
        let pointer = (LOW + 0x1234).to_le_bytes();
        let want = (LOW + 0x1254).to_le_bytes();
        for class in [Class::Words, Class::Relative, Class::Offsets, Class::Negated, Class::Loose] {
            assert_eq!(moved(class, &pointer, LOW), want, "{class:?}");
        }
        assert_eq!(moved(Class::Relative, &[0, 0x20, 0, 0], LOW), [0x20, 0x20, 0, 0]);
        assert_eq!(moved(Class::Offsets, &[0, 0x20, 0, 0], LOW), [0x20, 0x20, 0, 0]);
        assert_eq!(moved(Class::Negated, &[0xff, 0xdf, 0xff, 0xff], LOW), [0xdf, 0xdf, 0xff, 0xff]);
        let mut odd = vec![7; 3];
        odd.extend(pointer);
        assert_eq!(moved(Class::Loose, &odd, LOW)[3..], want);
    }

    #[test]
    fn text_is_rewritten() {
        let text = b"ffffffff81000800 T a\nffffffff81002000 t b\n";
        let want = b"ffffffff81000800 T a\nffffffff81002020 t b\n";
        assert_eq!(moved(Class::Text, text, LOW), want);
    }
}
