//! There and back: units that leave the kernel and come again, on a toy kernel whose makefile lists them.

use super::Edit;
use super::stages::{because, build};
use super::toy::{Toy, builder_of, watched};
use crate::{Builder, Built, Obtained, Revision};

const LIST: &str = "kernel/Makefile";
const EXTRA: &str = "kernel/extra.c";
const HEADER: &str = "include/shared.h";

/// Makes the toy's makefile link what `kernel/Makefile` lists.
fn with_list(toy: &Toy, first: &Revision, edits: Vec<Edit<'_>>) -> Revision {
    let makefile = toy.fixture.read(first, "Makefile");
    let replaced = |text: String, old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    };
    let found = "objects := $(patsubst %.c,$(O)/%.o,$(sort $(wildcard kernel/*.c)))\n";
    let listed = "include kernel/Makefile\nobjects := $(addprefix $(O)/kernel/,$(obj-y))\n";
    let makefile = replaced(makefile, found, listed);
    let makefile = replaced(makefile, "include $(wildcard kernel/Makefile)\n", "");
    let makefile = replaced(
        makefile,
        "$(O)/vmlinux: $(objects)\n",
        "$(O)/list: FORCE\n\t@echo '$(objects)' | cmp -s - $@ || echo '$(objects)' > $@\nFORCE:\n\
         $(O)/vmlinux: $(objects) $(O)/list\n",
    );
    let makefile = replaced(makefile, "-o $@ $^\n", "-o $@ $(objects)\n");
    let mut edits: Vec<Edit<'_>> = edits;
    edits.push(Edit::File("Makefile", &makefile));
    toy.edit("list", &edits)
}

/// Somebody who compiles everything from nothing.
struct Doubter {
    toy: Toy,
    builder: Builder,
}

impl Doubter {
    async fn new() -> Self {
        let (toy, _) = Toy::new().await;
        let builder = toy.builder().with_proofs(false);
        Self { toy, builder }
    }

    /// Holds what was built of a revision of `toy` against what it gives from nothing.
    async fn agrees(&self, toy: &Toy, revision: &Revision, built: &Built) {
        let pool = self.toy.work.path().join("work/pool");
        if pool.exists() {
            std::fs::remove_dir_all(pool).unwrap();
        }
        let truth = self.builder.build(&toy.request(revision, "")).await.unwrap();
        assert!(matches!(truth.obtained, Obtained::Compiled | Obtained::Input));
        let (subject, how) = (&revision.subject, &built.provenance);
        assert_eq!(built.manifest.image(), truth.manifest.image(), "{subject}: {how:?}");
    }
}

#[tokio::test]
async fn what_was_stale_is_stale_after_a_stage_has_answered() {
    let Some((toy, first)) = watched().await else { return };
    let (builder, doubter) = (builder_of(&toy), Doubter::new().await);
    let with = "obj-y := main.o helper.o extra.o\n";
    let without = "obj-y := main.o helper.o\n";
    let extra = |n: u32| format!("int extra(int x) {{ return x + {n}; }}\n");
    let base =
        with_list(&toy, &first, vec![Edit::File(LIST, with), Edit::File(EXTRA, &extra(100))]);
    build(&builder, &toy, &base).await;
    // It goes, and is changed meanwhile.
    let gone = toy.edit("gone", &[Edit::File(LIST, without), Edit::File(EXTRA, &extra(222))]);
    build(&builder, &toy, &gone).await;
    let helper = toy.fixture.read(&gone, "kernel/helper.c").replace('}', "} /* why */");
    let remark = toy.edit("remark", &[Edit::File("kernel/helper.c", &helper)]);
    let built = build(&builder, &toy, &remark).await;
    assert_eq!(built.obtained, Obtained::Tokens, "{:?}", built.provenance);
    doubter.agrees(&toy, &remark, &built).await;
    let again = toy.edit("again", &[Edit::File(LIST, with)]);
    let built = build(&builder, &toy, &again).await;
    assert_eq!(toy.steps(&built).await, ["CC kernel/extra.o", "LD vmlinux"]);
    doubter.agrees(&toy, &again, &built).await;
}

