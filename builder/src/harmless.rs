//! Which commits of a history most probably change nothing in a build. No proof: this is for those
//! who search a history, and can say "unlikely" where they can't say "impossible".

use std::sync::Arc;

use kiln_cache::manifest::Manifest;

use crate::builder::Builder;
use crate::closure::{Edges, Why};
use crate::error::BuildError;
use crate::proving::blocking;
use crate::stages::differ_in_comments_only;

impl Builder {
    /// Those of some edges of a history along which nothing changes that a build could notice, by
    /// what it asked of its sources, or nothing but comments and white space of C files: code does
    /// not differ there, though lines may. Unlike [`Self::same_class`] this proves nothing, since a
    /// build further away may ask for more. `None` when the build was not watched.
    pub async fn unnoticed(
        &self,
        edges: &Arc<Edges>,
        among: Vec<(usize, usize)>,
        build: &Manifest,
    ) -> Result<Option<Vec<(usize, usize)>>, BuildError> {
        let Some(closure) = self.closure(build).await? else { return Ok(None) };
        let edges = Arc::clone(edges);
        blocking(move || {
            Ok(Some(edges.keep(&among, |git, (one, other)| {
                let Some(touches) = edges.few_touches(git, one, other, &closure)? else {
                    return Ok(false);
                };
                let [one, other] = [one, other].map(|commit| edges.tree(commit));
                Ok(touches.iter().all(|touch| {
                    touch.why == Why::Read && differ_in_comments_only(git, one, other, &touch.path)
                }))
            })?))
        })
        .await
    }
}
