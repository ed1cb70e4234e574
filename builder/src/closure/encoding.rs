//! Closures as bytes.
//!
//! ```text
//! closure = "kiln-closure 2 rule 1\n" set set set set      read, found, missing, listed
//! set     = count path*                              in order of bytes, each once
//! path    = shared rest byte*                        `shared` bytes of the path before it,
//!                                                    then `rest` bytes of its own
//! ```
//!
//! The head names the format and the [rule](RULE_VERSION) by which it was traced and is to be used.
//! A closure of another rule can't be read, so it proves nothing, and neither does any proof that
//! was stored with its digest. Numbers are unsigned LEB128 (DWARF 5, section 7.6). One closure has one encoding, so that its
//! digest is the closure's name.

use super::error::ClosureError;
use super::paths::Paths;
use super::reads::Closure;

/// Version of what makes a closure a proof: what the tracer writes down, and the rule that takes it
/// for a proof. Whoever finds either of them wrong raises it, here and in [`HEAD`]: every proof
/// given so far then counts for nothing.
pub const RULE_VERSION: u32 = 1;

const HEAD: &[u8] = b"kiln-closure 2 rule 1\n";

/// The longest path that Linux opens, in bytes (PATH_MAX).
const LONGEST: usize = 4096;
/// How many bytes all paths may have: each may share nearly all of the one before it, so that few bytes
/// could stand for very many. All paths of a tree of Linux are 3 MB.
const MOST: usize = 128 << 20;

impl Closure {
    /// The closure as bytes. About 15 bytes an entry; the store compresses them further.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        for set in [&self.read, &self.found, &self.missing, &self.listed] {
            put_set(&mut bytes, set);
        }
        bytes
    }

    /// Reads what [`Closure::encode`] wrote; anything else is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, ClosureError> {
        let mut reader = Reader::behind(HEAD, bytes)?;
        let closure = Self {
            read: reader.set()?,
            found: reader.set()?,
            missing: reader.set()?,
            listed: reader.set()?,
        };
        reader.end()?;
        Ok(closure)
    }
}

/// Appends a set of paths.
pub(crate) fn put_set(bytes: &mut Vec<u8>, set: &Paths) {
    put_number(bytes, set.len());
    let mut before: &[u8] = b"";
    for path in set.iter() {
        let shared = before.iter().zip(path).take_while(|(one, other)| one == other);
        let shared = shared.count();
        put_number(bytes, shared);
        put_number(bytes, path.len() - shared);
        bytes.extend_from_slice(&path[shared..]);
        before = path;
    }
}

/// Appends a number.
pub(crate) fn put_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads what [`put_set`] and [`put_number`] wrote.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many bytes the paths had so far.
    unfolded: usize,
}

impl<'a> Reader<'a> {
    /// At what follows the head.
    pub(crate) fn behind(head: &[u8], bytes: &'a [u8]) -> Result<Self, ClosureError> {
        let rest = bytes.strip_prefix(head).ok_or(ClosureError::Format)?;
        Ok(Self { bytes, at: bytes.len() - rest.len(), unfolded: 0 })
    }

    /// Fails unless everything was read.
    pub(crate) fn end(&self) -> Result<(), ClosureError> {
        match self.at == self.bytes.len() {
            true => Ok(()),
            false => Err(self.damaged("more bytes than it should have")),
        }
    }

