//! What is known of the range: builds and evidence, as the planner takes them.

mod branches;
mod codes;
mod judging;
mod known;
mod mean;
mod pace;
mod posterior;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kiln_builder::Efforts;
use kiln_cache::InputKey;
use kiln_cache::evidence::Counts;
use kiln_cache::manifest::Manifest;
use kiln_cache::signature::ImageId;

use super::efforts::Asked;
use super::proofs::Proofs;
use crate::belief::{self, Find};
use crate::graph::Graph;
use crate::plan::{Costs, Place, Problem, Spent, State, Status};
use crate::rows::Rows;
use crate::title::Target;
pub(super) use codes::Codes;
use judging::telling;
pub(crate) use judging::{boots, judging};
pub(super) use known::{Known, Refuted};
use mean::Mean;
use pace::Pace;
pub(super) use pace::Price;
pub(super) use posterior::Belief;

/// Everything that decisions are made from.
pub(super) struct Knowledge {
    graph: Arc<Graph>,
    find: Find,
    revisions: Vec<Option<Known>>,
    base: Option<Known>,
    /// Where branches forked off before the older end.
    forks: Vec<Option<Known>>,
    proofs: Proofs,
    /// Commits that change nothing which a build at hand reads.
    pub(super) untouched: Vec<u32>,
    /// Commits that change files of the functions that crashed.
    pub(super) blamed: Vec<u32>,
    /// For commits that failed to build in a file: those in which it is the same.
    pub(super) faults: BTreeMap<u32, Rows>,
    /// What builds are made of that were looked at.
    pub(super) codes: Codes,
    images: HashMap<ImageId, u32>,
    counts: Vec<Counts>,
    /// Images that this bisection has run itself, with what was known of each before.
    tried: HashMap<ImageId, Counts>,
    /// Images that the host can't run, though it runs others.
    unrunnable: HashSet<ImageId>,
    run_seconds: Mean,
    build_seconds: Mean,
    pace: Pace,
    /// How much of a kernel the commits would have made anew, where that can be told.
    pub(super) efforts: Option<Efforts>,
    pub(super) asked_for_efforts: Option<Asked>,
    /// Builds whose seconds are in that mean.
    timed: HashSet<InputKey>,
    pub(super) spent: Spent,
}

impl Knowledge {
    /// Nothing known of a range.
    pub(super) fn new(graph: Graph, find: Find) -> Self {
        let defaults = Costs::default();
        let graph = Arc::new(graph);
        Self {
            revisions: vec![None; graph.len()],
            forks: vec![None; graph.forks() as usize],
            codes: Codes::new(Arc::clone(&graph)),
            graph,
            find,
            base: None,
            proofs: Proofs::default(),
            untouched: Vec::new(),
            blamed: Vec::new(),
            faults: BTreeMap::new(),
            images: HashMap::new(),
            counts: Vec::new(),
            tried: HashMap::new(),
            unrunnable: HashSet::new(),
            run_seconds: Mean::starting_at(defaults.run_seconds),
            build_seconds: Mean::starting_at(defaults.build_seconds),
            pace: Pace::default(),
            efforts: None,
            asked_for_efforts: None,
            timed: HashSet::new(),
            spent: Spent::default(),
        }
    }

    /// Nothing known of another range, but for what things take, what was paid and what was tried.
    pub(super) fn over(&self, graph: Graph) -> Self {
        Self {
            tried: self.tried.clone(),
            unrunnable: self.unrunnable.clone(),
            run_seconds: self.run_seconds.clone(),
            build_seconds: self.build_seconds.clone(),
            pace: self.pace.clone(),
            timed: self.timed.clone(),
            spent: self.spent,
            ..Self::new(graph, self.find)
        }
    }

    pub(super) fn build(&self, place: Place) -> Option<Known> {
        match place {
            Place::Base => self.base,
            Place::Commit(commit) => self.revisions[commit as usize],
            Place::Fork(fork) => self.forks[fork as usize],
        }
    }

