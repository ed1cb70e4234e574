//! What is known of the build of one revision.

use kiln_cache::InputKey;
use kiln_cache::signature::ImageId;

use crate::plan::Place;

/// A revision's build, as far as the planner cares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Known {
    Built { image: ImageId, seconds: f64 },
    Broken,
}

impl Known {
    /// Whether both are the same image, or no image at all.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Built { image, .. }, Self::Built { image: other, .. }) => image == other,
            (Self::Broken, Self::Broken) => true,
            _ => false,
        }
    }

    /// For messages.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Built { image, .. } => format!("image {image}"),
            Self::Broken => "no image, as it does not build".to_owned(),
        }
    }
}

/// A build that is not what was known of its revision. Not an error of the question: a bug in
/// Kiln, or a build that is not reproducible.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refuted {
    /// What is wrong, for people.
    pub(crate) why: String,
    /// If a proof is: the place that was built itself, and the build whose closure said otherwise.
    pub(crate) proof: Option<(Place, InputKey)>,
}
