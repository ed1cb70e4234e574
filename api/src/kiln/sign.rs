//! `kiln sign`: signatures of a file or a build folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use kiln_cache::build_draft::{VMLINUX, VMLINUX_O};
use kiln_cache::signature::explain::Files;
use kiln_cache::signature::{self, SignatureKind};

use super::common::{Context, answer, answer_json};
use super::kernels::{of_folder, without_foreign_object};
use crate::terminal::exit::Exit;
use crate::terminal::table::render;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A vmlinux (for `code` a vmlinux.o), or the folder that make was run in: then `image` names
    /// its boot image and modules, too, as it does in the store
    path: PathBuf,
    /// Print this signature alone, on one line
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// List the bytes of what is loaded that `image` does not see (with `--kind`: that one) instead
    #[arg(long)]
    masks: bool,
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
    let name = if kind == Some(SignatureKind::Code) { VMLINUX_O } else { VMLINUX };
    let mut files: Files = match args.path.is_dir() {
        true => of_folder(&args.path)?,
        false => [(name.to_owned(), args.path.clone())].into(),
    };
    without_foreign_object(&mut files)?;
    let file = files.get(name).filter(|it| it.is_file()).cloned().with_context(|| {
        format!(
            "there is no {name} at {}; give a {name}, or the folder that make was run in",
            args.path.display()
        )
    })?;
    if args.masks {
        return list_masks(context, kind, (name, file), files).await;
    }
    let (path, parts) = (file.clone(), files.clone());
    let signatures = tokio::task::spawn_blocking(move || match kind {
        Some(kind @ (SignatureKind::Code | SignatureKind::Syzkaller)) => {
            signature::sign_kind(&path, kind)
                .map(|signature| signature::Signatures([(kind, signature)].into()))
        }
        Some(SignatureKind::Image) if parts.len() == 1 => {
            signature::sign_kind(&path, SignatureKind::Image)
                .map(|signature| signature::Signatures([(SignatureKind::Image, signature)].into()))
        }
        _ => {
            let object = parts.get(VMLINUX_O).cloned().filter(|_| kind.is_none());
            let mut all = signature::sign_build(&parts.into_iter().collect::<Vec<_>>())?;
            // With link-time optimisation it is no ELF file, and has none.
            if let Some(object) = object
                && signature::is_elf(&object)?
            {
                let code = SignatureKind::Code;
                all.0.insert(code, signature::sign_kind(&object, code)?);
            }
            Ok(all)
        }
    })
    .await
    .context("signing stopped")??;

    if let (Some(kind), false) = (kind, context.json) {
        if let Some(signature) = signatures.get(kind) {
            answer(signature.hash);
        }
    } else if context.json {
        let named: Vec<&String> =
            files.keys().filter(|name| signature::is_named_by_image(name)).collect();
        answer_json(&serde_json::json!({
            "file": file,
            "image_names": named,
            "signatures": signatures,
        }))?;
    } else {
        for (kind, signature) in &signatures.0 {
            answer(format_args!("{:<10} {}", kind.name(), signature.hash));
        }
    }
    Ok(Exit::Done)
}

/// What a signature hides, file by file. `file`: the one that signatures of a lone file are of.
async fn list_masks(
    context: &Context,
    kind: Option<SignatureKind>,
    (name, file): (&'static str, PathBuf),
    files: Files,
) -> anyhow::Result<Exit> {
    let read = move || match kind {
        None | Some(SignatureKind::Image) => {
            signature::masked(&files.into_iter().collect::<Vec<_>>())
        }
        Some(SignatureKind::Code) => Ok([(name.to_owned(), signature::masked_code(&file)?)].into()),
        // `syzkaller` sees every byte of what it looks at.
        Some(_) => Ok(BTreeMap::new()),
    };
    let masked = tokio::task::spawn_blocking(read).await.context("reading stopped")??;
    if context.json {
        answer_json(&masked)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = masked
        .iter()
        .flat_map(|(file, masks)| {
            masks.iter().map(|it| {
                vec![file.clone(), it.start.to_string(), it.length.to_string(), it.kind.to_owned()]
            })
        })
        .collect();
    for line in render(&["file", "first byte", "bytes", "what"], &rows, &[1, 2]).lines() {
        answer(line);
    }
    Ok(Exit::Done)
}