    /// Takes note of the build at `place`, stored under `key`. It stands against whatever was
    /// known: a proof that said otherwise is believed no more, nor is what else it proved; nor is
    /// this build's own closure, which is the same one.
    pub(super) fn settle(&mut self, place: Place, known: Known, key: InputKey) -> Option<Refuted> {
        let before = self.build(place);
        let by = self.proofs.of(place);
        if let Known::Built { seconds, .. } = known
            && self.timed.insert(key)
        {
            self.build_seconds.add(seconds);
        }
        // The builder may give the proving build itself for it: nothing was built then.
        if by != Some(key) {
            self.proofs.built(place);
        }
        let before = match before {
            Some(before) if before.agrees(&known) => return None,
            None => {
                self.learn_build(place, known);
                return None;
            }
            Some(before) => before,
        };
        let because = match by {
            Some(by) => {
                self.distrust(by);
                self.distrust(key);
                format!("the closure of build {by} proved it to be {}", before.said())
            }
            None => format!("it was known as {}", before.said()),
        };
        self.learn_build(place, known);
        let why = format!("build {key} is {}, but {because}", known.said());
        Some(Refuted { why, proof: by.map(|by| (place, by)) })
    }

    /// Takes note of what the closure of the build `by` proves: all of `places` give `known`.
    /// Returns of how many nothing was known before; or, when one of them was built itself and is
    /// something else, why none of it is believed.
    pub(super) fn learn_proved(
        &mut self,
        places: &[Place],
        known: Known,
        by: InputKey,
    ) -> Result<usize, Refuted> {
        if !self.proofs.trusted(by) {
            return Ok(0);
        }
        let contrary = places.iter().find_map(|place| {
            let own = self.build(*place).filter(|_| self.proofs.of(*place).is_none())?;
            (!own.agrees(&known)).then_some((*place, own))
        });
        if let Some((place, own)) = contrary {
            self.distrust(by);
            let (known, own) = (known.said(), own.said());
            let why = format!(
                "the closure of build {by} proves {known}, but {place:?} was built and is {own}"
            );
            return Err(Refuted { why, proof: Some((place, by)) });
        }
        let mut others = 0;
        for place in places {
            if self.build(*place).is_none() {
                self.learn_build(*place, known);
                self.proofs.learn(*place, by);
                others += 1;
            }
        }
        Ok(others)
    }

    fn distrust(&mut self, build: InputKey) {
        for place in self.proofs.distrust(build) {
            self.set(place, None);
        }
    }

    /// Forgets what revisions build to, and all that follows from it; not what was seen of images, nor
    /// which closures are not believed.
    pub(super) fn forget_builds(&mut self) {
        self.revisions.fill(None);
        self.base = None;
        self.forks.fill(None);
        self.proofs.forget();
        self.untouched.clear();
        self.faults.clear();
        self.codes.forget();
    }

    /// Takes note of a build, whatever was known.
    fn learn_build(&mut self, place: Place, known: Known) {
        if let Known::Built { image, .. } = known {
            self.slot(image);
        }
        self.set(place, Some(known));
    }

    fn set(&mut self, place: Place, known: Option<Known>) {
        match place {
            Place::Base => self.base = known,
            Place::Commit(commit) => self.revisions[commit as usize] = known,
            Place::Fork(fork) => self.forks[fork as usize] = known,
        }
    }

    /// Takes note of all that was ever seen of an image.
    pub(super) fn learn_counts(&mut self, image: ImageId, counts: Counts) {
        let slot = self.slot(image);
        self.counts[slot as usize] = counts;
    }

    /// Takes note that this bisection has run an image itself, of which `before` was known.
    pub(super) fn learn_tried(&mut self, image: ImageId, before: Counts) {
        self.tried.entry(image).or_insert(before);
    }

    /// Whether this bisection has run anything itself.
    pub(super) fn has_run(&self) -> bool {
        !self.tried.is_empty()
    }

