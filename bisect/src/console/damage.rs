//! Tells a report that is damaged: cut off, torn, or mixed with another.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::item::{Item, Stack};
use super::pattern;

/// A time stamp in the middle of a title: two lines ran into one.
static STAMP: LazyLock<Regex> = LazyLock::new(|| pattern::compile(r"\[ *[0-9]+\.[0-9]+\]"));

/// Lines that may stand between a stack's headline and its first frame.
const WITHIN: usize = 15;

/// Whether a title has another line's time stamp in it.
pub(crate) fn torn_title(title: &str) -> bool {
    STAMP.is_match(title.as_bytes())
}

/// Whether a report lacks its stack, or one of the stacks that it announces: the first of each
/// kind, since later ones may be of reports that follow.
pub(crate) fn stacks_missing(items: &[Item<'_>], lines: &[&[u8]]) -> bool {
    let mut seen: Vec<Stack> = Vec::new();
    let mut whole = false;
    for (at, item) in items.iter().enumerate() {
        let Item::Heading(stack) = item else { continue };
        if seen.contains(stack) {
            continue;
        }
        seen.push(*stack);
        let below = items[at + 1..].iter().zip(&lines[at + 1..]).take(WITHIN);
        let has_frame =
            below.take_while(|(item, _)| !matches!(item, Item::Heading(_))).any(|(item, line)| {
                matches!(item, Item::Frame(..))
                    || super::find(line, b"(stack is not available)").is_some()
            });
        if !has_frame {
            return true;
        }
        whole = true;
    }
    // RISC-V prints the stack below the registers without a headline.
    let pc = items.iter().position(|item| matches!(item, Item::Pc(_)));
    let bare = pc.is_some_and(|pc| items[pc..].iter().any(|item| matches!(item, Item::Frame(..))));
    !whole && !bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(lines: &[&str]) -> bool {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let items: Vec<Item<'_>> = lines.iter().map(|line| Item::of(line)).collect();
        stacks_missing(&items, &lines)
    }

    #[test]
    fn each_headline_needs_a_frame() {
        let whole = ["BUG: x", "Call Trace:", " foo+0x1/0x2", "Freed:", " bar+0x1/0x2", "end"];
        assert!(!missing(&whole));
        assert!(missing(&whole[..1]));
        assert!(missing(&whole[..4]));
        assert!(missing(&["Call Trace:", "Freed:", " bar+0x1/0x2"]));
    }

    #[test]
    fn torn_titles_show_a_time_stamp() {
        assert!(torn_title("kernel panic: Fatal [   12.5] foo"));
        assert!(!torn_title("BUG: x in [unmount]"));
    }
}
