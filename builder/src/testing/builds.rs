//! The builder as a whole, on the toy kernel.

use kiln_cache::manifest::BuildResult;

use kiln_skip::{Lack, skip};

use super::Edit;
use super::toy::{Toy, builder_of};
use crate::place::place;
use crate::sandbox::{Confinement, confinement};
use crate::{BuildError, Obtained, Stage, TreeError};

fn errors(built: &crate::Built) -> &[String] {
    match &built.manifest.result {
        BuildResult::Failed { errors } => errors,
        BuildResult::Built => panic!("it built"),
    }
}

#[tokio::test]
async fn compiles_once_and_then_knows() {
    let (toy, first) = Toy::new().await;
    let builder = toy.builder();
    let request = toy.request(&first, "CONFIG_FAST=y\n");
    assert_eq!(builder.known(&request).await.unwrap(), None);
    let built = builder.build(&request).await.unwrap();
    assert_eq!(built.obtained, Obtained::Compiled);
    let names: Vec<&str> = built.manifest.artifacts.iter().map(|a| a.name.as_str()).collect();
    assert!([".config", "System.map", "build.log", "vmlinux"].iter().all(|n| names.contains(n)));
    assert!(built.manifest.image().is_some());
    assert!(built.manifest.compiler.contains("GNU ld"), "{}", built.manifest.compiler);
    let stages: Vec<Stage> =
        toy.events.0.lock().unwrap().iter().map(|event| event.stage.clone()).collect();
    assert!(stages.contains(&Stage::Configuring) && stages.contains(&Stage::Linking));
    assert_eq!(stages.last(), Some(&Stage::Finished { known: false, built: true }));

    // Another process later.
    let again = toy.builder().build(&request).await.unwrap();
    assert_eq!(again.obtained, Obtained::Input);
    assert_eq!(again.manifest, built.manifest);
}