    /// Takes note that the host can't run an image, though it runs others.
    pub(super) fn learn_unrunnable(&mut self, image: ImageId) {
        self.unrunnable.insert(image);
    }

    /// Whether an image has run to its end, here or elsewhere, and nothing is known against its running
    /// here.
    pub(super) fn runs_here(&self, image: ImageId) -> bool {
        let counts = self.counts(image);
        counts.ok + counts.crashes.values().sum::<u32>() > 0 && self.can_run(image)
    }

    /// Whether an image can be tested, as far as is known.
    pub(super) fn can_run(&self, image: ImageId) -> bool {
        !self.unrunnable.contains(&image) && boots(&self.judging(image))
    }

    /// What speaks for or against an image itself, of all that was seen of it.
    pub(super) fn judging(&self, image: ImageId) -> Counts {
        judging(self.counts(image), self.tried.get(&image))
    }

    /// Whether an image counts as bootable only because this bisection has not tried it yet.
    pub(super) fn doubted(&self, image: ImageId) -> bool {
        let counts = self.counts(image);
        boots(&self.judging(image)) && !boots(&judging(counts.clone(), Some(&counts)))
    }

    /// Whether what is known of a revision's build was only proved.
    pub(super) fn is_proved(&self, place: Place) -> bool {
        self.proofs.of(place).is_some()
    }

    /// What builds and runs take, as far as is known.
    pub(super) fn costs(&self) -> Costs {
        Costs { build_seconds: self.build_seconds.get(), run_seconds: self.run_seconds.get() }
    }

    /// What a build of a place is expected to take, before it is begun.
    pub(super) fn price(&self, place: Place) -> Price {
        let mean = self.build_seconds.get();
        let known = self.efforts.as_ref().zip(place.commit());
        known
            .and_then(|(efforts, commit)| self.pace.price(efforts, commit, mean))
            .unwrap_or(Price { seconds: mean, share: None })
    }

    /// Takes note of a build that was compiled here just now, and of which `price` was expected.
    pub(super) fn learn_compiled(&mut self, price: &Price, manifest: &Manifest) {
        self.spent.builds += 1;
        if let (true, Some(share)) = (manifest.is_built(), price.share) {
            self.pace.made(share, manifest.seconds);
        }
    }

    /// Takes note of how long a run takes.
    pub(super) fn learn_run_seconds(&mut self, seconds: f64) {
        self.run_seconds.add(seconds);
    }

    /// What was seen of an image.
    pub(super) fn counts(&self, image: ImageId) -> Counts {
        self.images.get(&image).map(|i| self.counts[*i as usize].clone()).unwrap_or_default()
    }

    /// All images that have a build.
    pub(super) fn images(&self) -> Vec<ImageId> {
        let mut images: Vec<ImageId> = self.images.keys().copied().collect();
        images.sort();
        images
    }

    fn slot(&mut self, image: ImageId) -> u32 {
        let counts = &mut self.counts;
        *self.images.entry(image).or_insert_with(|| {
            counts.push(Counts::default());
            (counts.len() - 1) as u32
        })
    }

