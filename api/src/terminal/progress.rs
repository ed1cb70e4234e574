//! Progress on standard error: a moving line on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::harmless;

/// Elsewhere than on a terminal, what is going on is said this often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One line that says what is going on, lasting lines above it, and a screen between the two.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    live: bool,
    quiet: bool,
    said: Arc<Mutex<Said>>,
}

/// What a log was told.
struct Said {
    /// When the last line was written.
    at: Instant,
    /// What is going on, as a line would say it.
    now: Option<String>,
}

impl Progress {
    /// Progress on standard error; `quiet` shows nothing at all.
    pub(crate) fn new(quiet: bool) -> Self {
        let live = std::io::stderr().is_terminal() && !quiet;
        let bar = ProgressBar::with_draw_target(
            None,
            if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        if live {
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.set_style(Self::spinner());
        }
        let said = Arc::new(Mutex::new(Said { at: Instant::now(), now: None }));
        if !live && !quiet {
            let said = Arc::downgrade(&said);
            std::thread::spawn(move || remind(&said));
        }
        Self { bar, live, quiet, said }
    }

    fn spinner() -> ProgressStyle {
        ProgressStyle::with_template("{prefix}{spinner} {wide_msg} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
    }

    fn counted() -> ProgressStyle {
        ProgressStyle::with_template("{prefix}{spinner} {msg} [{bar:20}] {pos}/{len} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
    }

    /// Says what is going on now; forgotten when the next thing starts.
    pub(crate) fn status(&self, message: impl Into<String>) {
        if self.live {
            self.bar.set_style(Self::spinner());
            self.bar.set_message(harmless(&message.into()).into_owned());
        } else {
            self.heartbeat(format!("  ... {}", message.into()));
        }
    }

    /// Says what is going on now, and how far it is.
    pub(crate) fn counted_status(&self, message: impl Into<String>, done: u64, total: u64) {
        if self.live {
            self.bar.set_style(Self::counted());
            self.bar.set_length(total.max(done));
            self.bar.set_position(done);
            self.bar.set_message(harmless(&message.into()).into_owned());
        } else {
            self.heartbeat(format!("  ... {}, {done} of {total}", message.into()));
        }
    }

    /// Whether somebody watches: then a screen says what lines would.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Lines above the moving one that are drawn anew each time. Only on a terminal.
    pub(crate) fn screen(&self, lines: &[String]) {
        if self.live {
            let mut text = harmless(&lines.join("\n")).into_owned();
            text.push('\n');
            self.bar.set_prefix(text);
        }
    }

    /// A line that stays.
    pub(crate) fn line(&self, message: impl AsRef<str>) {
        let message = harmless(message.as_ref());
        if self.live {
            self.bar.println(message);
        } else if !self.quiet {
            say(&mut lock(&self.said), &message);
        }
    }

    /// A line for a log that nobody watches: only when it was silent for long.
    fn heartbeat(&self, message: String) {
        if self.quiet {
            return;
        }
        let mut said = lock(&self.said);
        if said.at.elapsed() >= HEARTBEAT {
            say(&mut said, &harmless(&message));
        }
        said.now = Some(message);
    }

    /// Takes the moving line away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
        lock(&self.said).now = None;
    }
}

fn lock(said: &Mutex<Said>) -> std::sync::MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

// Standard error belongs to progress.
#[allow(clippy::print_stderr)]
fn say(said: &mut Said, line: &str) {
    eprintln!("{line}");
    said.at = Instant::now();
}

/// Says again what is going on while nothing else is heard, so that waiting can be told from hanging.
fn remind(said: &Weak<Mutex<Said>>) {
    while let Some(said) = said.upgrade() {
        {
            let mut said = lock(&said);
            if said.at.elapsed() >= HEARTBEAT
                && let Some(now) = said.now.clone()
            {
                say(&mut said, &harmless(&now));
            }
        }
        drop(said);
        std::thread::sleep(Duration::from_secs(1));
    }
}
