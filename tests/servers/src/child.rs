//! A child process that never outlives its parent.

use std::io;
use std::process::{Child, Command, Stdio};

/// Runs its arguments and ends them when its standard input is closed, which the system does
/// whenever, and however, the parent ends. Then removes the folder.
const GUARD: &str = r#"
folder=$1; shift
"$@" <&- & child=$!
{ read -r _; kill -INT "$child" 2>/dev/null; } <&3 &
wait "$child"; code=$?
rm -rf "$folder"
exit "$code""#;

/// A guarded child. Dropped, it is ended.
#[derive(Debug)]
pub(crate) struct Guarded(Child);

impl Guarded {
    /// Starts `program` with its arguments; removes `folder` once it has ended.
    pub(crate) fn start(
        folder: &str,
        command: &[&str],
        as_user: Option<(u32, u32)>,
    ) -> io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 3<&0\n{GUARD}"), "guard", folder]).args(command);
        shell.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null());
        if let Some((user, group)) = as_user {
            shell.uid(user).gid(group);
        }
        Ok(Self(shell.spawn()?))
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.0.try_wait().ok().flatten().map(|status| status.to_string())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}
