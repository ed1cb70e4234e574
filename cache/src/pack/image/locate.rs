//! Where the compressed kernel lies in an x86 boot image (Documentation/x86/boot.rst).

use std::ops::Range;

/// Bytes of one sector, in which the set-up code is counted.
const SECTOR: usize = 512;
/// "HdrS".
const MAGIC: Range<usize> = 0x202..0x206;
/// The boot protocol that brought the fields of the payload, 2.08.
const PROTOCOL: u32 = 0x0208;

/// The compressed stream: without the size that Kbuild appends to all but gzip.
pub(crate) fn locate(image: &[u8]) -> Option<Range<usize>> {
    if image.get(MAGIC)? != b"HdrS" || number(image, 0x206, 2)? < PROTOCOL {
        return None;
    }
    // Zero means four, as in ancient images.
    let sectors = match image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let code = (sectors + 1) * SECTOR;
    let start = code.checked_add(number(image, 0x248, 4)? as usize)?;
    let end = start.checked_add(number(image, 0x24c, 4)? as usize)?;
    let payload = image.get(start..end)?;
    let appended = if payload.starts_with(&[0x1f, 0x8b]) { 0 } else { 4 };
    (payload.len() > appended).then(|| start..end - appended)
}

fn number(image: &[u8], at: usize, len: usize) -> Option<u32> {
    let mut bytes = [0; 4];
    bytes[..len].copy_from_slice(image.get(at..at + len)?);
    Some(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_image() {
        let mut image = vec![0; 4096];
        image[0x1f1] = 1;
        image[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
        image[0x248] = 16;
        image[0x24c] = 100;
        assert_eq!(locate(&image), Some(1040..1136));
        image[1040..1042].copy_from_slice(&[0x1f, 0x8b]);
        assert_eq!(locate(&image), Some(1040..1140));
        image[0x24e] = 1;
        assert_eq!(locate(&image), None);
        assert_eq!(locate(&image[..0x204]), None);
    }
}
