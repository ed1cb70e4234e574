//! `image` of boot images whose decompressor is a real one: compiled, linked as Linux links it, and
//! moved by the packed kernel before it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use super::compiled::run;
use super::kernel::{Build, kernel};
use crate::signature::elf::Elf;
use crate::signature::image::{Part, companion};
use crate::signature::test_elf::TestElf;

const SETUP: usize = 5 * 512;
/// The version as a text.
const VERSION: Range<usize> = 0x900..0x920;

/// As arch/x86/boot/compressed/head_64.S, in short.
pub(super) const HEAD: &str = r#"
	.macro address symbol register
	leal	(\symbol - startup_32)(%ebp), \register
	.endm
	.section ".head.text","ax"
	.code32
	.globl startup_32
startup_32:
	cld
	address gdt %eax
	call	verify
	testl	%eax, %eax
	jnz	stop
	subl	$(_end - startup_32), %ebx
	leal	(pgtable - startup_32)(%ebx), %edi
	.org	0x200
	.code64
	leaq	gdt(%rip), %rax
	call	setup
	movl	$(_bss - startup_32), %ecx
	leaq	(relocated - startup_32)(%rbx), %rax
	jmp	*%rax
	.section ".rodata..compressed","a",@progbits
	.globl	input_data
input_data:
	.incbin "packed"
input_end:
	.section ".rodata","a",@progbits
	.globl	input_len
input_len:
	.long	input_end - input_data
	.globl	kernel_info
kernel_info:
	.ascii	"LToP"
	.text
relocated:
	leaq	_bss(%rip), %rdi
	call	extract
	jmp	*%rax
	.globl	verify, setup
verify:
	movl	$1, %eax
	ret
setup:
	xorl	%eax, %eax
	ret
stop:	hlt
	.data
	.balign	16
gdt:	.quad	0x00af9a000000ffff
other:	.quad	0x00cf92000000ffff
	.section ".pgtable","aw",@nobits
	.balign	4096
pgtable: .fill	8192
"#;

/// As misc.c: a `switch`, tables, texts, variables with and without a value.
pub(super) const MISC: &str = r#"
extern const unsigned char input_data[];
extern const unsigned int input_len;
static const unsigned short order[32] __attribute__((aligned(32))) = { 1, 2, 0, 0, 5 };
static const char text[] = "decompressing";
static char heap[20000];
static long calls = 7;
void say(const char *);
__attribute__((noinline)) void say(const char *t) { calls += *t; }
int step(int, int);
__attribute__((noinline)) int step(int state, int x)
{
	switch (state) {
	case 0: return x * 3 + order[x & 31];
	case 1: say(text); return x - 1;
	case 2: return calls ^ x;
	case 3: heap[x] = 1; return heap[x / 2];
	case 4: say("again"); return x << 3;
	case 5: return x / 7;
	case 6: calls--; return 11;
	}
	return input_data[x % input_len];
}
int extract(int x) { int y = 0; while (x) y += step(x & 7, y), x >>= 1; return y; }
"#;

/// As arch/x86/boot/compressed/vmlinux.lds.S.
const SCRIPT: &str = r#"
OUTPUT_FORMAT("elf64-x86-64")
ENTRY(startup_32)
SECTIONS {
	. = 0;
	.head.text : { *(.head.text) }
	.rodata..compressed : { *(.rodata..compressed) }
	.text : { *(.text) *(.text.*) }
	.rodata : { *(.rodata) *(.rodata.*) }
	.data : ALIGN(0x1000) { *(.data) *(.data.*) . = ALIGN(0x200); _edata = .; }
	. = ALIGN(64);
	.bss : { _bss = .; *(.bss) *(.bss.*) . = ALIGN(8); }
	. = ALIGN(0x1000);
	.pgtable : { *(.pgtable) }
	. = ALIGN(0x1000);
	_end = .;
	/DISCARD/ : { *(.comment) *(.note*) *(.eh_frame) *(.dyn*) *(.hash) *(.gnu.hash) }
}
"#;

/// Links a decompressor around a packed kernel: its bytes, and its symbols.
fn link(head: &str, misc: &str, packed: &[u8]) -> (Vec<u8>, BTreeMap<String, usize>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    write("packed", packed);
    write("head.S", head.as_bytes());
    write("misc.c", misc.as_bytes());
    write("script", SCRIPT.as_bytes());
    let tool = |line: &str| {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        run(command.current_dir(&folder).args(words))
    };
    tool("gcc -c head.S -o head.o");
    tool(
        "gcc -c -w -O2 -m64 -fPIE -fvisibility=hidden -ffreestanding -fno-stack-protector \
         -fcf-protection=none -mno-sse -fno-asynchronous-unwind-tables misc.c -o misc.o",
    );
    tool(
        "ld -m elf_x86_64 --no-ld-generated-unwind-info -pie --no-dynamic-linker -z noexecstack \
          -T script head.o misc.o -o linked",
    );
    tool("objcopy -O binary linked flat");
    let nm = Command::new("nm").current_dir(&folder).arg("linked").output().unwrap().stdout;
    let symbols = String::from_utf8(nm).unwrap();
    let symbols = symbols.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let address = usize::from_str_radix(words.next()?, 16).ok()?;
        Some((words.nth(1)?.to_owned(), address))
    });
    (read(folder.path(), "flat"), symbols.collect())
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

