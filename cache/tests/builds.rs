//! Builds: immutable, findable, and never half there.

mod common;

use common::{Fixture, commit, draft, input, noise, quiet, request, story};
use kiln_cache::build_draft::InvalidDraft;
use kiln_cache::error::StoreError;
use kiln_cache::manifest::BuildResult;
use kiln_cache::query::QueryError;
use kiln_cache::signature::SignatureKind;
use kiln_cache::{BuildFilter, Digest, InputKey, Query};

#[tokio::test]
async fn a_build_comes_back_by_every_name() {
    let fixture = Fixture::new().await;
    let image = fixture.file("image", b"an image");
    let log = fixture.file("log", b"CC init/main.o");
    let store = &fixture.store;
    let manifest =
        store.add_build(draft(1, &[("image", &image), ("build.log", &log)])).await.unwrap();
    assert_eq!(manifest.input_key, input(1).key());
    let names: Vec<_> = manifest.artifacts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["build.log", "image"]);
    assert_eq!(manifest.artifact("image").unwrap().digest, Digest::of(b"an image"));
    assert_eq!(manifest.artifact("image").unwrap().size, 8);

    for store in [store.clone(), fixture.reopen().await] {
        let key = manifest.input_key;
        assert_eq!(store.build_by_input(&key).await.unwrap().as_ref(), Some(&manifest));
        assert_eq!(store.build_by_request(&request(1)).await.unwrap().as_ref(), Some(&manifest));
        let content = manifest.signatures.get(SignatureKind::Content).unwrap().hash;
        for name in [
            commit(1),
            commit(1)[..8].to_uppercase(),
            format!("revision:{}", &commit(1)[..12]),
            content.to_hex(),
            format!("content:{}", content.short()),
            format!("signature:{}", content.short()),
            key.to_string(),
            format!("input:{}", &key.to_string()[..9]),
        ] {
            let found = store.find_builds(&Query::parse(&name).unwrap()).await.unwrap();
            assert_eq!(found, std::slice::from_ref(&manifest), "{name}");
        }
        for name in [request(1).to_string(), format!("image:{}", content.short())] {
            let found = store.find_builds(&Query::parse(&name).unwrap()).await.unwrap();
            assert!(found.is_empty(), "{name}");
        }
        assert_eq!(store.build_by_input(&request(1)).await.unwrap(), None);
        assert_eq!(store.build_by_request(&key).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_real_elf_file_is_signed_as_a_kernel() {
    let fixture = Fixture::new().await;
    // Any ELF file with sections and a build id: this test itself.
    let elf = std::env::current_exe().unwrap();
    let manifest = fixture.store.add_build(draft(1, &[("vmlinux", &elf)])).await.unwrap();
    let signatures = kiln_cache::signature::sign_file(&elf).unwrap();
    for kind in [SignatureKind::Image, SignatureKind::Syzkaller] {
        assert_eq!(manifest.signatures.get(kind), signatures.get(kind));
    }
    assert_eq!(manifest.build_id, kiln_cache::signature::build_id(&elf).unwrap());
    let image = signatures.get(SignatureKind::Image).unwrap().hash;
    let content = manifest.signatures.get(SignatureKind::Content).unwrap().hash;
    assert_eq!(manifest.image().unwrap().0, content);
    let syzkaller = signatures.get(SignatureKind::Syzkaller).unwrap().hash;
    for name in [format!("image:{image}"), format!("syzkaller:{}", syzkaller.short())] {
        let found = fixture.store.find_builds(&Query::parse(&name).unwrap()).await.unwrap();
        assert_eq!(found.len(), 1, "{name}");
    }
    if let Some(build_id) = &manifest.build_id {
        let query = Query::parse(&format!("build-id:{}", &build_id[..10])).unwrap();
        assert_eq!(fixture.store.find_builds(&query).await.unwrap().len(), 1);
    }
}

/// Compiles an object as a stand-in for the kernel before linking.
fn object(fixture: &Fixture, source: &str) -> std::path::PathBuf {
    let input = fixture.file("main.c", source.as_bytes());
    let output = input.with_file_name("vmlinux.o");
    let gcc = std::process::Command::new("gcc")
        .arg("-O2")
        .arg("-c")
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .status();
    assert!(gcc.unwrap().success());
    output
}

#[tokio::test]
async fn a_kernel_before_linking_gives_a_build_its_code() {
    let fixture = Fixture::new().await;
    let elf = std::env::current_exe().unwrap();
    let (mut codes, mut images) = (Vec::new(), Vec::new());
    for (seed, source) in [
        (1, "int f(int x) { return x + 1; }"),
        (2, "/* a comment */\nint f(int x) { return x + 1; }"),
        (3, "int f(int x) { return x + 2; }"),
    ] {
        let object = object(&fixture, source);
        let files = [("vmlinux", elf.as_path()), ("vmlinux.o", &object)];
        let manifest = fixture.store.add_build(draft(seed, &files)).await.unwrap();
        codes.push(manifest.signatures.get(SignatureKind::Code).unwrap().hash);
        images.push(manifest.image().unwrap());
    }
    // It is no part of what runs: evidence is shared by builds with one vmlinux.
    assert!(images.iter().all(|image| *image == images[0]), "{images:?}");
    assert_eq!(codes[0], codes[1]);
    assert_ne!(codes[0], codes[2]);
    let query = Query::parse(&format!("code:{}", codes[0])).unwrap();
    assert_eq!(fixture.store.find_builds(&query).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_object_that_is_no_object_is_an_error_and_a_fake_one_is_none() {
    let fixture = Fixture::new().await;
    let elf = std::env::current_exe().unwrap();
    let fake = fixture.file("vmlinux.o", b"not an ELF file");
    let files = [("vmlinux", elf.as_path()), ("vmlinux.o", &fake)];
    let manifest = fixture.store.add_build(draft(1, &files)).await.unwrap();
    assert_eq!(manifest.signatures.get(SignatureKind::Code), None);
    // A linked file where the object should be.
    let files = [("vmlinux", elf.as_path()), ("vmlinux.o", &elf)];
    let error = fixture.store.add_build(draft(2, &files)).await.unwrap_err();
    assert!(matches!(error, StoreError::Signature { .. }), "{}", story(&error));
}

#[tokio::test]
async fn manifests_of_the_first_format_are_read() {
    let mut fixture = Fixture::new().await;
    let image = fixture.file("image", b"an image");
    let manifest = fixture.store.add_build(draft(1, &[("image", &image)])).await.unwrap();
    let path = fixture.manifest(&manifest.input_key);
    let text = std::fs::read_to_string(&path).unwrap();
    // It had no checksum then.
    let (fields, _) = text.rsplit_once(",\"blake3\":").unwrap();
    let first = fields.replacen(r#"{"format":3,"#, r#"{"format":1,"#, 1) + "}";
    assert_ne!(first, format!("{fields}}}"));
    std::fs::write(&path, first).unwrap();
    // As a store that an older Kiln wrote: its index is made from its manifests.
    let store = fixture.reopen_without_index().await;
    let read = store.build_by_input(&manifest.input_key).await.unwrap().unwrap();
    assert_eq!((read.format, &read.artifacts), (1, &manifest.artifacts));
}

#[tokio::test]
async fn a_fake_vmlinux_is_signed_by_content() {
    let fixture = Fixture::new().await;
    for (seed, content) in [(1, &b"not an ELF file"[..]), (2, b"")] {
        let fake = fixture.file("vmlinux", content);
        let manifest = fixture.store.add_build(draft(seed, &[("vmlinux", &fake)])).await.unwrap();
        assert!(manifest.signatures.get(SignatureKind::Content).is_some());
    }
    // It says that it is one, and is none: an error, not an identity.
    let broken = fixture.file("vmlinux", b"\x7fELFgarbage");
    let error = fixture.store.add_build(draft(3, &[("vmlinux", &broken)])).await.unwrap_err();
    assert!(matches!(error, StoreError::Signature { .. }), "{}", story(&error));
    assert_eq!(fixture.store.build_by_input(&input(3).key()).await.unwrap(), None);
}

#[tokio::test]
async fn the_first_build_of_an_input_stays() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.file("a", b"first"), fixture.file("b", b"second"));
    let first = fixture.store.add_build(draft(1, &[("image", &a)])).await.unwrap();
    let mut again = draft(1, &[("image", &b)]);
    again.commit = commit(2);
    again.request_key = request(2);
    assert_eq!(fixture.store.add_build(again).await.unwrap(), first);
    // The new names lead to it, too.
    assert_eq!(fixture.store.build_by_request(&request(2)).await.unwrap(), Some(first.clone()));
    let found = fixture.store.find_builds(&Query::parse(&commit(2)).unwrap()).await.unwrap();
    assert_eq!(found, [first]);
    assert_eq!(fixture.store.stats().await.unwrap().builds, 1);
}

#[tokio::test]
async fn a_build_that_lost_a_file_gives_way_to_a_new_one() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.file("a", b"first"), fixture.file("b", b"second"));
    let first = fixture.store.add_build(draft(1, &[("image", &a)])).await.unwrap();
    std::fs::remove_file(fixture.blob(&first.artifacts[0].digest)).unwrap();
    assert!(!fixture.store.is_whole(&first).await.unwrap());
    assert_eq!(fixture.store.verify(false, &quiet).await.unwrap().problems.len(), 1);
    let second = fixture.store.add_build(draft(1, &[("image", &b)])).await.unwrap();
    assert_eq!(second.artifacts[0].digest, Digest::of(b"second"));
    assert_eq!(fixture.store.build_by_input(&first.input_key).await.unwrap(), Some(second));
    let report = fixture.store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.quarantined, 1);
}

