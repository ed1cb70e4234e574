//! An order of the commits in which branches lie in one piece.

/// Parents-first order by depth-first search from the last commit, first parents first.
///
/// What a merge brings in then mostly lies side by side just before it, so that sets of commits
/// are few ranges. Returns the node at each position; nodes that the last one does not reach
/// follow, in the same manner.
pub(super) fn branch_order(parents: &[Vec<u32>]) -> Vec<u32> {
    let n = parents.len();
    let mut order = Vec::with_capacity(n);
    let mut seen = vec![false; n];
    let mut stack: Vec<(u32, usize)> = Vec::new();
    for root in (0..n as u32).rev() {
        if seen[root as usize] {
            continue;
        }
        seen[root as usize] = true;
        stack.push((root, 0));
        while let Some(top) = stack.last_mut() {
            let node = top.0;
            if let Some(&parent) = parents[node as usize].get(top.1) {
                top.1 += 1;
                if !seen[parent as usize] {
                    seen[parent as usize] = true;
                    stack.push((parent, 0));
                }
            } else {
                order.push(node);
                stack.pop();
            }
        }
    }
    order
}
