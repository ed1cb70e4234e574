//! The line that says who built a kernel, with what and when, taken apart.

use super::{Cause, CauseKind};

/// `linux_banner` without its fixed ends (Linux, init/version.c):
/// `RELEASE (USER@HOST) (COMPILER) #NUMBER FLAGS TIME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Banner {
    release: String,
    user: String,
    compiler: String,
    number: String,
    /// With the words before the time (`SMP PREEMPT`), which the configuration decides.
    time: String,
}

impl Banner {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text).into_owned();
        let (release, rest) = text.split_once(" (")?;
        let (user, rest) = rest.split_once(") (")?;
        let (compiler, version) = rest.rsplit_once(") #")?;
        let (number, time) = version.split_once(' ').unwrap_or((version, ""));
        Some(Self {
            release: release.to_owned(),
            user: user.to_owned(),
            compiler: compiler.to_owned(),
            number: format!("#{number}"),
            time: time.to_owned(),
        })
    }

    /// What differs from another one.
    pub(super) fn causes(&self, other: &Self) -> Vec<Cause> {
        let fields = [
            (CauseKind::Release, &self.release, &other.release),
            (CauseKind::BuildUser, &self.user, &other.user),
            (CauseKind::CompilerVersion, &self.compiler, &other.compiler),
            (CauseKind::BuildNumber, &self.number, &other.number),
            (CauseKind::BuildTimestamp, &self.time, &other.time),
        ];
        let differ = fields.into_iter().filter(|(_, a, b)| a != b);
        differ.map(|(kind, a, b)| Cause::between(kind, a, b)).collect()
    }

    /// The compilers, if they differ.
    pub(super) fn compiler_cause(&self, other: &Self) -> Option<Cause> {
        self.causes(other).into_iter().find(|it| it.kind == CauseKind::CompilerVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "6.1.0 (kiln@host) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) #1 SMP Thu \
                       Jan  1 00:00:00 UTC 1970";

    #[test]
    fn names_what_differs() {
        let one = Banner::parse(ONE.as_bytes()).unwrap();
        for (from, to, kind) in [
            ("6.1.0", "6.1.9", CauseKind::Release),
            ("kiln@", "bob@", CauseKind::BuildUser),
            ("12.2.0-14", "12.2.0-15", CauseKind::CompilerVersion),
            ("#1", "#12", CauseKind::BuildNumber),
            ("Jan  1", "Feb 11", CauseKind::BuildTimestamp),
        ] {
            let other = Banner::parse(ONE.replace(from, to).as_bytes()).unwrap();
            let causes = one.causes(&other);
            assert_eq!(causes.len(), 1, "{causes:?}");
            assert_eq!(causes[0].kind, kind);
        }
        assert!(one.causes(&one).is_empty());
        assert_eq!(Banner::parse(b"no banner"), None);
    }
}
