//! Plain tables that fit 80 columns.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use super::text::fit;

/// Width that a table may take.
pub(crate) const WIDTH: usize = 80;

/// Renders rows under a heading. Columns are as wide as their widest cell; the last one takes
/// what is left of 80 columns and is cut to it. `right` names the columns aligned to the right.
pub(crate) fn render(heading: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    render_within(WIDTH, heading, rows, right)
}

/// As [`render`], but nothing is cut where the answer does not go to a terminal: a file is searched,
/// and has no edge.
pub(crate) fn render_for_answer(heading: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let width = if is_shown() { WIDTH } else { usize::MAX };
    render_within(width, heading, rows, right)
}

/// A cell of a column that is not the last, cut to `width` under the same condition.
pub(crate) fn cut_for_answer(cell: &str, width: usize) -> String {
    if is_shown() { fit(cell, width) } else { cell.to_owned() }
}

/// Whether the answer goes to a terminal.
pub(crate) fn is_shown() -> bool {
    std::io::stdout().is_terminal()
}

fn render_within(width: usize, heading: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let last = heading.len().saturating_sub(1);
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let taken: usize = widths[..last].iter().map(|width| width + 2).sum();
    widths[last] = widths[last].min(width.saturating_sub(taken)).max(8);

    let mut out = String::new();
    let heading: Vec<String> = heading.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let cell = fit(cell, width);
            if right.contains(&column) {
                let _ = write!(line, "{cell:>width$}");
            } else {
                let _ = write!(line, "{cell:<width$}");
            }
            if column != last {
                line.push_str("  ");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_wider_than_the_terminal() {
        let rows = vec![vec!["short".into(), "1".into(), "x".repeat(200)]];
        let table = render(&["name", "runs", "what"], &rows, &[1]);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.ends_with("…\n"));
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_edge() {
        let rows = vec![vec!["short".into(), "1".into(), "x".repeat(200)]];
        let table = render_within(usize::MAX, &["name", "runs", "what"], &rows, &[1]);
        assert!(table.contains(&"x".repeat(200)) && !table.contains('…'), "{table}");
    }

    #[test]
    fn aligns() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["bbb".into(), "22".into()]];
        assert_eq!(render(&["n", "v"], &rows, &[]), "n    v\na    1\nbbb  22\n");
    }
}
