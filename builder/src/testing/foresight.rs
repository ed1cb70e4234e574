//! What is said before anything is built, and which commits are said to be one; on the toy kernel.

use std::sync::Arc;

use super::Edit;
use super::toy::{Toy, builder_of, watched};
use crate::{Foreseen, Foresight, How, Obtained, Revision};

const HELPER: &str = "kernel/helper.c";
const TEXT: &str = "int helper(int x) { return x + 1; }\n";

async fn foresee(toy: &Toy, revision: &Revision) -> Foresight {
    builder_of(toy).foresee(&toy.request(revision, "")).await.unwrap()
}

#[tokio::test]
async fn what_is_foreseen_comes_true() {
    let Some((toy, first)) = watched().await else { return };
    let nothing = foresee(&toy, &first).await;
    assert_eq!((nothing.stage, nothing.from), (Foreseen::Compiled, None));
    assert!(nothing.why.contains("no build") && nothing.from_nothing, "{nothing:?}");
    let base = builder_of(&toy).build(&toy.request(&first, "")).await.unwrap();
    let seen = foresee(&toy, &first).await;
    assert_eq!((seen.stage, seen.builds), (Foreseen::Input, Some(true)));

    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let seen = foresee(&toy, &docs).await;
    assert_eq!((seen.stage, seen.from), (Foreseen::Closure, Some(base.manifest.input_key)));
    let makefile = toy.fixture.read(&first, "Makefile") + "#\n";
    let script = toy.fixture.read(&first, "scripts/record") + "#\n";
    let cases: [(&str, &str, Foreseen, &str, Obtained); 4] = [
        (
            "kernel/Makefile",
            "more-y := 1\n",
            Foreseen::Commands,
            "kernel/Makefile was read",
            Obtained::Commands,
        ),
        (
            HELPER,
            "int helper(int x) { return x + 1; } // why\n",
            Foreseen::Tokens,
            "kernel/helper.c was read and has other content; 1 object is compared",
            Obtained::Tokens,
        ),
        (
            "Makefile",
            &makefile,
            Foreseen::Compiled,
            "Makefile differs, and is for every command",
            Obtained::Compiled,
        ),
        (
            "scripts/record",
            &script,
            Foreseen::Compiled,
            "scripts/record differs, and nobody recorded who reads it",
            Obtained::Compiled,
        ),
    ];
    for (path, text, stage, why, obtained) in cases {
        let revision = toy.edit(why, &[Edit::File(path, text)]);
        let seen = foresee(&toy, &revision).await;
        assert_eq!(seen.stage, stage, "{seen:?}");
        assert!(seen.why.contains(why) && seen.warm && seen.touched == 1, "{seen:?}");
        let built = builder_of(&toy).build(&toy.request(&revision, "")).await.unwrap();
        assert_eq!(built.obtained, obtained, "{:?}", built.provenance);
        // It was held against the same, and made of as much.
        let provenance = built.provenance.as_ref().unwrap();
        assert_eq!(seen.from, provenance.from);
        assert_eq!(seen.from_nothing, provenance.from_nothing);
        assert_eq!(seen.from_nothing, why.contains("nobody recorded"), "{seen:?}");
        assert_eq!(seen.from_nothing, toy.steps(&built).await.len() == 3);
    }
    let mut command = toy.request(&first, "");
    command.how = How::Command("true".into());
    assert_eq!(builder_of(&toy).foresee(&command).await.unwrap().stage, Foreseen::Compiled);
}

#[tokio::test]
async fn what_is_known_not_to_build_is_foreseen() {
    let Some((toy, _)) = watched().await else { return };
    let broken = toy.edit("broken", &[Edit::File(HELPER, "int helper(int x) { return ; x }\n")]);
    let seen = foresee(&toy, &broken).await;
    assert_eq!((seen.stage, seen.builds), (Foreseen::Compiled, None));
    let built = builder_of(&toy).build(&toy.request(&broken, "")).await.unwrap();
    assert!(!built.manifest.is_built());
    let seen = foresee(&toy, &broken).await;
    assert_eq!((seen.stage, seen.builds), (Foreseen::Input, Some(false)));
    // So is what is proved to give the same.
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let seen = foresee(&toy, &docs).await;
    assert_eq!((seen.stage, seen.builds), (Foreseen::Closure, Some(false)), "{seen:?}");
}