#[tokio::test]
async fn failures_are_remembered() {
    let fixture = Fixture::new().await;
    let log = fixture.file("log", b"fs/x.c:1: error");
    let mut failed = draft(1, &[("build.log", &log)]);
    failed.result = BuildResult::Failed { errors: vec!["fs/x.c:1: error: no".into()] };
    let manifest = fixture.store.add_build(failed).await.unwrap();
    assert!(!manifest.is_built() && manifest.image().is_none());
    assert_eq!(fixture.store.build_by_request(&request(1)).await.unwrap(), Some(manifest));
    let summaries = fixture.store.builds_by_requests(&[request(1)]).await.unwrap();
    let summary = summaries[&request(1)];
    assert!(!summary.built && summary.image.is_none());
}

#[tokio::test]
async fn drafts_that_make_no_sense_leave_nothing() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", b"first");
    let mut seconds = draft(1, &[("a", &file)]);
    seconds.seconds = f64::NAN;
    let mut name = draft(1, &[("a", &file)]);
    name.commit = "HEAD".into();
    for draft in [draft(1, &[]), draft(1, &[("../a", &file)]), seconds, name] {
        let error = fixture.store.add_build(draft).await.unwrap_err();
        assert!(matches!(error, StoreError::Draft(_)), "{error}");
    }
    let gone = draft(1, &[("a", &file), ("b", &fixture.folder.path().join("none"))]);
    assert!(matches!(fixture.store.add_build(gone).await, Err(StoreError::File { .. })));
    assert!(matches!(
        fixture.store.add_build(draft(1, &[("build.log", &file)])).await,
        Err(StoreError::Draft(InvalidDraft::Nothing))
    ));
    assert_eq!(fixture.store.build_by_input(&input(1).key()).await.unwrap(), None);
}

