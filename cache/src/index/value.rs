//! Between columns and types.

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;

/// Reads a digest column.
pub(super) fn digest(column: &str, text: &str) -> Result<Digest, StoreError> {
    text.parse().map_err(|error| damaged(column, error))
}

/// Reads an input key column.
pub(super) fn input_key(text: &str) -> Result<InputKey, StoreError> {
    digest("input_key", text).map(InputKey)
}

/// A column that holds what was never written there.
pub(super) fn damaged(column: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: format!("the index's column {column}"), why: why.to_string() }
}

/// What comes right behind all names that begin with these lower-case hexadecimal digits, and before
/// all others that come later: the end of their range.
pub(super) fn behind(digits: &str) -> String {
    format!("{digits}g")
}

/// `$first, $first+1, …`: so many placeholders.
pub(super) fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}

/// A count or size for a column: the database knows no unsigned numbers.
pub(super) fn to_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count or size from a column.
pub(super) fn from_column(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
