//! What a build tells while it runs.

/// Who wants to know how builds get on.
pub trait Observer: Send + Sync {
    /// Called from the threads that build; must return soon.
    fn event(&self, event: &BuildEvent);
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Observer for Quiet {
    fn event(&self, _event: &BuildEvent) {}
}

/// One step forward of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildEvent {
    /// The commit that is built: several builds may run side by side.
    pub commit: String,
    /// Where it is.
    pub stage: Stage,
}

/// Where a build is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Every working pair is in use.
    Waiting,
    /// Files are written to the working pair.
    CheckingOut {
        /// Files written or compared.
        done: u64,
        /// Files to write or to compare.
        total: u64,
    },
    /// The configuration is brought to this tree.
    Configuring,
    /// Compiling.
    Compiling {
        /// Steps that Kbuild printed so far.
        done: u64,
        /// Steps that the last build of this kind took, when there was one.
        expected: Option<u64>,
    },
    /// The last links.
    Linking,
    /// The result goes into the store.
    Storing,
    /// Done; or `known` to the store, so that nothing was compiled.
    Finished {
        /// Nothing was compiled.
        known: bool,
        /// It compiled (now or when it was first built).
        built: bool,
    },
}