#[tokio::test]
async fn twins_and_ambiguous_prefixes() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", b"same");
    let other = fixture.file("b", b"other");
    let store = &fixture.store;
    let a = store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    let b = store.add_build(draft(2, &[("image", &file)])).await.unwrap();
    assert_eq!(a.image(), b.image());
    // One signature, two builds: an answer.
    let query = Query::parse(&a.image().unwrap().to_string()).unwrap();
    assert_eq!(store.find_builds(&query).await.unwrap().len(), 2);
    let twin = store.find_build(&query).await.unwrap().unwrap();
    assert!(twin == a || twin == b);
    // Two commits with the same first digits: a question.
    let mut c = draft(3, &[("image", &other)]);
    c.commit = format!("{}{}", &commit(1)[..9], "0".repeat(31));
    store.add_build(c.clone()).await.unwrap();
    let error = store.find_builds(&Query::parse(&commit(1)[..9]).unwrap()).await.unwrap_err();
    let StoreError::Query(QueryError::Ambiguous { matches, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(matches.len(), 2);
    assert!(error.to_string().contains(&c.commit), "{error}");
    // One commit, two builds that are no twins (another configuration): a question too.
    let mut d = draft(4, &[("image", &other)]);
    d.commit = commit(1);
    let d = store.add_build(d).await.unwrap();
    let error = store.find_build(&Query::parse(&commit(1)).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains(&d.input_key.to_string()), "{error}");
    // The whole name is never ambiguous with longer ones.
    let found = store.find_builds(&Query::parse(&commit(1)).unwrap()).await.unwrap();
    assert!(found.len() == 2 && found.contains(&a) && found.contains(&d));
}

#[tokio::test]
async fn names_need_a_build() {
    let fixture = Fixture::new().await;
    let unknown = InputKey(Digest::of(b"nothing"));
    let error = fixture.store.add_request(&request(1), &unknown).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownBuild(_)), "{error}");
    let error = fixture.store.add_revision(&commit(1), &unknown).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownBuild(_)), "{error}");
}