#[tokio::test]
async fn a_header_that_a_wildcard_stands_for_is_read_by_more_than_compilers() {
    let Some((toy, first)) = watched().await else { return };
    let (builder, doubter) = (builder_of(&toy), Doubter::new().await);
    let header = "#define UNUSED 1\n";
    let list = "obj-y := main.o helper.o headers.o\n$(O)/kernel/headers.txt: $(wildcard include/*.h)\n\
                \t@cat $^ > $@\n$(O)/kernel/headers.o: $(O)/kernel/headers.txt\n\
                \t@cd $(@D) && ld -r -b binary -o headers.o headers.txt\n";
    let main = format!("#include <shared.h>\n{}", toy.fixture.read(&first, "kernel/main.c"));
    let edits = vec![
        Edit::File(LIST, list),
        Edit::File(HEADER, header),
        Edit::File("kernel/main.c", &main),
    ];
    let base = with_list(&toy, &first, edits);
    build(&builder, &toy, &base).await;
    let other = toy.edit("another", &[Edit::File(HEADER, "#define UNUSED 2\n")]);
    let built = build(&builder, &toy, &other).await;
    assert_eq!(built.obtained, Obtained::Compiled);
    assert!(because(&built).contains("a makefile names it"), "{}", because(&built));
    doubter.agrees(&toy, &other, &built).await;
}

/// The units of a walk, as they stand.
#[derive(Clone)]
struct Stand {
    listed: [bool; 2],
    code: [u32; 2],
    remark: [u32; 2],
    lines: [u32; 2],
    used: u32,
    unused: u32,
    text: u32,
}

impl Stand {
    const NAMES: [&str; 2] = ["one", "two"];

    fn list(&self) -> String {
        let units = Self::NAMES.iter().zip(self.listed).filter(|(_, listed)| *listed);
        let units: String = units.map(|(name, _)| format!(" {name}.o")).collect();
        format!("obj-y := main.o helper.o{units}\n")
    }

    fn unit(&self, n: usize) -> String {
        let lines = "\n".repeat(self.lines[n] as usize);
        let (name, code, remark) = (Self::NAMES[n], self.code[n], self.remark[n]);
        format!(
            "{lines}#include <shared.h>\nint {name}(int x) {{ return x + USED + {code}; }} /* {remark} */\n"
        )
    }

    fn header(&self) -> String {
        format!("#define USED {}\n#define UNUSED {}\n", self.used, self.unused)
    }

    fn files(&self) -> Vec<(String, String)> {
        let unit = |n: usize| (format!("kernel/{}.c", Self::NAMES[n]), self.unit(n));
        let text = ("Documentation/a.rst".to_owned(), self.text.to_string());
        vec![(LIST.into(), self.list()), (HEADER.into(), self.header()), unit(0), unit(1), text]
    }
}

#[tokio::test]
async fn wherever_a_walk_leads_the_kernel_is_the_one_from_nothing() {
    let Some((toy, first)) = watched().await else { return };
    let (builder, doubter) = (builder_of(&toy), Doubter::new().await);
    let mut stand = Stand {
        listed: [true; 2],
        code: [0; 2],
        remark: [0; 2],
        lines: [0; 2],
        used: 0,
        unused: 0,
        text: 0,
    };
    let mut before = stand.files();
    let edits: Vec<Edit<'_>> = before.iter().map(|(path, text)| Edit::File(path, text)).collect();
    let base = with_list(&toy, &first, edits);
    build(&builder, &toy, &base).await;
    // Knuth's generator (MMIX), so that the walk is the same each time.
    let mut state = 9u64;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut answered = Vec::new();
    for step in 1..=40u32 {
        for _ in 0..=random(2) {
            let n = random(2) as usize;
            // Few values, so that the walk comes back to where it was.
            let value = random(3) as u32;
            match random(8) {
                0 | 1 => stand.listed[n] = !stand.listed[n],
                2 => stand.code[n] = value,
                3 | 4 => stand.remark[n] = value,
                5 => stand.unused = value,
                6 => stand.lines[n] = value,
                _ => (stand.used, stand.text) = (value, step),
            }
        }
        let files = stand.files();
        let changed = files.iter().zip(&before).filter(|(now, before)| now != before);
        let edits: Vec<Edit<'_>> =
            changed.map(|((path, text), _)| Edit::File(path, text)).collect();
        let revision = toy.edit(&format!("step {step}"), &edits);
        let built = build(&builder, &toy, &revision).await;
        doubter.agrees(&toy, &revision, &built).await;
        answered.push(built.obtained);
        before = files;
    }
    for each in [Obtained::Tokens, Obtained::Objects, Obtained::Closure, Obtained::Compiled] {
        assert!(answered.contains(&each), "the walk never came by {each:?}: {answered:?}");
    }
}
