//! Who reads what, as a table that is kept with the build.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::closure::{ClosureError, Paths, Reader, put_number, put_set};
use crate::recipe::{OBJECTS, SOURCE};

const HEAD: &[u8] = b"kiln-units 2\n";

/// For each object of a build that a compiler made: which files of the sources it was made from.
/// Kept with the build, as the artifact `units`: the head, the set of all files, the set of all
/// objects (both as in a closure), and for each object the number of its files and the files as
/// positions in the first set, each as the distance from the one before (unsigned LEB128); then one
/// byte for each object: whether it is of a program that the build makes for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units {
    files: Paths,
    objects: Paths,
    /// Of each file, positions in `objects` of those that were made from it, in order.
    readers: Vec<Vec<u32>>,
    /// Whether each is of a program that the build makes for itself, and not of the kernel.
    of_tools: Vec<bool>,
}

impl Units {
    /// From Kbuild's records. `sources` are the folders of the host at which a build may have seen
    /// the sources; one in namespaces of its own has seen them at the recipe's place.
    pub(crate) fn of(records: &[Record], sources: &[PathBuf]) -> Self {
        let mut table: BTreeMap<&str, Vec<Box<[u8]>>> = BTreeMap::new();
        let mut tools: BTreeSet<&str> = BTreeSet::new();
        for record in records {
            let reads = record.reads.iter().filter_map(|path| in_tree(path, sources));
            let target = record.target.strip_prefix(OBJECTS).unwrap_or(&record.target);
            let target = target.trim_start_matches('/');
            if record.is_compiled
                && !record.command.split_whitespace().any(|word| word == "-D__KERNEL__")
            {
                tools.insert(target);
            }
            table.insert(target, reads.collect());
        }
        let files = Paths::new(table.values().flatten());
        let objects = Paths::new(table.keys());
        let of_tools = table.keys().map(|target| tools.contains(target)).collect();
        let mut readers = vec![Vec::new(); files.len()];
        for (object, reads) in (0..).zip(table.values()) {
            let places: BTreeSet<usize> =
                reads.iter().filter_map(|path| files.position(path)).collect();
            places.into_iter().for_each(|file| readers[file].push(object));
        }
        Self { readers, files, objects, of_tools }
    }

    /// Whether a program that the build makes for itself is made from a file.
    pub fn is_read_for_tools(&self, path: &[u8]) -> bool {
        self.positions(path).iter().any(|object| self.of_tools[*object as usize])
    }

    /// The objects that were made from a file.
    pub fn readers(&self, path: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> {
        self.positions(path).iter().map(|object| self.objects.at(*object as usize))
    }

    /// The same as positions among all objects, rising.
    fn positions(&self, path: &[u8]) -> &[u32] {
        self.files.position(path).map_or(&[], |file| &self.readers[file])
    }

    /// The objects that were made from any of these files, as positions among all, rising.
    pub(crate) fn made_from<'a>(&self, paths: impl IntoIterator<Item = &'a [u8]>) -> Vec<u32> {
        let mut made = vec![false; self.len()];
        for object in paths.into_iter().flat_map(|path| self.positions(path)) {
            made[*object as usize] = true;
        }
        (0..).zip(made).filter_map(|(object, made)| made.then_some(object)).collect()
    }

