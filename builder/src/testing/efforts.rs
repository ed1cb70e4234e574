//! What is said of how much each commit of a history would have made anew; on the toy kernel.

use std::sync::Arc;

use super::Edit;
use super::toy::{Toy, builder_of, watched};
use crate::closure::Edges;
use crate::{Builder, Efforts, How, Request, Revision};

async fn efforts(toy: &Toy, builder: &Builder, good: &Revision, bad: &Revision) -> Option<Efforts> {
    let repository = toy.fixture.repository();
    let history = repository.history(&good.commit, &bad.commit).unwrap();
    let edges = Arc::new(Edges::new(&repository, &history));
    builder.efforts(&edges, &toy.request(bad, "")).await.unwrap()
}

#[tokio::test]
async fn objects_of_what_changes_on_the_way_are_made_anew() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let write = |path: &str, text: &str| toy.edit(path, &[Edit::File(path, text)]);
    let helper = |n: u32| format!("int helper(int x) {{ return x + {n}; }}\n");
    let banner = |text: &str| format!("static const char banner[] = RELEASE \"{text}\";\n");
    let docs = write("Documentation/a.rst", "other\n");
    let built = write("kernel/helper.c", &helper(2));
    let header = write("include/banner.h", &banner("a"));
    let both = write("kernel/helper.c", &helper(3));
    let back = write("include/banner.h", &banner("b"));
    let makefile = toy.fixture.read(&back, "Makefile");
    let rules = write("Makefile", &(makefile + "also:\n\ttrue\n"));

    let nothing = efforts(&toy, &builder, &first, &rules).await.unwrap();
    assert_eq!(nothing, Efforts { whole: 0, anew: vec![0; 6] }, "everything, however much that is");
    builder.build(&toy.request(&built, "")).await.unwrap();
    let seen = efforts(&toy, &builder, &first, &rules).await.unwrap();
    // docs, built, header, both, back (there and back is two ways), rules
    assert_eq!((seen.whole, seen.anew), (2, vec![1, 0, 1, 2, 2, 2]));

    // From a tree that the history does not have, to its nearer end.
    let seen = efforts(&toy, &builder, &both, &rules).await.unwrap();
    assert_eq!(seen.anew, [2, 2]);
    let seen = efforts(&toy, &builder, &header, &both).await.unwrap();
    assert_eq!(seen.anew, [2]);
    builder.build(&toy.request(&docs, "")).await.unwrap();
    let seen = efforts(&toy, &builder, &docs, &header).await.unwrap();
    assert_eq!(seen.anew, [1, 2]);
    let command = Request { how: How::Command("true".into()), ..toy.request(&built, "") };
    let repository = toy.fixture.repository();
    let history = repository.history(&first.commit, &rules.commit).unwrap();
    let edges = Arc::new(Edges::new(&repository, &history));
    assert_eq!(builder.efforts(&edges, &command).await.unwrap(), None);

    // Objects of two trees: nobody can say what of them is whose.
    let broken = write("kernel/helper.c", "no C\n");
    assert!(!builder.build(&toy.request(&broken, "")).await.unwrap().manifest.is_built());
    assert_eq!(efforts(&toy, &builder, &first, &rules).await, None);
    builder.build(&toy.request(&both, "")).await.unwrap();
    assert!(efforts(&toy, &builder, &first, &rules).await.is_some());
}
