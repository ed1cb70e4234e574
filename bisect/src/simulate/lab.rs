//! The place where made-up kernels are built and run, and time passes.

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
}

impl<'a> Lab<'a> {
    pub(super) fn new(world: &'a World, history: &'a History, random: Random) -> Self {
        Self { world, history, random, builds: 0, runs: 0, minutes: 0.0 }
    }

    /// Builds; says whether that worked.
    pub(super) fn build(&mut self, place: Place) -> bool {
        self.builds += 1;
        self.minutes += self.world.build_minutes;
        match place {
            Place::Base => true,
            Place::Commit(commit) => !self.history.broken[commit as usize],
        }
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
            self.minutes += self.world.run_minutes;
            let from = all.len();
            all.extend((0..round).map(|_| self.once(place)));
            if all[from..].iter().any(|seen| stop(*seen)) {
                break;
            }
        }
        all
    }

    fn once(&mut self, place: Place) -> Seen {
        let (world, random) = (self.world, &mut self.random);
        let (bad, second) = match place {
            Place::Base => (self.history.culprit.is_none(), false),
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
