//! The place where made-up kernels are built and run, and time passes.

use std::collections::VecDeque;

use crate::plan::Place;

use super::history::History;
use super::random::Random;
use super::world::World;

/// What one run looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Target,
    /// A crash under this title.
    Other(&'static str),
    Clean,
    Infra,
}

impl Seen {
    /// Whether the kernel crashed, under whatever title.
    pub(super) fn crashed(self) -> bool {
        matches!(self, Self::Target | Self::Other(_))
    }
}

/// Builds and runs, and keeps the bill.
pub(super) struct Lab<'a> {
    pub(super) world: &'a World,
    pub(super) history: &'a History,
    random: Random,
    pub(super) builds: u32,
    pub(super) runs: u32,
    pub(super) minutes: f64,
    /// Builds under way, and the minute at which each will have ended.
    flying: Vec<(Place, f64)>,
    /// What builders take next when they have nothing to do.
    wanted: VecDeque<Place>,
    /// Builds that have ended and nobody has asked for yet.
    ended: Vec<Place>,
}

impl<'a> Lab<'a> {
    pub(super) fn new(world: &'a World, history: &'a History, random: Random) -> Self {
        Self {
            world,
            history,
            random,
            builds: 0,
            runs: 0,
            minutes: 0.0,
            flying: Vec::new(),
            wanted: VecDeque::new(),
            ended: Vec::new(),
        }
    }

    /// Builds, while nothing else is done; says whether that worked.
    pub(super) fn build(&mut self, place: Place) -> bool {
        self.builds += 1;
        self.minutes += self.world.build_minutes;
        self.works(place)
    }

    /// Whether a revision builds.
    pub(super) fn works(&self, place: Place) -> bool {
        match place {
            Place::Base | Place::Fork(_) => true,
            Place::Commit(commit) => !self.history.broken[commit as usize],
        }
    }

    /// Builds under way, and the seconds that each still takes.
    pub(super) fn building(&self) -> impl Iterator<Item = (Place, f64)> {
        self.flying.iter().map(|(place, end)| (*place, (end - self.minutes).max(0.0) * 60.0))
    }

    /// Gives a build up that is under way.
    pub(super) fn give_up(&mut self, place: Place) {
        self.flying.retain(|(flying, _)| *flying != place);
    }

    /// What builders without work take, instead of what they were told before.
    pub(super) fn want(&mut self, places: impl Iterator<Item = Place>) {
        self.wanted = places.collect();
        self.fill();
    }

    /// One builds when nothing runs, however few there are.
    fn fill(&mut self) {
        while self.flying.len() < self.world.builders.max(1) as usize
            && let Some(place) = self.wanted.pop_front()
        {
            self.builds += 1;
            self.flying.push((place, self.minutes + self.world.build_minutes));
        }
    }

    /// Lets time pass until the first build under way has ended.
    pub(super) fn wait(&mut self) {
        let first = self.flying.iter().map(|(_, end)| *end).fold(f64::INFINITY, f64::min);
        if first.is_finite() {
            self.pass(first);
        }
    }

    /// Lets time pass until this minute: builds end, and others are begun.
    fn pass(&mut self, until: f64) {
        while let Some(at) = (0..self.flying.len())
            .filter(|at| self.flying[*at].1 <= until)
            .min_by(|a, b| self.flying[*a].1.total_cmp(&self.flying[*b].1))
        {
            let (place, end) = self.flying.swap_remove(at);
            self.ended.push(place);
            self.minutes = end.max(self.minutes);
            self.fill();
        }
        self.minutes = until.max(self.minutes);
    }

    /// The builds that have ended since this was last asked.
    pub(super) fn ended(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.ended)
    }

    /// Runs up to `runs` times, as many at once as there are machines, and stops after the round
    /// in which `stop` first holds.
    pub(super) fn run(
        &mut self,
        place: Place,
        runs: u32,
        stop: impl Fn(Seen) -> bool,
    ) -> Vec<Seen> {
        let mut all = Vec::new();
        let mut left = runs;
        while left > 0 {
            let round = left.min(self.world.machines.max(1));
            left -= round;
            self.runs += round;
            self.pass(self.minutes + self.world.run_minutes);
            let from = all.len();
            all.extend((0..round).map(|_| self.once(place)));
            if all[from..].iter().any(|seen| stop(*seen)) {
                break;
            }
        }
        all
    }

    /// One round, of as many runs of each of these as is said: no more in all than there are machines.
    pub(super) fn round(
        &mut self,
        tests: impl Iterator<Item = (Place, u32)>,
    ) -> Vec<(Place, Seen)> {
        self.pass(self.minutes + self.world.run_minutes);
        let mut all = Vec::new();
        for (place, runs) in tests {
            self.runs += runs;
            all.extend((0..runs).map(|_| (place, self.once(place))));
        }
        debug_assert!(all.len() <= self.world.machines.max(1) as usize);
        all
    }

    fn once(&mut self, place: Place) -> Seen {
        let (world, random) = (self.world, &mut self.random);
        let (bad, second) = match place {
            Place::Base | Place::Fork(_) => (self.history.culprit.is_none(), false),
            Place::Commit(c) => (self.history.bad[c as usize], self.history.second[c as usize]),
        };
        if random.chance(world.infra) {
            return Seen::Infra;
        }
        if random.chance(world.unrelated) {
            let same = random.chance(world.unrelated_same_title);
            return if same { Seen::Target } else { Seen::Other("unrelated") };
        }
        if second && random.chance(world.second_rate) {
            return Seen::Other("second bug");
        }
        if random.chance(world.same_title) {
            return Seen::Target;
        }
        if bad && random.chance(self.history.rate[self.history.image_of(place) as usize]) {
            let other = random.chance(world.other_title);
            return if other { Seen::Other("target, renamed") } else { Seen::Target };
        }
        Seen::Clean
    }
}