/// Packs with a file name of some length in the header: so the room that it takes can be chosen.
fn pack(bytes: &[u8], name: usize) -> Vec<u8> {
    let name = "n".repeat(name);
    let builder = flate2::GzBuilder::new().filename(name);
    let mut out = builder.write(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A boot image, with the kernel that is in it.
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    pub(super) vmlinux: Vec<u8>,
}

impl Image {
    fn new(head: &str, misc: &str, name: usize) -> Self {
        Self::of(&kernel(&Build::new(), TestElf::new()).elf, head, misc, name)
    }

    /// The same of a kernel.
    pub(super) fn of(elf: &TestElf, head: &str, misc: &str, name: usize) -> Self {
        let mut unpacked = elf.clone().without_symbols().build();
        unpacked.extend((0..RELOCATIONS).map(|i| (i.wrapping_mul(2_654_435_761) >> 26) as u8));
        let packed = pack(&unpacked, name);
        let (flat, symbols) = link(head, misc, &packed);
        let mut bytes: Vec<u8> = (0..SETUP).map(|i| 0x80 | (i * 31 % 127) as u8).collect();
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let long = |value: usize| (value as u32).to_le_bytes();
        put(0x1f1, &[4]);
        put(0x1f4, &long(flat.len() / 16));
        put(0x1fe, &[0x55, 0xaa]);
        put(0x202, b"HdrS");
        put(0x206, &0x20f_u16.to_le_bytes());
        put(0x20e, &0x700_u16.to_le_bytes());
        put(0x236, &[1]);
        put(0x248, &long(symbols["input_data"]));
        put(0x24c, &long(packed.len()));
        let more = unpacked.len() - packed.len() + (unpacked.len() >> 8) + (128 << 10);
        put(0x260, &long(symbols["_end"] + more.next_multiple_of(4096)));
        put(0x268, &long(symbols["kernel_info"]));
        put(VERSION.end, &[0]);
        // The last four bytes of the data are room for the checksum.
        bytes.extend(&flat[..flat.len() - 4]);
        let mut image = Self { bytes, vmlinux: elf.build() };
        image.bytes.extend([0; 4]);
        image.seal();
        image
    }

    pub(super) fn seal(&mut self) {
        let end = self.bytes.len() - 4;
        let checksum = !crc32fast::hash(&self.bytes[..end]);
        self.bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    }

    fn part(&self) -> Part {
        let elf = Elf::parse(&self.vmlinux).unwrap();
        let part = companion(&&self.bytes[..], &elf, &&self.vmlinux[..]);
        assert_eq!(part.kind, "x86-boot");
        part
    }
}

/// What follows the kernel in the packed file, in bytes: as a real one it has some size, so that few
/// numbers look like addresses behind it.
const RELOCATIONS: u32 = 400_000;
/// By what the packed kernel differs: by no, one, or many steps of 16 bytes, and by pages.
const MORE: [usize; 9] = [0, 9, 17, 33, 49, 150, 1000, 4090, 9000];

#[test]
fn a_decompressor_is_the_same_wherever_it_is_pushed() {
    let name = Image::new(HEAD, MISC, MORE[0]).part();
    for length in MORE {
        assert_eq!(Image::new(HEAD, MISC, length).part(), name, "{length}");
    }
}

#[test]
fn what_it_does_counts_wherever_it_is() {
    let edits = [
        ("a call", "call	setup", "call	verify"),
        ("an address", "leaq	gdt(%rip)", "leaq	other(%rip)"),
        ("a displacement", "address gdt", "address other"),
        ("a constant", "$(_bss - startup_32)", "$(_end - startup_32)"),
        ("an address in the page table", "(pgtable -", "(pgtable + 8 -"),
        ("data", "0x00af9a", "0x00af9b"),
        ("a case", "case 2:", "case 9: case 2:"),
        (
            "which case",
            "case 5: return x / 7;\n\tcase 6: calls--; return 11;",
            "case 6: return x / 7;\n\tcase 5: calls--; return 11;",
        ),
        ("a text", "again", "Again"),
        ("which text", "say(\"again\")", "say(text)"),
        ("a zero in a table", "{ 1, 2, 0, 0, 5 }", "{ 1, 2, 0, 0, 0, 5 }"),
        ("the size of .bss", "heap[20000]", "heap[40000]"),
        ("more read-only data", ".ascii	\"LToP\"", ".ascii	\"LToP\"\n.quad 9"),
    ];
    let base = Image::new(HEAD, MISC, MORE[0]).part();
    for (what, from, to) in edits {
        let (head, misc) = (HEAD.replace(from, to), MISC.replace(from, to));
        assert!(head != HEAD || misc != MISC, "{what}");
        let [one, other] = [MORE[0], MORE[3]].map(|it| Image::new(&head, &misc, it).part());
        assert_ne!(one, base, "{what}");
        assert_eq!(one, other, "{what}");
    }
}

/// [`HEAD`] and [`MISC`] with a table between two labels, and with what counts the zeros in it.
fn with_table(section: &str, start: &str, zeros: usize) -> (String, String) {
    let table = format!(
        "\t.section {section}\n\t.globl tbl, tbl_end\n{start}\n\t.skip {zeros}\ntbl_end:\t.quad 7\n\
         \t.text\nrelocated:"
    );
    let labels = "extern const unsigned short tbl[], tbl_end[];\nstatic const char text[]";
    let walk = "{ const unsigned short *p; int n = 0; for (p = tbl; p < tbl_end; p++) n += !*p; \
                return n; }";
    let misc = MISC.replace("static const char text[]", labels);
    (HEAD.replace("\t.text\nrelocated:", &table), misc.replace("return x / 7;", walk))
}

/// The same with an array of so many numbers, and another one behind it.
fn with_array(length: usize) -> (String, String) {
    let arrays = format!(
        "static const unsigned short tree[{length}] __attribute__((aligned(32))) = {{ 1, 2 }};\n\
         static const unsigned short behind[16] __attribute__((aligned(32))) = {{ 9, 8 }};\n\
         static const char text[]"
    );
    let misc = MISC.replace("static const char text[]", &arrays);
    (HEAD.to_owned(), misc.replace("return x / 7;", "return tree[x] / 7 + behind[x];"))
}

#[test]
fn how_many_zeros_are_in_data_counts_wherever_it_is() {
    const CONSTANTS: &str = "\".rodata\",\"a\"";
    const PACKED: &str = "\".rodata..compressed\",\"a\"";
    const CODE: &str = "\".text.last\",\"ax\"";
    let few = "\t.balign 32\ntbl:\t.short 1, 2, 3\n\t.balign 32";
    let none = "\t.balign 32\ntbl:";
    for (what, [one, other]) in [
        ("an array", [16, 32].map(with_array)),
        ("constants", [0, 32].map(|it| with_table(CONSTANTS, few, it))),
        ("behind the packed kernel", [0, 32].map(|it| with_table(PACKED, few, it))),
        ("as if packed", [32, 64].map(|it| with_table(PACKED, none, it))),
        ("behind the code", [0, 32].map(|it| with_table(CODE, few, it))),
    ] {
        let [one, other] = [one, other].map(|(head, misc)| {
            [MORE[0], MORE[2], MORE[3]].map(|it| Image::new(&head, &misc, it).part())
        });
        for part in other {
            assert!(!one.contains(&part), "{what}");
        }
        assert_eq!([one, other], [[one[0]; 3], [other[0]; 3]], "{what}");
    }
}

#[test]
fn every_flipped_bit_of_set_up_code_and_decompressor_counts() {
    let mut image = Image::new(HEAD, MISC, MORE[2]);
    let name = image.part();
    let packed = u32::from_le_bytes(*image.bytes[0x24c..].first_chunk().unwrap());
    let start = SETUP + u32::from_le_bytes(*image.bytes[0x248..].first_chunk().unwrap()) as usize;
    // What the packed kernel is found by leads elsewhere when it changes.
    let found_by = [0x1f1..0x1f2, 0x1fe..0x200, 0x202..0x208, 0x248..0x250];
    let packed = start..start + packed as usize;
    let mut hidden = Vec::new();
    for at in (0..image.bytes.len() - 4).step_by(3).filter(|at| !packed.contains(at)) {
        if found_by.iter().any(|it| it.contains(&at)) {
            continue;
        }
        image.bytes[at] ^= 0x04;
        image.seal();
        let elf = Elf::parse(&image.vmlinux).unwrap();
        if companion(&&image.bytes[..], &elf, &&image.vmlinux[..]) == name {
            hidden.push(at);
        }
        image.bytes[at] ^= 0x04;
    }
    // Lengths that are repeated are masked, but a flipped one repeats nothing.
    assert_eq!(hidden, VERSION.filter(|at| at % 3 == 0).collect::<Vec<_>>());
}
