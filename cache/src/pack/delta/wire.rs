//! Numbers as bytes: LEB128, and zigzag for signed ones.

/// Why bytes are no numbers: they end too early, or a number is longer than 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut;

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value << 1 ^ value >> 63) as u64);
}

/// Reads numbers from bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next number.
    pub(crate) fn number(&mut self) -> Result<u64, Cut> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Cut)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Cut);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Cut)
    }

    /// The next signed number.
    pub(crate) fn signed(&mut self) -> Result<i64, Cut> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next number, as a count of things that take at least one byte each of what follows:
    /// no claim can make a reader allocate more than it was given.
    pub(crate) fn count(&mut self) -> Result<usize, Cut> {
        let count = self.number()?;
        if count > self.0.len() as u64 { Err(Cut) } else { Ok(count as usize) }
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Cut> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Cut)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Bytes behind their number.
    pub(crate) fn block(&mut self) -> Result<&'a [u8], Cut> {
        let len = self.count()?;
        self.bytes(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let mut out = Vec::new();
        let numbers = [0, 1, 127, 128, 1 << 32, u64::MAX];
        let signed = [0, -1, 1, i64::MIN, i64::MAX];
        numbers.iter().for_each(|n| put(&mut out, *n));
        signed.iter().for_each(|n| put_signed(&mut out, *n));
        let mut reader = Reader(&out);
        numbers.iter().for_each(|n| assert_eq!(reader.number(), Ok(*n)));
        signed.iter().for_each(|n| assert_eq!(reader.signed(), Ok(*n)));
        assert_eq!(reader.number(), Err(Cut));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Reader(&[0xff; 11]).number(), Err(Cut));
        assert_eq!(Reader(&[5, 1]).count(), Err(Cut));
        assert_eq!(Reader(&[2, 1]).block(), Err(Cut));
    }
}
