//! Builds that are asked for, and all that is learned of one.

use std::sync::Arc;
use std::time::Instant;

use kiln_builder::{Built, Request, may_change_beyond_objects};
use kiln_cache::InputKey;
use kiln_cache::manifest::{BuildResult, Manifest};

use super::budget::build_in_time;
use super::error::BisectError;
use super::knowledge::{Known, Refuted};
use super::setup::{Bisection, blocking};
use crate::plan::Place;
use crate::record::{BuildRecord, Commit, Event, Obtained};
use crate::rows::Rows;
use crate::watch::Happening;

/// What a revision's build is, once asked for.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) manifest: Manifest,
    pub(super) record: BuildRecord,
}

impl Bisection {
    /// The build of a revision, from the store or compiled; asked for once.
    pub(super) async fn build(&mut self, place: Place) -> Result<Made, BisectError> {
        self.wait_for(place).await?;
        if let Some(made) = self.made.get(&place) {
            return Ok(made.clone());
        }
        let (begun, price) = (Instant::now(), self.knowledge.price(place));
        let (deadline, commit) = (self.build_deadline(place), self.commit(place));
        let built = self.build_until(deadline, commit, self.request(place)).await?;
        self.doubts.audited |= built.refuted;
        let record = record_of(&built, begun);
        if record.obtained == Obtained::Compiled {
            self.knowledge.learn_compiled(&price, &built.manifest);
            let (commit, seconds) = (self.commit(place), record.seconds);
            self.write(Event::Compiled { commit, seconds }).await?;
        }
        self.learn_built(place, built.manifest, record).await
    }

    /// Asks for a build until a deadline; other builds go on beside.
    ///
    /// # Errors
    /// [`BisectError::Late`] when it was given up then, which the record says.
    pub(super) async fn build_until(
        &mut self,
        deadline: Option<Instant>,
        commit: Commit,
        request: Request,
    ) -> Result<Built, BisectError> {
        let (begun, stages) = (Instant::now(), self.workshop.stages());
        let builder = Arc::clone(&self.builder);
        let build = async move { Ok(builder.build(&request).await?) };
        let built = self.beside(build_in_time(deadline, &stages, &commit.id, build)).await;
        if let Err(BisectError::Late) = &built {
            let seconds = begun.elapsed().as_secs_f64();
            self.write(Event::GivenUp { commit, seconds }).await?;
        }
        built
    }

    /// Learns all that a revision's build says.
    pub(super) async fn learn_built(
        &mut self,
        place: Place,
        manifest: Manifest,
        record: BuildRecord,
    ) -> Result<Made, BisectError> {
        self.learn_nature(place, &manifest).await?;
        self.settle(place, known_of(&manifest), manifest.input_key);
        let commit = self.commit(place);
        self.watch.happening(Happening::Built { commit: &commit, build: &record });
        self.spread(place, &manifest).await?;
        let made = Made { manifest, record };
        self.made.insert(place, made.clone());
        Ok(made)
    }

    /// Learns what of a build decides whether its commit changes anything.
    pub(super) async fn learn_nature(
        &mut self,
        place: Place,
        manifest: &Manifest,
    ) -> Result<(), BisectError> {
        self.knowledge.codes.learn_code(place, &manifest.signatures, &manifest.artifacts);
        if let Place::Commit(commit) = place {
            let edges = Arc::clone(&self.edges);
            let asked = move || Ok(may_change_beyond_objects(&edges, commit as usize)?);
            if blocking(asked).await? {
                self.knowledge.codes.learn_beyond(commit);
            }
        }
        self.learn_unseen(place, manifest).await
    }

    /// Takes note of a revision's own build, and says so when something else was known of it.
    pub(super) fn settle(&mut self, place: Place, known: Known, key: InputKey) {
        if let Some(refuted) = self.knowledge.settle(place, known, key) {
            self.note(place, refuted);
        }
    }

    /// Says loudly what must not be, and keeps it for the notes of the next step. A wrong proof is carried
    /// out before the next decision: [`Bisection::settle_doubts`].
    fn note(&mut self, place: Place, Refuted { why, proof }: Refuted) {
        let commit = self.commit(place).id;
        tracing::error!(%commit, %why, "a build is not what was known of it; this is a bug in Kiln");
        self.notes.push(format!("at {commit}: {why}"));
        if let Some((built, by)) = proof {
            self.doubts.witness(built, by);
        }
    }

