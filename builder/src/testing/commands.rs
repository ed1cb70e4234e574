//! The builder as a whole, with build commands.

use kiln_cache::manifest::BuildResult;

use super::Edit;
use super::toy::Toy;
use crate::sandbox::{Confinement, confinement};
use crate::{BuildError, Built, Config, How, Obtained, Request, Revision};

fn request(toy: &Toy, revision: &Revision, command: &str) -> Request {
    let how = How::Command(command.to_owned());
    Request { how, config: None, ..toy.request(revision, "") }
}

async fn build(toy: &Toy, revision: &Revision, command: &str) -> Result<Built, BuildError> {
    toy.builder().build(&request(toy, revision, command)).await
}

#[tokio::test]
async fn files_left_in_the_out_folder_are_the_build() {
    let (toy, first) = Toy::new().await;
    let command = "cp kernel/main.c $KILN_OUT/main && mkdir $KILN_OUT/d && \
                   echo $KILN_COMMIT > $KILN_OUT/d/commit && ln -s main $KILN_OUT/link && \
                   pwd -P > $KILN_OUT/where && echo \"[$KILN_CONFIG]\" > $KILN_OUT/config && umask";
    let built = build(&toy, &first, command).await.unwrap();
    assert_eq!(built.obtained, Obtained::Compiled);
    let names: Vec<&str> = built.manifest.artifacts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["build.log", "config", "d/commit", "main", "where"]);
    assert_eq!(toy.content(&built, "d/commit").await.trim(), first.commit);
    assert_eq!(toy.content(&built, "config").await.trim(), "[]");
    assert_eq!(toy.content(&built, "build.log").await.trim(), "0022");
    let again = build(&toy, &first, command).await.unwrap();
    assert_eq!(again.obtained, Obtained::Input);
    assert_eq!(
        build(&toy, &first, "echo > $KILN_OUT/x").await.unwrap().obtained,
        Obtained::Compiled
    );
}

#[tokio::test]
async fn the_configuration_is_given_as_a_file() {
    let (toy, first) = Toy::new().await;
    let mut request = request(&toy, &first, "cp $KILN_CONFIG $KILN_OUT/config");
    request.config = Some(Config::new("anything\n"));
    let built = toy.builder().build(&request).await.unwrap();
    assert_eq!(toy.content(&built, "config").await, "anything\n");
}

#[tokio::test]
async fn exit_codes_tell_the_revision_from_the_machine() {
    let (toy, first) = Toy::new().await;
    for code in [1, 2, 124, 125] {
        let command = format!("echo x.c:1:2: error: bad >&2; exit {code}");
        let built = build(&toy, &first, &command).await.unwrap();
        let failed = BuildResult::Failed { errors: vec!["x.c:1:2: error: bad".into()] };
        assert_eq!(built.manifest.result, failed);
    }
    for (command, expected) in [("exit 126", 126), ("no-such-tool", 127), ("kill -9 $$", 137)] {
        match build(&toy, &first, command).await {
            Err(BuildError::Command { code, .. }) => assert_eq!(code, expected),
            other => panic!("{command}: {other:?}"),
        }
    }
    let full = "echo 'cp: error writing x: No space left on device'; exit 1";
    assert!(matches!(build(&toy, &first, full).await, Err(BuildError::DiskFull { .. })));
    assert!(matches!(build(&toy, &first, "true").await, Err(BuildError::NoArtifacts)));
}

#[tokio::test]
async fn each_build_starts_from_exactly_the_tree() {
    let (toy, first) = Toy::new().await;
    let command = "ls kernel > $KILN_OUT/list && cat kernel/helper.c > $KILN_OUT/helper && \
                   echo x > kernel/litter.o && echo x > kernel/helper.c && rm Kbuild && \
                   mkdir deep && ln -s / deep/root";
    build(&toy, &first, command).await.unwrap();
    let next = toy.edit("next", &[Edit::File("kernel/other.c", "int other;\n")]);
    let built = build(&toy, &next, command).await.unwrap();
    assert!(built.manifest.is_built());
    assert_eq!(toy.content(&built, "list").await, "Makefile\nhelper.c\nmain.c\nother.c\n");
    assert_eq!(toy.content(&built, "helper").await, "int helper(int x) { return x + 1; }\n");
}

#[tokio::test]
async fn nothing_that_a_command_leaves_running_survives_it() {
    let (toy, first) = Toy::new().await;
    let command = "(sleep 2; echo late > $KILN_OUT/late) & echo > $KILN_OUT/now";
    let built = build(&toy, &first, command).await.unwrap();
    assert!(built.seconds < 30.0);
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert!(!toy.only_pair().join("out/late").exists());
}

#[tokio::test]
async fn a_command_below_mnt_is_told_why_it_is_not_found() {
    let (toy, first) = Toy::new().await;
    let error = build(&toy, &first, "/mnt/tools/build.sh").await.unwrap_err().to_string();
    let hidden = matches!(confinement(), Confinement::Namespaces { .. });
    assert_eq!(error.contains("does not see"), hidden, "{error}");
    let other = build(&toy, &first, "no-such-tool").await.unwrap_err().to_string();
    assert!(!other.contains("does not see"), "{other}");
}

#[tokio::test]
async fn the_pairs_are_not_to_be_found_at_their_place_on_the_host() {
    let (toy, first) = Toy::new().await;
    let pool = toy.work.path().join("work/pool");
    let command = format!("ls -A {} > $KILN_OUT/list && cat Kconfig >> /dev/null", pool.display());
    let built = build(&toy, &first, &command).await.unwrap();
    let hidden = matches!(confinement(), Confinement::Namespaces { .. });
    assert_eq!(toy.content(&built, "list").await.is_empty(), hidden);
}