#[tokio::test]
async fn the_same_tree_and_the_same_normalized_configuration_are_one_build() {
    let (toy, first) = Toy::new().await;
    let builder = toy.builder();
    let built = builder.build(&toy.request(&first, "CONFIG_FAST=y\n")).await.unwrap();
    toy.edit("change", &[Edit::File("kernel/helper.c", "int helper(int x) { return x; }\n")]);
    let revert = toy
        .edit("revert", &[Edit::File("kernel/helper.c", "int helper(int x) { return x + 1; }\n")]);
    let reverted = builder.build(&toy.request(&revert, "CONFIG_FAST=y\n")).await.unwrap();
    assert_eq!(
        (reverted.obtained, reverted.manifest.input_key),
        (Obtained::Input, built.manifest.input_key)
    );
    // Asked for in other words: configured, then found.
    let words = toy.request(&first, "# by hand\nCONFIG_BASE=y\nCONFIG_FAST=y\n");
    let same = builder.build(&words).await.unwrap();
    assert_eq!(
        (same.obtained, same.manifest.input_key),
        (Obtained::Input, built.manifest.input_key)
    );
    assert!(builder.known(&words).await.unwrap().is_some());
    // Found by either commit.
    let query = kiln_cache::Query::parse(&revert.commit).unwrap();
    assert_eq!(toy.store.find_builds(&query).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_neighbour_is_built_warm_and_equal_to_a_cold_build() {
    let (toy, first) = Toy::new().await;
    let builder = builder_of(&toy);
    builder.build(&toy.request(&first, "")).await.unwrap();
    let next = toy.edit(
        "next",
        &[
            Edit::File("kernel/helper.c", "int helper(int x) { return x + 2; }\n"),
            Edit::File("kernel/new.c", "int fresh = 3;\n"),
            Edit::Remove("Documentation/a.rst"),
        ],
    );
    let warm = builder.build(&toy.request(&next, "")).await.unwrap();
    assert_eq!(toy.steps(&warm).await, ["CC kernel/helper.o", "CC kernel/new.o", "LD vmlinux"]);

    // Elsewhere, from nothing, with another store: byte for byte the same.
    let (other, _) = Toy::new().await;
    let mut request = toy.request(&next, "");
    request.jobs = 1;
    let cold = other.builder_in("elsewhere/deeper").build(&request).await.unwrap();
    assert_eq!(cold.obtained, Obtained::Compiled);
    assert_eq!(other.steps(&cold).await.len(), 4);
    for name in ["vmlinux", crate::request::image_of(crate::host_arch()).0] {
        let digest = |built: &crate::Built| built.manifest.artifact(name).unwrap().digest;
        assert_eq!(digest(&warm), digest(&cold), "{name}");
    }
}

#[tokio::test]
async fn point_releases_with_equal_code_are_twins() {
    let (toy, first) = Toy::new().await;
    let builder = toy.builder();
    let built = builder.build(&toy.request(&first, "")).await.unwrap();
    let makefile = toy.fixture.read(&first, "Makefile").replace("SUBLEVEL = 5", "SUBLEVEL = 6");
    let release = toy.edit("release", &[Edit::File("Makefile", &makefile)]);
    let released = builder.build(&toy.request(&release, "")).await.unwrap();
    assert_eq!(released.obtained, Obtained::Compiled);
    assert_eq!(released.manifest.image(), built.manifest.image());
}

#[tokio::test]
async fn modules_are_stored_when_there_are_any() {
    let (toy, first) = Toy::new().await;
    let builder = toy.builder();
    let with = builder.build(&toy.request(&first, "CONFIG_MODULES=y\n")).await.unwrap();
    assert!(with.manifest.artifact("modules/drivers/dummy.ko").is_some());
    let without = builder.build(&toy.request(&first, "")).await.unwrap();
    assert!(without.manifest.artifacts.iter().all(|a| !a.name.starts_with("modules/")));
}

#[tokio::test]
async fn a_revision_that_does_not_compile_is_a_build_that_failed() {
    let (toy, _) = Toy::new().await;
    let builder = toy.builder();
    let broken =
        toy.edit("broken", &[Edit::File("kernel/helper.c", "int helper(int x) { return y; }\n")]);
    let failed = builder.build(&toy.request(&broken, "")).await.unwrap();
    assert_eq!(failed.obtained, Obtained::Compiled);
    assert!(
        errors(&failed)[0].contains("helper.c:1:") && errors(&failed)[0].contains("'y' undeclared"),
        "{:?}",
        errors(&failed)
    );
    assert!(toy.content(&failed, "build.log").await.contains("'y' undeclared"));
    let again = builder.build(&toy.request(&broken, "")).await.unwrap();
    assert_eq!((again.obtained, again.manifest.is_built()), (Obtained::Input, false));
    // The pair is none the worse for it.
    let fixed =
        toy.edit("fixed", &[Edit::File("kernel/helper.c", "int helper(int x) { return x; }\n")]);
    assert!(builder.build(&toy.request(&fixed, "")).await.unwrap().manifest.is_built());
}

#[tokio::test]
async fn broken_kconfig_is_a_failed_build_too() {
    let (toy, _) = Toy::new().await;
    let broken = toy.edit("broken", &[Edit::File("Kconfig", "option FAST\nendif\n")]);
    let failed = toy.builder().build(&toy.request(&broken, "")).await.unwrap();
    assert_eq!(errors(&failed), ["Kconfig:2: syntax error"]);
}

#[tokio::test]
async fn says_which_options_came_out_otherwise() {
    let (toy, first) = Toy::new().await;
    let config = "CONFIG_GONE=y\n# CONFIG_BASE is not set\nCONFIG_FAST=y\n";
    let built = toy.builder().build(&toy.request(&first, config)).await.unwrap();
    let expect = |notes: &[String]| {
        assert!(notes[0].starts_with("CONFIG_BASE: asked n, got y"), "{notes:?}");
        assert!(notes[1].starts_with("CONFIG_GONE: asked y, got n"), "{notes:?}");
    };
    expect(&built.notes);
    // Known by now, and still said.
    let again = toy.builder().build(&toy.request(&first, config)).await.unwrap();
    assert_eq!(again.obtained, Obtained::Input);
    expect(&again.notes);

    let mut strict = toy.request(&first, config);
    strict.strict_config = true;
    let refused = toy.builder().build(&strict).await.unwrap_err();
    assert!(matches!(&refused, BuildError::ConfigChanged(changes) if changes.len() == 2));
    assert!(refused.to_string().contains("CONFIG_GONE"), "{refused}");
}

#[tokio::test]
async fn only_kernels_are_built_by_kbuild() {
    let (toy, _) = Toy::new().await;
    let other = toy.edit("no kernel", &[Edit::Remove("Kconfig")]);
    let error = toy.builder().build(&toy.request(&other, "")).await.unwrap_err();
    assert!(matches!(error, BuildError::Tree(TreeError::NotAKernel { .. })), "{error}");
}

#[tokio::test]
async fn a_request_that_is_built_already_waits_instead_of_compiling_twice() {
    let (toy, first) = Toy::new().await;
    let builder = toy.builder();
    let request = toy.request(&first, "");
    let (one, two) = tokio::join!(builder.build(&request), builder.build(&request));
    let mut obtained = [one.unwrap().obtained, two.unwrap().obtained];
    obtained.sort_by_key(|obtained| *obtained == Obtained::Input);
    assert_eq!(obtained, [Obtained::Compiled, Obtained::Input]);
}

#[tokio::test]
async fn remarks_in_a_configuration_ask_for_nothing_else() {
    let (toy, first) = Toy::new().await;
    let builder = toy.builder();
    let text = "CONFIG_A=y\n# CONFIG_B is not set\n";
    builder.build(&toy.request(&first, text)).await.unwrap();
    let known = async |text: &str| builder.known(&toy.request(&first, text)).await.unwrap();
    assert!(known("# as make writes it\n\nCONFIG_A=y\n#\n# CONFIG_B is not set\n").await.is_some());
    assert!(known("CONFIG_A=y\n").await.is_none());
}

#[tokio::test]
async fn a_build_given_up_half_way_leaves_nothing_wrong() {
    let (toy, first) = Toy::new().await;
    // One pair: while the killed build still ends, another would be taken, and be cold.
    let builder = toy.builder().with_pairs(1, 1);
    // Writes half an object, with a time that says it is current, and then hangs.
    let hangs =
        "@! grep HANG $< || { echo half > $@; touch $(O)/hanging; sleep 1000; }; gcc $(flags)";
    let makefile = toy.fixture.read(&first, "Makefile").replace("@gcc $(flags)", hangs);
    let base = toy.edit("may hang", &[Edit::File("Makefile", &makefile)]);
    builder.build(&toy.request(&base, "")).await.unwrap();
    let hangs = "int helper(int x) { return x + 9; } // HANG\n";
    let hanging = toy.edit("hangs", &[Edit::File("kernel/helper.c", hangs)]);
    {
        let request = toy.request(&hanging, "");
        let build = builder.build(&request);
        tokio::pin!(build);
        let objects = toy.only_pair().join("objects/hanging");
        loop {
            tokio::select! {
                ended = &mut build => panic!("it ended: {ended:?}"),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
            if objects.exists() {
                break;
            }
        }
    }
    let fine = "int helper(int x) { return x + 9; }\n";
    let fine = toy.edit("fine", &[Edit::File("kernel/helper.c", fine)]);
    let built = builder.build(&toy.request(&fine, "")).await.unwrap();
    assert!(built.manifest.is_built(), "{:?}", built.manifest.result);
    assert_eq!(toy.steps(&built).await, ["CC kernel/helper.o", "LD vmlinux"]);
}

#[tokio::test]
async fn a_lost_file_is_built_again() {
    let (toy, first) = Toy::new().await;
    let request = toy.request(&first, "");
    let built = toy.builder().build(&request).await.unwrap();
    let digest = built.manifest.artifact("vmlinux").unwrap().digest.to_hex();
    let mut lost = 0;
    for folder in std::fs::read_dir(toy.store.folder().join("blobs")).unwrap() {
        for blob in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = blob.unwrap().path();
            if path.to_string_lossy().contains(&digest) {
                std::fs::remove_file(path).unwrap();
                lost += 1;
            }
        }
    }
    assert_eq!(lost, 1);
    let again = toy.builder().build(&request).await.unwrap();
    assert_eq!(again.obtained, Obtained::Compiled);
    assert!(toy.store.is_whole(&again.manifest).await.unwrap());
}

#[tokio::test]
async fn a_file_that_the_configuration_names_is_part_of_the_keys() {
    let (toy, first) = Toy::new().await;
    let builder = toy.builder();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.cpio");
    std::fs::write(&file, "one").unwrap();
    let config = format!("CONFIG_INITRAMFS_SOURCE=\"{}\"\n", file.display());
    let request = toy.request(&first, &config);
    let one = builder.build(&request).await.unwrap();
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);

    std::fs::write(&file, "two").unwrap();
    // Longer than a look at the files holds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(builder.known(&request).await.unwrap(), None);
    // No proof crosses from one content to another.
    let proved = builder.build(&toy.request(&docs, &config)).await.unwrap();
    assert_eq!(proved.obtained, Obtained::Compiled);
    let two = builder.build(&request).await.unwrap();
    assert_ne!(two.manifest.family_key, one.manifest.family_key);
}

#[tokio::test]
async fn a_toolchain_that_changes_during_the_build_is_no_build() {
    let (toy, first) = Toy::new().await;
    let folder = tempfile::tempdir().unwrap();
    let compiler = folder.path().join("mycc");
    let real = "#!/bin/sh\nexec gcc \"$@\"\n";
    place(&compiler, real.as_bytes(), 0o755).unwrap();
    // An upgrade in the middle of the first build.
    let makefile = toy.fixture.read(&first, "Makefile");
    let upgrade = format!("@echo '# new' >> {}; gcc $(flags)", compiler.display());
    let upgrades = makefile.replace("@gcc $(flags)", &upgrade);
    let upgrades = toy.edit("upgrades", &[Edit::File("Makefile", &upgrades)]);
    let builder = toy.builder().with_toolchain(compiler.to_str().unwrap());
    let error = builder.build(&toy.request(&upgrades, "")).await.unwrap_err();
    assert!(matches!(&error, BuildError::Infra { .. }), "{error}");
    assert!(error.to_string().contains("toolchain changed"), "{error}");
    let left = std::fs::read_dir(toy.only_pair().join("objects")).unwrap().count();
    assert_eq!(left, 0, "objects of two compilers");
    let same = toy.edit("does not", &[Edit::File("Makefile", &makefile)]);
    assert!(builder.build(&toy.request(&same, "")).await.unwrap().manifest.is_built());
}

/// The toy with a compiler that runs `before` first; `$n` is how often it ran before, from 0.
fn with_toolchain_step(toy: &Toy, first: &crate::Revision, before: &str) -> crate::Revision {
    let count = "n=$$(cat $(O)/n 2>/dev/null || echo 0); echo $$((n + 1)) > $(O)/n";
    let makefile = toy.fixture.read(first, "Makefile");
    let makefile = makefile.replace("@gcc $(flags)", &format!("@{count}; {before}; gcc $(flags)"));
    toy.edit("compiler", &[Edit::File("Makefile", &makefile)])
}

#[tokio::test]
async fn a_failure_that_does_not_come_again_is_none() {
    let (toy, first) = Toy::new().await;
    let crash = "test $$n -gt 0 || { echo 'a.c:1:1: internal compiler error: Segmentation fault' \
                 >&2; exit 1; }";
    let revision = with_toolchain_step(&toy, &first, crash);
    let request = crate::Request { jobs: 1, ..toy.request(&revision, "") };
    let built = toy.builder().build(&request).await.unwrap();
    assert!(built.manifest.is_built(), "{:?}", built.manifest.result);
}

#[tokio::test]
async fn failures_that_differ_are_the_machines() {
    let (toy, first) = Toy::new().await;
    let revision = with_toolchain_step(&toy, &first, "echo \"a.c:$$n:1: error: odd\" >&2; exit 1");
    let request = crate::Request { jobs: 1, ..toy.request(&revision, "") };
    let builder = toy.builder();
    let error = builder.build(&request).await.unwrap_err();
    assert!(matches!(&error, BuildError::Infra { .. }), "{error}");
    assert!(error.to_string().contains("a.c:0:1") && error.to_string().contains("a.c:1:1"));
    assert_eq!(builder.known(&request).await.unwrap(), None);
}

#[tokio::test]
async fn a_compiler_that_always_crashes_on_a_revision_does_not_build_it() {
    let (toy, first) = Toy::new().await;
    let crash = "echo 'a.c:1:1: internal compiler error: Segmentation fault' >&2; exit 1";
    let revision = with_toolchain_step(&toy, &first, crash);
    let request = crate::Request { jobs: 1, ..toy.request(&revision, "") };
    let built = toy.builder().build(&request).await.unwrap();
    assert!(errors(&built)[0].contains("internal compiler error"), "{:?}", errors(&built));
}

#[tokio::test]
async fn a_revision_that_writes_to_its_sources_does_not_build() {
    let (toy, first) = Toy::new().await;
    let revision = with_toolchain_step(&toy, &first, "touch $(CURDIR)/kernel/stamp || exit 1");
    let built = toy.builder().build(&toy.request(&revision, "")).await.unwrap();
    let plain = matches!(confinement(), Confinement::Plain { .. });
    assert!(plain || errors(&built).iter().any(|line| line.contains("Error 1")));
}

#[tokio::test]
async fn random_bytes_are_the_same_for_every_build() {
    if let Confinement::Plain { reason } = confinement() {
        return skip(Lack::Namespaces, reason);
    }
    let mut images = Vec::new();
    for _ in 0..2 {
        let (toy, first) = Toy::new().await;
        let seed = "od -A n -t u4 -N 4 /dev/urandom | tr -d ' ' > $(@D)/seed";
        let makefile = toy
            .fixture
            .read(&first, "Makefile")
            .replace("@gcc $(flags)", &format!("@{seed}; gcc $(flags) -DSEED=$$(cat $(@D)/seed)u"));
        let main = toy.fixture.read(&first, "kernel/main.c") + "unsigned seed = SEED;\n";
        let edits = [Edit::File("Makefile", &makefile), Edit::File("kernel/main.c", &main)];
        let revision = toy.edit("a seed", &edits);
        let built = toy.builder().build(&toy.request(&revision, "")).await.unwrap();
        assert!(built.manifest.is_built(), "{:?}", built.manifest.result);
        images.push(built.manifest.image());
    }
    assert!(images[0].is_some() && images[0] == images[1], "{images:?}");
}
