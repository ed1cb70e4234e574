//! What can be wrong with a stored closure.

/// Bytes that are not a closure, or not one that this version understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClosureError {
    /// Not the head of a closure.
    #[error("this is not a closure of a format and rule that this version of Kiln knows")]
    Format,
    /// Something in it contradicts the format.
    #[error("the closure is damaged at byte {at}: {what}")]
    Damaged {
        /// Where, counted from 0.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}
