//! Numbers and texts as they go into a hash.

/// A hash, fed as it is written.
pub(super) struct Writer(blake3::Hasher);

impl Writer {
    /// Begins with a text that no other kind of hash begins with.
    pub(super) fn new(domain: &[u8]) -> Self {
        let mut writer = Self::part();
        writer.text(domain);
        writer
    }

    /// The hash of a part, which itself goes into a hash that has begun so.
    pub(super) fn part() -> Self {
        Self(blake3::Hasher::new())
    }

    pub(super) fn number(&mut self, value: u64) {
        self.0.update(&value.to_le_bytes());
    }

    pub(super) fn text(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.0.update(value);
    }

    pub(super) fn hash(&mut self, value: &blake3::Hash) {
        self.0.update(value.as_bytes());
    }

    pub(super) fn finish(&self) -> blake3::Hash {
        self.0.finalize()
    }
}