    /// The planner's view.
    pub(super) fn problem(&self, target: &Target, machines: usize) -> Problem {
        let status = |known: &Option<Known>| match known {
            None => Status { image: None, state: State::Unknown },
            Some(Known::Broken) => Status { image: None, state: State::Broken },
            Some(Known::Built { image, .. }) => Status {
                image: self.images.get(image).copied(),
                state: match self.can_run(*image) {
                    true => State::Built,
                    false => State::Untestable,
                },
            },
        };
        let mut images = vec![belief::Counts::default(); self.counts.len()];
        let mut others = vec![BTreeMap::new(); self.counts.len()];
        for (image, slot) in &self.images {
            let mut counts = self.judging(*image);
            images[*slot as usize] = telling(&counts, target);
            counts.crashes.retain(|title, _| !target.is(title));
            others[*slot as usize] = counts.crashes;
        }
        let tells = self.tells(target);
        let unclear = Status { image: None, state: State::Unclear };
        Problem {
            graph: Arc::clone(&self.graph),
            find: self.find,
            revisions: self
                .revisions
                .iter()
                .zip(tells)
                .map(|(known, tells)| if tells { status(known) } else { unclear })
                .collect(),
            base: status(&self.base),
            forks: self.forks.iter().map(status).collect(),
            images,
            others,
            unchanged: self.codes.unchanged(),
            untouched: self.untouched.clone(),
            blamed: self.blamed.clone(),
            faults: self.faults.clone(),
            costs: self.costs(),
            builds: self.efforts.as_ref().map_or_else(Vec::new, |efforts| {
                self.pace.seconds(efforts, self.build_seconds.get())
            }),
            machines: machines as u32,
            building: Vec::new(),
            seconds_left: None,
            spent: self.spent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::outcome::BOOT_TIMEOUT;
    use crate::title::Learning;

    /// A range of one commit, built, of whose image `counts` is known.
    fn knowing(counts: Counts) -> (Knowledge, ImageId) {
        let mut knowledge = Knowledge::new(Graph::linear(1).unwrap(), Find::Cause);
        let image = ImageId(kiln_cache::Digest::of(b"image"));
        knowledge.learn_build(Place::Commit(0), Known::Built { image, seconds: 1.0 });
        knowledge.learn_counts(image, counts);
        (knowledge, image)
    }

    fn built(text: &str) -> Known {
        let image = ImageId(kiln_cache::Digest::of(text.as_bytes()));
        Known::Built { image, seconds: 1.0 }
    }

    fn key(text: &str) -> InputKey {
        InputKey(kiln_cache::Digest::of(text.as_bytes()))
    }

    #[test]
    fn a_build_stands_against_a_proof_and_ends_it() {
        let place = Place::Commit;
        let mut knowledge = Knowledge::new(Graph::linear(4).unwrap(), Find::Cause);
        assert_eq!(knowledge.settle(place(3), built("a"), key("3")), None);
        let class = [place(0), place(1), place(3)];
        assert_eq!(knowledge.learn_proved(&class, built("a"), key("3")), Ok(2));
        let Refuted { why, proof } = knowledge.settle(place(1), built("b"), key("1")).unwrap();
        assert_eq!(proof, Some((place(1), key("3"))));
        assert!(
            why.contains(&key("1").to_string()) && why.contains(&key("3").to_string()),
            "{why}"
        );
        // What was built stays; what was only proved is unknown again, and remains so.
        assert_eq!(knowledge.build(place(1)), Some(built("b")));
        assert_eq!(knowledge.build(place(3)), Some(built("a")));
        assert_eq!(knowledge.build(place(0)), None);
        for by in ["1", "3"] {
            assert_eq!(knowledge.learn_proved(&class, built("a"), key(by)), Ok(0));
        }
        assert_eq!(knowledge.build(place(0)), None);
        assert_eq!(knowledge.settle(place(1), built("b"), key("1")), None);
    }

    #[test]
    fn a_build_counts_once_for_what_builds_take_however_many_commits_it_proves() {
        let mut knowledge = Knowledge::new(Graph::linear(100).unwrap(), Find::Cause);
        let took = |text: &str, seconds| match built(text) {
            Known::Built { image, .. } => Known::Built { image, seconds },
            Known::Broken => unreachable!("it was built"),
        };
        // The first one, from nothing, and all that it proves; then one in a warm tree.
        knowledge.settle(Place::Commit(99), took("a", 200.0), key("99"));
        let class: Vec<Place> = (50..100).map(Place::Commit).collect();
        assert_eq!(knowledge.learn_proved(&class, took("a", 200.0), key("99")), Ok(49));
        knowledge.settle(Place::Commit(60), took("a", 200.0), key("99"));
        knowledge.settle(Place::Commit(20), took("b", 10.0), key("20"));
        assert_eq!(knowledge.costs().build_seconds, 105.0);
    }

    #[test]
    fn what_was_withdrawn_is_forgotten_and_what_was_seen_is_not() {
        let place = Place::Commit;
        let mut knowledge = Knowledge::new(Graph::linear(3).unwrap(), Find::Cause);
        let seen = Counts { ok: 3, ..Counts::default() };
        let Known::Built { image, .. } = built("a") else { unreachable!("it was built") };
        knowledge.settle(Place::Base, built("a"), key("base"));
        knowledge.settle(place(2), built("a"), key("2"));
        knowledge.learn_counts(image, seen.clone());
        knowledge.learn_proved(&[place(1)], built("a"), key("2")).unwrap();
        knowledge.settle(place(1), built("b"), key("1")).unwrap();
        knowledge.forget_builds();
        for at in [Place::Base, place(0), place(1), place(2)] {
            assert_eq!((knowledge.build(at), knowledge.is_proved(at)), (None, false));
        }
        assert_eq!(knowledge.counts(image), seen);
        knowledge.settle(place(2), built("a"), key("2"));
        assert_eq!(knowledge.learn_proved(&[place(0)], built("a"), key("2")), Ok(0), "distrusted");
    }

    #[test]
    fn a_proof_against_a_build_proves_nothing() {
        let mut knowledge = Knowledge::new(Graph::linear(3).unwrap(), Find::Cause);
        knowledge.settle(Place::Commit(1), Known::Broken, key("1"));
        let class = [Place::Commit(0), Place::Commit(1)];
        let Refuted { why, proof } =
            knowledge.learn_proved(&class, built("a"), key("2")).unwrap_err();
        assert!(why.contains("does not build"), "{why}");
        assert_eq!(proof, Some((Place::Commit(1), key("2"))));
        assert_eq!(knowledge.build(Place::Commit(0)), None);
    }

    #[test]
    fn a_hosts_failures_never_condemn_an_image() {
        let (knowledge, image) = knowing(Counts { infra: 50, ..Counts::default() });
        let problem = knowledge.problem(&Target::exactly("A").unwrap(), 1);
        assert_eq!(problem.revisions[0].state, State::Built);
        assert_eq!(problem.images[0].total(), 0);
        assert_eq!(crate::title::learn(&knowledge.judging(image)), Learning::RunMore);
    }

    #[test]
    fn boots_that_were_too_slow_elsewhere_are_tried_once_more() {
        let slow =
            Counts { boot_failures: [(BOOT_TIMEOUT.into(), 30)].into(), ..Counts::default() };
        let target = Target::exactly("A").unwrap();
        let (mut knowledge, image) = knowing(slow);
        assert_eq!(knowledge.problem(&target, 1).revisions[0].state, State::Built);
        assert_eq!(knowledge.problem(&target, 1).images[0].total(), 0);
        assert!(knowledge.doubted(image));
        let before = knowledge.counts(image);
        knowledge.learn_tried(image, before.clone());
        assert_eq!(knowledge.problem(&target, 1).revisions[0].state, State::Untestable);
        assert!(!knowledge.doubted(image));
        // Where it boots here, only what was too slow here counts.
        let mut since = Counts { ok: 4, ..before };
        since.boot_failures.insert(BOOT_TIMEOUT.into(), 31);
        knowledge.learn_counts(image, since);
        let problem = knowledge.problem(&target, 1);
        assert_eq!(problem.revisions[0].state, State::Built);
        assert_eq!((problem.images[0].clean, problem.images[0].censored), (4, 1));
        // A kernel that says why it fails to boot is believed at once.
        let panics =
            Counts { boot_failures: [("kernel BUG".into(), 3)].into(), ..Counts::default() };
        let (knowledge, _) = knowing(panics);
        assert_eq!(knowledge.problem(&target, 1).revisions[0].state, State::Untestable);
    }
}