    /// The error that something here is wrong.
    pub(crate) fn damaged(&self, what: &'static str) -> ClosureError {
        ClosureError::Damaged { at: self.at, what }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ClosureError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.damaged("it ends too soon"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> Result<usize, ClosureError> {
        let mut number = 0;
        // Four groups of seven bits: more than any path or count.
        for shift in [0, 7, 14, 21] {
            let byte = usize::from(self.take(1)?[0]);
            number |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return match byte == 0 && shift != 0 {
                    true => Err(self.damaged("a number with needless zeros")),
                    false => Ok(number),
                };
            }
        }
        Err(self.damaged("a number that is too large"))
    }

    /// The next set.
    pub(crate) fn set(&mut self) -> Result<Paths, ClosureError> {
        let count = self.number()?;
        // Each path takes two bytes at least, so a false count can't ask for much memory.
        let mut paths = Vec::with_capacity(count.min(self.bytes.len() / 2));
        let mut before: Box<[u8]> = Box::default();
        for index in 0..count {
            let shared = self.number()?;
            let rest = self.number()?;
            let rest = self.take(rest)?;
            let kept = before.get(..shared).ok_or_else(|| self.damaged("a path without a base"))?;
            if kept.len() + rest.len() > LONGEST {
                return Err(self.damaged("a path longer than Linux opens"));
            }
            self.unfolded += kept.len() + rest.len();
            if self.unfolded > MOST {
                return Err(self.damaged("more paths than a build asks for"));
            }
            let path: Box<[u8]> = [kept, rest].concat().into();
            if index > 0 && (path <= before || path.get(shared) == before.get(shared)) {
                return Err(self.damaged("paths out of order"));
            }
            if index > 0 {
                paths.push(std::mem::replace(&mut before, path));
            } else {
                before = path;
            }
        }
        if count > 0 {
            paths.push(before);
        }
        Ok(Paths::sorted(paths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn closure() -> impl Strategy<Value = Closure> {
        let paths =
            || proptest::collection::vec("[ab/\\x00-\\x02]{0,6}", 0..12).prop_map(Paths::new);
        (paths(), paths(), paths(), paths()).prop_map(|(read, found, missing, listed)| Closure {
            read,
            found,
            missing,
            listed,
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(closure in closure()) {
            prop_assert_eq!(Closure::decode(&closure.encode()), Ok(closure));
        }

        #[test]
        fn what_is_read_has_one_form(closure in closure(), at: usize, byte: u8) {
            let mut bytes = closure.encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(other) = Closure::decode(&bytes) {
                prop_assert_eq!(other.encode(), bytes);
            }
        }

        #[test]
        fn a_part_is_refused(closure in closure(), keep: usize) {
            let bytes = closure.encode();
            prop_assert!(Closure::decode(&bytes[..keep % bytes.len()]).is_err());
        }
    }

    #[test]
    fn little_does_not_stand_for_much() {
        let damaged = |body: &[u8]| match Closure::decode(&[HEAD, body].concat()) {
            Err(ClosureError::Damaged { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        let mut long = Vec::new();
        put_set(&mut long, &Paths::new(["a".repeat(LONGEST + 1)]));
        assert_eq!(damaged(&long), "a path longer than Linux opens");

        // Paths of 4,000 bytes that differ in their last three: five bytes each.
        let mut many = Vec::new();
        let (shared, count) = (3997, 40_000_u32);
        put_number(&mut many, count as usize);
        let mut before = [0; 3];
        for number in 0..count {
            let [_, own @ ..] = number.to_be_bytes();
            let same = own.iter().zip(before).take_while(|(one, other)| **one == *other).count();
            let (kept, path) = match number {
                0 => (0, [&[b'a'; 3997][..], &own].concat()),
                _ => (shared + same, own[same..].to_vec()),
            };
            put_number(&mut many, kept);
            put_number(&mut many, path.len());
            many.extend(path);
            before = own;
        }
        assert!(many.len() < 300_000, "{}", many.len());
        assert_eq!(damaged(&many), "more paths than a build asks for");
    }

    #[test]
    fn the_format_stays() {
        let closure = Closure {
            read: Paths::new(["Makefile", "mm/a.c", "mm/b.c"]),
            found: Paths::new(["mm"]),
            missing: Paths::default(),
            listed: Paths::new([""]),
        };
        let mut expected = b"kiln-closure 2 rule 1\n".to_vec();
        expected.extend(b"\x03\x00\x08Makefile\x00\x06mm/a.c\x03\x03b.c");
        expected.extend(b"\x01\x00\x02mm\x00\x01\x00\x00");
        assert_eq!(closure.encode(), expected);
        let body = &expected[HEAD.len()..];
        for head in ["kiln-closure 1\n", "kiln-closure 2 rule 0\n", "kiln-closure 2 rule 2\n"] {
            let other = [head.as_bytes(), body].concat();
            assert_eq!(Closure::decode(&other), Err(ClosureError::Format), "{head}");
        }
        assert_eq!(HEAD, format!("kiln-closure 2 rule {RULE_VERSION}\n").as_bytes());
        let endless = [HEAD, b"\xff\xff\xff\xff\xff\x01"].concat();
        assert!(matches!(Closure::decode(&endless), Err(ClosureError::Damaged { .. })));
    }
}