#[tokio::test]
async fn many_requests_at_once() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", b"same");
    let draft = draft(1, &[("image", &file), ("closure", &file)]);
    let manifest = fixture.store.add_build(draft).await.unwrap();
    for seed in 2..40 {
        fixture.store.add_request(&request(seed), &manifest.input_key).await.unwrap();
    }
    let keys: Vec<_> = (0..20_000).map(request).collect();
    let found = fixture.store.builds_by_requests(&keys).await.unwrap();
    assert_eq!(found.len(), 39);
    let summary = found[&request(17)];
    assert_eq!((summary.input_key, summary.image), (manifest.input_key, manifest.image()));
    assert_eq!((summary.built, summary.seconds, summary.proof), (true, 12.5, None));
    // A proof holds for the build that has its closure.
    let closure = manifest.artifact("closure").unwrap().digest;
    let (proved, input) = (request(50), manifest.input_key);
    fixture.store.add_proved_request(&proved, &input, &closure).await.unwrap();
    let found = fixture.store.builds_by_requests(&[proved]).await.unwrap();
    assert_eq!(found[&proved].proof, Some(closure));
}

#[tokio::test]
async fn a_missing_row_is_healed_by_a_look_up() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", &noise(1, 5000));
    let manifest = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    // As if the writer had been killed between manifest and row: a store with the object alone.
    let other = Fixture::new().await;
    copy_objects(&fixture, &other);
    assert_eq!(other.store.build_by_request(&request(1)).await.unwrap(), None);
    let key = manifest.input_key;
    assert_eq!(other.store.build_by_input(&key).await.unwrap(), Some(manifest.clone()));
    assert_eq!(other.store.build_by_request(&request(1)).await.unwrap(), Some(manifest.clone()));
    // `verify` does the same, and so does asking by key among all names.
    let third = Fixture::new().await;
    copy_objects(&fixture, &third);
    let report = third.store.verify(true, &quiet).await.unwrap();
    assert_eq!((report.is_clean(), report.healed), (true, 1));
    assert_eq!(third.store.build_by_request(&request(1)).await.unwrap(), Some(manifest));
}

fn copy_objects(from: &Fixture, to: &Fixture) {
    for folder in ["blobs", "builds"] {
        let status = std::process::Command::new("cp")
            .arg("-rT")
            .args([from.root().join(folder), to.root().join(folder)])
            .status()
            .unwrap();
        assert!(status.success());
    }
}

#[tokio::test]
async fn a_lost_index_is_rebuilt_when_the_store_is_opened() {
    let mut fixture = Fixture::new().await;
    let file = fixture.file("a", b"x");
    let mut manifests = Vec::new();
    for seed in 0..5 {
        manifests.push(fixture.store.add_build(draft(seed, &[("image", &file)])).await.unwrap());
    }
    let store = fixture.reopen_without_index().await;
    for (seed, manifest) in (0..).zip(&manifests) {
        let found = store.build_by_request(&request(seed)).await.unwrap();
        assert_eq!(found.as_ref(), Some(manifest));
    }
}