    /// How many objects were made from any of these files.
    pub fn affected<'a>(&self, paths: impl IntoIterator<Item = &'a [u8]>) -> usize {
        self.made_from(paths).len()
    }

    /// The source file of each object of the kernel: what it was made from that has its name.
    pub fn sources(&self) -> impl Iterator<Item = String> {
        let objects = self.objects.iter().zip(&self.of_tools).filter(|(_, of_tool)| !**of_tool);
        objects.filter_map(|(object, _)| {
            let stem = object.strip_suffix(b".o")?;
            let names = [".c", ".S", ".rs"].map(|end| [stem, end.as_bytes()].concat());
            let found = names.into_iter().find(|name| self.files.position(name).is_some())?;
            Some(String::from_utf8_lossy(&found).into_owned())
        })
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether no compiler made anything.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The table as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        put_set(&mut bytes, &self.files);
        put_set(&mut bytes, &self.objects);
        let mut all: Vec<Vec<usize>> = vec![Vec::new(); self.len()];
        for (file, readers) in self.readers.iter().enumerate() {
            readers.iter().for_each(|object| all[*object as usize].push(file));
        }
        for reads in &all {
            put_number(&mut bytes, reads.len());
            let mut before = 0;
            for place in reads {
                put_number(&mut bytes, place - before);
                before = *place;
            }
        }
        bytes.extend(self.of_tools.iter().map(|of_tool| u8::from(*of_tool)));
        bytes
    }

    /// Reads what [`Units::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, ClosureError> {
        let mut reader = Reader::behind(HEAD, bytes)?;
        let (files, objects) = (reader.set()?, reader.set()?);
        let mut readers = vec![Vec::new(); files.len()];
        let many = u32::try_from(objects.len());
        for object in 0..many.map_err(|_| reader.damaged("more objects than there can be"))? {
            let mut place = 0;
            for index in 0..reader.number()? {
                let step = reader.number()?;
                place += step;
                if place >= files.len() || (index > 0 && step == 0) {
                    return Err(reader.damaged("a file that is not in the table"));
                }
                readers[place].push(object);
            }
        }
        let mut of_tools = Vec::with_capacity(objects.len());
        for _ in 0..objects.len() {
            of_tools.push(match reader.number()? {
                0 => false,
                1 => true,
                _ => return Err(reader.damaged("neither yes nor no")),
            });
        }
        reader.end()?;
        Ok(Self { readers, files, objects, of_tools })
    }
}

/// The path in the tree of a file that a compiler named; `None` for one that is not of the sources
/// (made by the build, or the host's).
fn in_tree(path: &str, sources: &[PathBuf]) -> Option<Box<[u8]>> {
    let path = Path::new(path);
    let mut sources = iter::once(Path::new(SOURCE)).chain(sources.iter().map(PathBuf::as_path));
    let inner = sources.find_map(|source| path.strip_prefix(source).ok())?;
    let mut parts: Vec<&str> = Vec::new();
    for part in inner.to_str()?.split('/') {
        match part {
            "" | "." => {}
            // Folders on the way are no links in what a compiler is given by Kbuild; one that is
            // leads to a path that no change has, so that the change counts as nobody's.
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/").into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(target: &str, reads: &[&str]) -> Record {
        let reads = reads.iter().map(|path| (*path).to_owned()).collect();
        let command = match target.contains("tools") {
            true => "gcc -c",
            false => "gcc -D__KERNEL__ -c",
        };
        Record { target: target.to_owned(), command: command.into(), reads, is_compiled: true }
    }

    fn table() -> Units {
        let records = [
            record("mm/a.o", &["/pool/source/mm/a.c", "/mnt/kiln/source/mm/../include/x.h"]),
            record("/mnt/kiln/objects/tools/b.o", &["/pool/view/include/x.h", "/usr/include/y.h"]),
            record("mm/none.o", &["include/generated/z.h"]),
        ];
        Units::of(&records, &["/pool/source".into(), "/pool/view".into()])
    }

    #[test]
    fn who_reads_what() {
        let units = table();
        let readers = |path: &str| units.readers(path.as_bytes()).map(<[u8]>::to_vec).count();
        assert_eq!((units.len(), readers("include/x.h"), readers("mm/a.c")), (3, 2, 1));
        assert_eq!((readers("usr/include/y.h"), readers("mm")), (0, 0));
        assert_eq!(units.affected([&b"mm/a.c"[..], b"include/x.h", b"no"]), 2);
        assert!(units.readers(b"include/x.h").any(|object| object == b"tools/b.o"));
        assert!(units.is_read_for_tools(b"include/x.h"), "by one of its two readers");
        assert!(!units.is_read_for_tools(b"mm/a.c") && !units.is_read_for_tools(b"no"));
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else() {
        let bytes = table().encode();
        assert_eq!(Units::decode(&bytes), Ok(table()));
        for end in 0..bytes.len() {
            assert!(Units::decode(&bytes[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn other_bytes_are_read_without_a_panic(at: usize, byte: u8) {
            let mut bytes = table().encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(units) = Units::decode(&bytes) {
                let _ = units.readers(b"include/x.h").count();
            }
        }
    }
}
