//! `kiln sign`: signatures of a file or a build folder.

use std::path::PathBuf;

use anyhow::Context as _;
use kiln_cache::signature::{self, SignatureKind};

use super::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A vmlinux (for `code` a vmlinux.o), or a build folder that holds one
    path: PathBuf,
    /// Print this signature alone, on one line
    #[arg(long, value_enum)]
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Image,
    Syzkaller,
    /// Of a vmlinux.o: what the sources compile to, whatever the line numbers
    Code,
}

impl From<Kind> for SignatureKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Image => Self::Image,
            Kind::Syzkaller => Self::Syzkaller,
            Kind::Code => Self::Code,
        }
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let kind = args.kind.map(SignatureKind::from);
    let name = if kind == Some(SignatureKind::Code) { "vmlinux.o" } else { "vmlinux" };
    let vmlinux = if args.path.is_dir() { args.path.join(name) } else { args.path };
    anyhow::ensure!(
        vmlinux.is_file(),
        "{} is no file; give a {name}, or the folder that make was run in",
        vmlinux.display()
    );
    let path = vmlinux.clone();
    let signatures = tokio::task::spawn_blocking(move || match kind {
        Some(kind) => signature::sign_kind(&path, kind)
            .map(|signature| signature::Signatures([(kind, signature)].into())),
        None => signature::sign_file(&path),
    })
    .await
    .context("signing stopped")??;

    if let (Some(kind), false) = (kind, context.json) {
        if let Some(signature) = signatures.get(kind) {
            answer(signature.hash);
        }
    } else if context.json {
        let by_kind: serde_json::Map<_, _> = signatures
            .0
            .iter()
            .map(|(kind, signature)| (kind.name().to_owned(), signature.hash.to_hex().into()))
            .collect();
        answer_json(&serde_json::json!({ "file": vmlinux, "signatures": by_kind }))?;
    } else {
        for (kind, signature) in &signatures.0 {
            answer(format_args!("{:<10} {}", kind.name(), signature.hash));
        }
    }
    Ok(Exit::Done)
}