#[tokio::test]
async fn a_rebuild_that_was_killed_begins_again() {
    let mut fixture = Fixture::new().await;
    let file = fixture.file("a", b"x");
    let manifest = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    // As after a kill: an index that knows nothing, and does not say that it is complete.
    let aside = fixture.root().join("builds");
    std::fs::rename(&aside, fixture.folder.path().join("aside")).unwrap();
    fixture.reopen_without_index().await.close().await;
    std::fs::rename(fixture.folder.path().join("aside"), &aside).unwrap();
    fixture.execute("DELETE FROM settings WHERE name = 'complete'").await;
    let store = fixture.reopen().await;
    let found = store.find_builds(&Query::parse(&manifest.commit).unwrap()).await.unwrap();
    assert_eq!(found, [manifest]);
}

#[tokio::test]
async fn a_deep_verification_signs_kernels_anew() {
    let mut fixture = Fixture::new().await;
    let elf = std::env::current_exe().unwrap();
    let manifest = fixture.store.add_build(draft(1, &[("vmlinux", &elf)])).await.unwrap();
    let right = fixture.store.verify(true, &|_| ()).await.unwrap();
    assert!(right.is_clean(), "{right:?}");
    // Somebody's word for a signature, brought in where the index can't contradict it.
    let path = fixture.manifest(&manifest.input_key);
    let text = std::fs::read_to_string(&path).unwrap();
    let hash = manifest.signatures.get(SignatureKind::Syzkaller).unwrap().hash.to_hex();
    let claimed = |it: &str| it.replace(&hash, &Digest::of(b"claimed").to_hex());
    std::fs::write(&path, common::resealed(&text, claimed)).unwrap();
    let store = fixture.reopen_without_index().await;
    let report = store.verify(true, &|_| ()).await.unwrap();
    let [problem] = &report.problems[..] else { panic!("{report:?}") };
    assert!(problem.why.contains("syzkaller"), "{problem}");
}

#[tokio::test]
async fn reindex_removes_rows_without_a_manifest() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", b"x");
    let a = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    fixture.store.add_build(draft(2, &[("image", &file)])).await.unwrap();
    std::fs::remove_file(fixture.manifest(&a.input_key)).unwrap();
    assert_eq!(fixture.store.build_by_input(&a.input_key).await.unwrap(), None);
    let report = fixture.store.verify(false, &quiet).await.unwrap();
    assert!(report.problems[0].why.contains("manifest is gone"), "{:?}", report.problems);
    assert_eq!(fixture.store.reindex().await.unwrap(), 1);
    assert!(fixture.store.verify(false, &quiet).await.unwrap().is_clean());
    assert_eq!(fixture.store.stats().await.unwrap().builds, 1);
}

#[tokio::test]
async fn a_changed_manifest_is_quarantined_and_can_be_built_again() {
    let changes: [fn(String) -> String; 3] = [
        |_| "{".into(),
        |text| text.replace("12.5", "12.6"),
        |text| text.replace("x86_64", "x86_65"),
    ];
    for change in changes {
        let fixture = Fixture::new().await;
        let file = fixture.file("a", b"x");
        let first = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
        let path = fixture.manifest(&first.input_key);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(text)).unwrap();
        assert_eq!(fixture.store.verify(false, &quiet).await.unwrap().problems.len(), 1);
        let error = fixture.store.build_by_request(&request(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("quarantine/"), "{error}");
        assert_eq!(fixture.store.build_by_request(&request(1)).await.unwrap(), None);
        fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
        assert!(fixture.store.verify(true, &quiet).await.unwrap().is_clean());
    }
}