    /// Learns of all commits that a build's closure proves to give the same.
    pub(super) async fn spread(
        &mut self,
        place: Place,
        manifest: &Manifest,
    ) -> Result<(), BisectError> {
        // The good end is not a commit of the range: it has no edges there.
        let Place::Commit(start) = place else { return Ok(()) };
        let class = self.builder.same_class(&self.edges, start as usize, manifest).await?;
        if let Some(same) = self.fault_of(start as usize, manifest).await? {
            let commits = class.iter().map(|index| *index as u32);
            self.knowledge.faults.extend(commits.map(|commit| (commit, same.clone())));
        }
        let class: Vec<Place> =
            class.into_iter().map(|index| Place::Commit(index as u32)).collect();
        let learned = self.knowledge.learn_proved(&class, known_of(manifest), manifest.input_key);
        let others = learned.unwrap_or_else(|refuted| {
            self.note(place, refuted);
            0
        });
        if others > 0 {
            let commit = self.commit(place);
            self.watch.happening(Happening::Proved { commit: &commit, others });
            self.write(Event::Proved { commit, others }).await?;
        }
        self.suspect(manifest).await
    }

    /// When a build failed in a file of the sources: the commits in which that file is the same.
    async fn fault_of(&self, at: usize, manifest: &Manifest) -> Result<Option<Rows>, BisectError> {
        let BuildResult::Failed { errors } = &manifest.result else { return Ok(None) };
        let Some(path) = errors.first().and_then(|error| blamed(error)) else { return Ok(None) };
        let (edges, path) = (Arc::clone(&self.edges), path.to_owned());
        let same = blocking(move || Ok(edges.same_file(at, &path)?)).await?;
        Ok(same.map(|same| {
            let pairs = same.iter().zip(0u32..);
            Rows::of(pairs.filter(|(same, _)| **same).map(|(_, commit)| commit))
        }))
    }

    /// Learns which commits change nothing that a build reads.
    async fn suspect(&mut self, manifest: &Manifest) -> Result<(), BisectError> {
        if self.walking() || !self.untouched.is_new(manifest.input_key) {
            return Ok(());
        }
        let left = self.untouched.left(|| self.edges.all());
        if let Some(left) = self.builder.unnoticed(&self.edges, left, manifest).await? {
            self.untouched.narrow(left);
            self.knowledge.untouched = self.untouched.commits();
            let (commits, of) = (self.knowledge.untouched.len(), self.history.commits.len());
            self.watch.happening(Happening::Untouched { commits, of });
        }
        Ok(())
    }
}

/// A build that was asked for at `begun`, as records keep it.
pub(crate) fn record_of(built: &kiln_builder::Built, begun: Instant) -> BuildRecord {
    let manifest = &built.manifest;
    BuildRecord {
        obtained: built.obtained.into(),
        input_key: manifest.input_key,
        signatures: manifest.signatures.clone(),
        compiler: manifest.compiler.clone(),
        seconds: begun.elapsed().as_secs_f64(),
        compile_seconds: manifest.seconds,
        errors: errors_of(manifest),
        notes: built.notes.clone(),
    }
}

fn known_of(manifest: &Manifest) -> Known {
    match manifest.image() {
        Some(image) => Known::Built { image, seconds: manifest.seconds },
        None => Known::Broken,
    }
}

/// The file that a compiler's message begins with: "mm/mmap.c:81:3: error: ...".
fn blamed(error: &str) -> Option<&str> {
    let (path, rest) = error.split_once(':')?;
    let line = rest.split(':').next().unwrap_or_default();
    let numbered = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    numbered.then(|| path.trim_start_matches("./"))
}

pub(super) fn errors_of(manifest: &Manifest) -> Vec<String> {
    match &manifest.result {
        BuildResult::Built => Vec::new(),
        BuildResult::Failed { errors } if errors.is_empty() => {
            vec!["no error was found in the log; see build.log".into()]
        }
        BuildResult::Failed { errors } => errors.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::blamed;

    #[test]
    fn a_compilers_message_names_a_file() {
        assert_eq!(
            blamed("lib/argv_split.c:86:35: error: 'word' undeclared"),
            Some("lib/argv_split.c")
        );
        assert_eq!(blamed("./include/linux/list.h:7: error: x"), Some("include/linux/list.h"));
        for other in
            ["ld: vmlinux.o: undefined reference to `gone'", "make: *** [x] Error 1", "", "a:b"]
        {
            assert_eq!(blamed(other), None, "{other}");
        }
    }
}
