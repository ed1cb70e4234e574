//! The text that a failing build or machine leaves between two records.

/// Keeps the beginning of a text: its first lines, and no more.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<String>);

/// Lines worth keeping: the cause comes first, what follows repeats it.
const MOST: usize = 8;

impl Kept {
    pub(super) fn add(&mut self, text: &str) {
        if self.0.len() < MOST && !text.trim().is_empty() {
            self.0.push(text.trim_end().to_owned());
        }
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
