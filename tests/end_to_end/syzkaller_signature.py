"""The `syzkaller` signature of an ELF file, by its definition alone: shares nothing with Kiln."""
import hashlib, struct, sys

data = open(sys.argv[1], "rb").read()
assert data[:4] == b"\x7fELF", "not an ELF file"
wide, order = data[4] == 2, "<>"[data[5] - 1]
table, size, count = struct.unpack_from(order + ("40xQ10xHH" if wide else "32xI10xHH"), data)
layout = order + ("4xIQQQQ" if wide else "4x5I")  # type, flags, address, offset, size
count = count or struct.unpack_from(layout, data, table)[4]  # more than 65279: in header 0
total = hashlib.sha256()
for kind, flags, _, start, length in (
        struct.unpack_from(layout, data, table + i * size) for i in range(count)):
    if flags & 2 and kind not in (7, 8):  # SHF_ALLOC; neither SHT_NOTE nor SHT_NOBITS
        total.update(hashlib.sha256(data[start:start + length]).digest())
print(total.hexdigest())
