//! Which confinement works here, found by trying.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{Bind, Confinement, Enter};
use crate::recipe;

/// The best confinement that this process may use, tried once: file modes, security modules and
/// container runtimes all have a say, so nothing short of trying tells.
pub(crate) fn confinement() -> &'static Confinement {
    static FOUND: OnceLock<Confinement> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut reason = String::new();
        // A process that is not root needs the user namespace; for root in a container that may
        // not mount, it is the second chance.
        for user in [false, true] {
            let candidate = Confinement::Namespaces { user };
            match try_out(&candidate) {
                Ok(()) => return candidate,
                Err(error) => reason = error.to_string(),
            }
        }
        Confinement::Plain { reason }
    })
}

fn try_out(confinement: &Confinement) -> std::io::Result<()> {
    let host = std::env::temp_dir();
    let bind = Bind { host, inside: recipe::SOURCE, read_only: true };
    let enter =
        Enter::new(confinement, std::slice::from_ref(&bind), &confinement.seen(&bind), None, None)?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exit 7"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: `enter` makes nothing but system calls on memory that was prepared before.
    unsafe { command.pre_exec(move || enter.enter()) };
    match command.status()?.code() {
        // The odd code shows that it was handed on by the processes in between.
        Some(7) => Ok(()),
        code => Err(std::io::Error::other(format!("a trial run ended with {code:?}"))),
    }
}
