"""Packages of format 6, as rpm 6 writes them, for tests on a system whose rpm writes format 4.

    format6.py make NAME FILE        a binary package of one file, by rpm-rs
    format6.py convert IN OUT        a package of format 4 with the tags of format 6 instead
    format6.py check FILE PUBKEY     what rpm-rs says of digests and signatures, one line each
"""

import hashlib
import struct
import sys

MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"
WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
# (signature header, header): what format 6 leaves out
DROPPED = ({269, 270, 271, 1000, 1004, 1007, 1008}, {1009, 5092, 5093})


def read(data, start):
    """The entries (tag, type, count, bytes) of the header at `start`, without its region, and where it ends."""
    count, size = struct.unpack(">II", data[start + 8:start + 16])
    index, store, entries = start + 16, start + 16 + 16 * count, []
    for number in range(count):
        tag, kind, offset, items = struct.unpack(">IIII", data[index + 16 * number:index + 16 * number + 16])
        begin = end = store + offset
        if kind in (6, 8, 9):
            for _ in range(items):
                end = data.index(b"\0", end) + 1
        else:
            end += items * WIDTHS[kind]
        if tag not in (62, 63):
            entries.append((tag, kind, items, data[begin:end]))
    return entries, store + size


def write(entries, region):
    """A header of the entries, with its region."""
    index = store = b""
    for tag, kind, items, data in sorted(entries):
        store += b"\0" * (-len(store) % {3: 2, 4: 4, 5: 8}.get(kind, 1))
        index += struct.pack(">IIII", tag, kind, len(store), items)
        store += data
    count, trailer = len(entries) + 1, len(store)
    store += struct.pack(">IIiI", region, 7, -16 * count, 16)
    return MAGIC + struct.pack(">II", count, len(store)) + struct.pack(">IIII", region, 7, trailer, 16) + index + store


def text(value):
    """A text as headers hold it."""
    return value.encode() + b"\0"


def convert(source, target):
    """Write the same content as a package of format 6."""
    with open(source, "rb") as file:
        data = file.read()
    _, end = read(data, 96)
    entries, end = read(data, end + -end % 8)
    payload = data[end:]
    installed = [struct.pack(">Q", struct.unpack(">I", entry[3])[0]) for entry in entries if entry[0] == 1009]
    entries = [entry for entry in entries if entry[0] not in DROPPED[1]]
    entries += [(5009, 5, 1, size) for size in installed]
    entries += [(5092, 8, 1, text(hashlib.sha256(payload).hexdigest())), (5112, 5, 1, struct.pack(">Q", len(payload))),
                (5114, 4, 1, struct.pack(">I", 6)), (5121, 6, 1, text(hashlib.sha512(payload).hexdigest())),
                (5123, 6, 1, text(hashlib.sha3_256(payload).hexdigest()))]
    header = write(entries, 63)
    signature = write([(273, 6, 1, text(hashlib.sha256(header).hexdigest())),
                       (279, 6, 1, text(hashlib.sha3_256(header).hexdigest())), (999, 7, 4128, b"\0" * 4128)], 62)
    with open(target, "wb") as file:
        file.write(data[:96] + signature + b"\0" * (-len(signature) % 8) + header + payload)


def make(name, target):
    """A package of format 6 that is wholly rpm-rs's."""
    import rpm_rs
    builder = rpm_rs.PackageBuilder(name, "1", "MIT", "noarch", "The package " + name)
    builder.release("1")
    builder.using_config(rpm_rs.BuildConfig(format=rpm_rs.RpmFormat.V6, compression=rpm_rs.CompressionType.Gzip, source_date=1700000000))
    builder.with_file_contents(b"0123456789", rpm_rs.FileOptions.new("/usr/share/%s/version" % name))
    builder.with_symlink(rpm_rs.FileOptions.symlink("/usr/bin/%s" % name, "../share/%s/version" % name))
    builder.build().write_file(target)


def check(source, key):
    """Print what rpm-rs finds."""
    import rpm_rs
    with open(key, "rb") as file:
        verifier = rpm_rs.Verifier(file.read())
    report = rpm_rs.Package.open(source).check_signatures(verifier)
    for name in ("header_sha256", "header_sha3_256", "payload_sha256", "payload_sha512", "payload_sha3_256"):
        print(name, "verified" if getattr(report.digests, name).is_verified() else "not verified")
    for one in report.signatures:
        print("signature", "verified" if one.is_verified() else one.error())


if __name__ == "__main__":
    {"make": make, "convert": convert, "check": check}[sys.argv[1]](*sys.argv[2:])