/// Somebody's index is older than a build: it was removed and made again, with another index.
#[tokio::test]
async fn a_build_that_was_made_again_is_not_taken_for_damage() {
    for is_sealed in [true, false] {
        let fixture = Fixture::new().await;
        let (a, b) = (fixture.file("a", b"first"), fixture.file("b", b"second"));
        let first = fixture.store.add_build(draft(1, &[("image", &a)])).await.unwrap();
        std::fs::remove_file(fixture.manifest(&first.input_key)).unwrap();
        let another = Fixture::new().await;
        let mut second = another.store.add_build(draft(1, &[("image", &b)])).await.unwrap();
        copy_objects(&another, &fixture);
        if !is_sealed {
            // An older Kiln made it: then its time tells.
            (second.format, second.created) = (2, first.created + 1);
            let text = serde_json::to_string(&second).unwrap();
            std::fs::write(fixture.manifest(&first.input_key), text).unwrap();
        }
        let found = fixture.store.build_by_input(&first.input_key).await.unwrap();
        assert_eq!(found.as_ref(), Some(&second));
        let report = fixture.store.verify(true, &quiet).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        assert_eq!((report.healed, report.quarantined), (0, 0));
        if !is_sealed {
            second.seconds += 1.0;
            let text = serde_json::to_string(&second).unwrap();
            std::fs::write(fixture.manifest(&first.input_key), text).unwrap();
            let error = fixture.store.build_by_input(&first.input_key).await.unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
    }
}

/// Where no index can contradict a manifest, it contradicts itself.
#[tokio::test]
async fn a_manifest_that_was_changed_is_not_indexed() {
    let changes: [fn(&str) -> String; 5] = [
        |text| text.replacen(&commit(1)[..8], "00000000", 1),
        |text| text.replace("12.5", "12.6"),
        |text| text.replacen(r#"{"format":3,"#, r#"{"format":2,"#, 1),
        |text| text.replacen("blake3", "blake4", 1),
        |text| text.rsplit_once(",\"blake3\":").unwrap().0.to_owned() + "}",
    ];
    for change in changes {
        let mut fixture = Fixture::new().await;
        let file = fixture.file("a", b"x");
        let build = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
        let path = fixture.manifest(&build.input_key);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_ne!(text, change(&text));
        std::fs::write(&path, change(&text)).unwrap();
        let store = fixture.reopen_without_index().await;
        assert_eq!(store.reindex().await.unwrap(), 0);
        let report = store.verify(false, &quiet).await.unwrap();
        assert!(report.problems[0].why.contains("checksum"), "{:?}", report.problems);
    }
}

#[tokio::test]
async fn a_newer_manifest_is_left_alone() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", b"x");
    let first = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    let path = fixture.manifest(&first.input_key);
    std::fs::write(&path, r#"{"format":99,"other":"fields"}"#).unwrap();
    let error = fixture.store.build_by_input(&first.input_key).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 99, known: 3, .. }), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn numbers() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", &vec![7; 100_000]);
    let small = fixture.file("b", b"1234");
    for seed in [1, 2] {
        let files = [("image", file.as_path()), ("map", small.as_path())];
        fixture.store.add_build(draft(seed, &files)).await.unwrap();
    }
    let mut failed = draft(3, &[("build.log", &small)]);
    failed.result = BuildResult::Failed { errors: vec![] };
    fixture.store.add_build(failed).await.unwrap();
    fixture.store.put_bytes("a console".into()).await.unwrap();
    let stats = fixture.store.stats().await.unwrap();
    assert_eq!((stats.builds, stats.failed_builds, stats.images), (3, 1, 1));
    assert_eq!((stats.artifacts, stats.distinct_artifacts, stats.blobs), (5, 2, 3));
    assert_eq!((stats.artifact_bytes, stats.plain_bytes), (200_012, 100_004));
    assert!(stats.stored_bytes < 1000, "{stats:?}");
    assert_eq!(stats.other_stored_bytes, 9 + 80);
    // No run has it: it is none.
    assert_eq!((stats.other_blobs, stats.consoles, stats.console_stored_bytes), (1, 0, 0));
}

