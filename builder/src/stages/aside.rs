//! Running compilers in a working pair, beside its objects.

use std::fs;
use std::path::PathBuf;

use super::tokens::Tokens;
use crate::error::{BuildError, Doing, empty_folder};
use crate::kbuild::Kbuild;
use crate::kconfig::SCRATCH;
use crate::units::Invocation;

/// Folder, below the objects, of what is made to be compared.
fn folder(kbuild: &Kbuild<'_>) -> PathBuf {
    kbuild.pair.objects().join(SCRATCH).join("stage")
}

/// Runs command lines of the shell in the folder of objects, as many side by side as the build has
/// jobs, where and with what environment Kbuild would run them. Each may write to the path that
/// [`place`] gives for its number. Says of each whether it ended well.
fn run(kbuild: &Kbuild<'_>, commands: &[Option<String>]) -> Result<Vec<bool>, BuildError> {
    let folder = folder(kbuild);
    empty_folder(&folder)?;
    let mut makefile = String::new();
    let mut targets = String::new();
    let inner = format!("{SCRATCH}/stage");
    for (number, command) in commands.iter().enumerate() {
        let Some(command) = command else { continue };
        let script = folder.join(format!("{number}.sh"));
        fs::write(&script, format!("{command}\n")).doing("writing", &script)?;
        targets += &format!(" {number}");
        let script = format!("{inner}/{number}.sh");
        makefile += &format!("{number}:\n\t@sh {script} && : > {inner}/{number}.well\n");
    }
    let path = folder.join("Makefile");
    let text = format!("all:{targets}\n.PHONY: all{targets}\n{makefile}");
    fs::write(&path, text).doing("writing", &path)?;
    kbuild.beside(&format!("{inner}/Makefile"))?;
    let well = |number: usize| folder.join(format!("{number}.well")).exists();
    Ok((0..commands.len()).map(well).collect())
}

/// Where the command of a number writes, from the folder of objects.
fn place(number: usize) -> String {
    format!("{SCRATCH}/stage/{number}.out")
}

/// Preprocesses with each command; `None` for one that failed, and where tokens are not all that there
/// is to an object. See [`Invocation::preprocess`].
pub(super) fn preprocess(
    kbuild: &Kbuild<'_>,
    invocations: &[&Invocation],
) -> Result<Vec<Option<Tokens>>, BuildError> {
    let commands = invocations.iter().enumerate();
    let commands = commands.map(|(number, one)| Some(one.preprocess(&place(number))));
    let well = run(kbuild, &commands.collect::<Vec<_>>())?;
    let mut all = Vec::with_capacity(well.len());
    for (number, well) in well.into_iter().enumerate() {
        let path = kbuild.pair.objects().join(place(number));
        all.push(match well {
            true => Tokens::of(&fs::read(&path).doing("reading", &path)?),
            false => None,
        });
    }
    discard(kbuild)?;
    Ok(all)
}

/// Compiles with each command, and says of each whether what came out is the object that is there
/// (named from the folder of objects), byte for byte.
pub(super) fn gives_the_same(
    kbuild: &Kbuild<'_>,
    invocations: &[(&Invocation, &str)],
) -> Result<Vec<bool>, BuildError> {
    let commands = invocations.iter().enumerate();
    let commands = commands.map(|(number, (one, _))| one.compile(&place(number)));
    let mut same = run(kbuild, &commands.collect::<Vec<_>>())?;
    for (number, (same, (_, object))) in same.iter_mut().zip(invocations).enumerate() {
        if *same {
            let [made, there] =
                [&place(number), *object].map(|path| fs::read(kbuild.pair.objects().join(path)));
            *same = matches!((made, there), (Ok(made), Ok(there)) if made == there);
        }
    }
    discard(kbuild)?;
    Ok(same)
}

fn discard(kbuild: &Kbuild<'_>) -> Result<(), BuildError> {
    let folder = folder(kbuild);
    fs::remove_dir_all(&folder).doing("removing", &folder)
}