#[tokio::test]
async fn a_range_collapses_by_the_builds_at_hand() {
    let Some((toy, first)) = watched().await else { return };
    let docs = |text| [Edit::File("Documentation/a.rst", text)];
    toy.edit("0", &docs("0"));
    toy.edit("1", &docs("1"));
    toy.edit("2", &[Edit::File(HELPER, &TEXT.replace('1', "2"))]);
    toy.edit("3", &docs("3"));
    toy.edit("4", &[Edit::File(HELPER, &TEXT.replace('1', "3"))]);
    let last = toy.edit("5", &docs("5"));
    let history = Arc::new(toy.fixture.repository().history(&first.commit, "HEAD").unwrap());
    let builder = builder_of(&toy);
    let request = toy.request(&last, "");
    let none = builder.classes(&history, &request).await.unwrap();
    assert!(none.builds == 0 && none.classes.is_empty());

    let good = builder.build(&toy.request(&first, "")).await.unwrap().manifest.input_key;
    let found = builder.classes(&history, &request).await.unwrap();
    let summary: Vec<_> =
        found.classes.iter().map(|class| (class.commits.clone(), class.build)).collect();
    // The build lies before the range, and proves its first commits; the others are expected.
    let first_class = (vec![0, 1], Some(good));
    assert_eq!(summary, [first_class.clone(), (vec![2, 3], None), (vec![4, 5], None)]);
    let begins: Vec<_> = found.classes.iter().map(|class| class.begins.is_some()).collect();
    assert_eq!(begins, [false, true, true]);

    let bad = builder.build(&request).await.unwrap().manifest.input_key;
    let found = builder.classes(&history, &request).await.unwrap();
    let summary: Vec<_> =
        found.classes.iter().map(|class| (class.commits.clone(), class.build)).collect();
    assert_eq!((found.builds, summary.len()), (2, 3));
    assert_eq!((&summary[0], &summary[2]), (&first_class, &(vec![4, 5], Some(bad))));
}

#[tokio::test]
async fn builds_that_came_out_the_same_are_one_class() {
    let Some((toy, first)) = watched().await else { return };
    toy.edit("0", &[Edit::File("Documentation/a.rst", "0")]);
    // Read, but only a comment: the build of it is another input with the same image.
    let comment = toy.edit("1", &[Edit::File(HELPER, &format!("{} // why\n", TEXT.trim_end()))]);
    let last = toy.edit("2", &[Edit::File("Documentation/a.rst", "2")]);
    let history = Arc::new(toy.fixture.repository().history(&first.commit, "HEAD").unwrap());
    let builder = builder_of(&toy);
    let request = toy.request(&last, "");
    let one = builder.build(&toy.request(&first, "")).await.unwrap().manifest;
    let classes = builder.classes(&history, &request).await.unwrap().classes;
    let commits: Vec<_> = classes.iter().map(|class| class.commits.clone()).collect();
    assert_eq!(commits, [vec![0], vec![1, 2]]);

    let other = builder.build(&toy.request(&comment, "")).await.unwrap().manifest;
    assert_ne!(one.input_key, other.input_key);
    assert_eq!(one.signatures, other.signatures);
    let found = builder.classes(&history, &request).await.unwrap();
    assert_eq!(found.builds, 2);
    let commits: Vec<_> = found.classes.iter().map(|class| class.commits.clone()).collect();
    assert_eq!(commits, [vec![0, 1, 2]]);
    assert!(found.classes[0].build.is_some());
}