#[tokio::test]
async fn the_last_used_is_listed_first_and_filters_take_what_they_say() {
    let fixture = Fixture::new().await;
    let (store, mut builds) = (&fixture.store, Vec::new());
    for seed in 0..4_u64 {
        let file = fixture.file("image", &seed.to_le_bytes());
        let mut draft = draft(seed, &[("image", &file)]);
        if seed == 3 {
            draft.result = BuildResult::Failed { errors: vec![] };
            draft.family_key = InputKey(Digest::of(b"another family"));
        }
        builds.push(store.add_build(draft).await.unwrap());
    }
    fixture
        .execute(
            "UPDATE uses SET at = at - 10000 WHERE input_key IN \
             (SELECT input_key FROM builds WHERE result = 'built')",
        )
        .await;
    store.pin(&builds[1].input_key, true).await.unwrap();
    store.add_revision(&commit(9), &builds[2].input_key).await.unwrap();
    let list = async |filter: BuildFilter, limit| {
        let mut listed = Vec::new();
        store.list(&filter, limit, &mut |build| listed.push(build)).await.unwrap();
        listed
    };
    let keys = async |filter: BuildFilter| -> Vec<u64> {
        let listed = list(filter, 100).await;
        let place = |key| builds.iter().position(|build| build.input_key == key).unwrap() as u64;
        listed.iter().map(|build| place(build.input_key)).collect()
    };
    // The new name was a use, too.
    let all = keys(BuildFilter::default()).await;
    assert_eq!(all.len(), 4);
    assert!(all[..2].contains(&2) && all[..2].contains(&3), "{all:?}");
    assert_eq!(list(BuildFilter::default(), 2).await.len(), 2);
    let by = |text: &str| BuildFilter { commit: Query::parse(text).ok(), ..Default::default() };
    assert_eq!(keys(by(&commit(9)[..10])).await, [2]);
    assert_eq!(keys(by(&commit(3))).await, [3]);
    assert_eq!(keys(by("ffffffffffffffff")).await, [0; 0]);
    assert_eq!(keys(BuildFilter { pinned: true, ..Default::default() }).await, [1]);
    assert_eq!(keys(BuildFilter { failed: true, ..Default::default() }).await, [3]);
    let like = Some(builds[1].input_key);
    assert_eq!(keys(BuildFilter { like, ..Default::default() }).await.len(), 3);
    let named = &list(by(&commit(9)), 1).await[0];
    assert_eq!((named.commits, named.files, named.size, named.pinned), (2, 1, 8, false));
    assert_eq!((named.told_commit(), named.is_pushed()), (Some(&*commit(2)), false));
    let mut both = [commit(2), commit(9)];
    both.sort();
    assert_eq!(store.commits_of(&builds[2].input_key, 9).await.unwrap(), both);
    assert_eq!(store.commits_of(&builds[2].input_key, 1).await.unwrap(), both[..1]);
    let pushed = store.push(vec![("a".into(), fixture.file("a", b"a"))], None).await.unwrap();
    assert_eq!((pushed.manifest.told_commit(), pushed.manifest.is_pushed()), (None, true));
    let told = store.push(vec![("a".into(), fixture.file("a", b"b"))], Some(&commit(7))).await;
    assert_eq!(told.unwrap().manifest.told_commit(), Some(&*commit(7)));
    let listed = list(BuildFilter::default(), 9).await;
    let untold = listed.iter().find(|it| it.input_key == pushed.manifest.input_key).unwrap();
    assert_eq!((untold.told_commit(), untold.is_pushed()), (None, true));
}

#[tokio::test]
async fn a_file_is_found_by_the_beginning_of_its_digest() {
    let fixture = Fixture::new().await;
    let mut files = Vec::new();
    for n in 0..40_u8 {
        files.push((format!("{n}"), fixture.file(&format!("{n}"), &[n])));
    }
    fixture.store.push(files, None).await.unwrap();
    for n in 0..40 {
        let digest = Digest::of(&[n]);
        for length in [8, 12, 64] {
            let query = Query::parse(&digest.to_hex()[..length].to_uppercase()).unwrap();
            assert_eq!(fixture.store.find_digest(&query).await.unwrap(), Some(digest));
        }
    }
    // Those of no file, whole or not, and those that are said to be something else.
    let (none, other) = ("0".repeat(64), format!("image:{}", Digest::of(&[1])));
    for text in ["00000000", &none, &other, &other[..14]] {
        let query = Query::parse(text).unwrap();
        assert_eq!(fixture.store.find_digest(&query).await.unwrap(), None, "{text}");
    }
    // Another one that begins like the first: what the index says is enough.
    let hex = Digest::of(&[0]).to_hex();
    let other = format!("{}{}", &hex[..20], &Digest::of(&[39]).to_hex()[20..]);
    fixture
        .execute(
            "UPDATE artifacts SET digest = (SELECT SUBSTR(digest, 1, 20) FROM artifacts \
             WHERE name = '0') || SUBSTR(digest, 21) WHERE name = '39'",
        )
        .await;
    let error = fixture.store.find_digest(&Query::parse(&hex[..12]).unwrap()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("ambiguous") && text.contains(&hex) && text.contains(&other), "{text}");
    let found = fixture.store.find_digest(&Query::parse(&hex[..24]).unwrap()).await.unwrap();
    assert_eq!(found, Some(Digest::of(&[0])));
}
