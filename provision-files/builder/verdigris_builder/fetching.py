"""Small reads over HTTP from repositories: the digest of repomd.xml, and the package names of a repository.

The libraries for HTTP and XML are imported where they are used: they are a third of a command's start, and only a build needs them.
"""

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import re
import signal
import subprocess
import tempfile

from . import chroots, files, paths, seals, task, wording
from .errors import BuildStop, infrastructure_fault

TIMEOUT = 20  # for each step: a name, a connection, some bytes
DEADLINE = 120  # for all of it: a server that sends a byte now and then ends no step
MAX_REPOMD = 8 << 20
MAX_PRIMARY = 24 << 20
MAX_PRIMARY_OPEN = 256 << 20
VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")
REPO = "{http://linux.duke.edu/metadata/repo}"
COMMON = "{http://linux.duke.edu/metadata/common}"


def expand(address, chroot):
    """Copr's and dnf's variables in a base address, with or without braces; a name goes as far as dnf reads it, and others stay."""
    known = {"chroot": chroot["name"], "distname": chroot["name"].rsplit("-", 2)[0], "releasever": chroot["release"],
             "arch": chroots.rpm_arch(chroot), "basearch": chroots.base_arch(chroot)}
    return whole(VARIABLE.sub(lambda found: known.get(found.group(1) or found.group(2), found.group(0)), address))


def whole(address):
    """The same address for dnf's configuration, which may name several and ends one at a comma."""
    return address.replace(",", "%2C")


def file_address(base, chroot, path):
    """Where a file of a repository is. As librepo has it, the query of a base address stays at the end."""
    place, mark, query = expand(base, chroot).partition("?")
    return place.rstrip("/") + "/" + path + mark + query


@contextlib.contextmanager
def deadline(seconds):
    """An OSError in the main thread when the block takes longer. Nothing else in the driver process uses this timer."""
    def late(*_):
        raise wording.Plain("it took longer than %g seconds" % seconds)
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def read(url, limit):
    """The body of a URL; OSError when it cannot be had in time or is too large."""
    import http.client
    import urllib.request
    opener = urllib.request.build_opener()
    opener.addheaders = [("User-Agent", "verdigris-builder"), ("Cache-Control", "no-cache")]
    try:
        with deadline(DEADLINE), opener.open(url, timeout=TIMEOUT) as answer:
            data = answer.read(limit + 1)
    except (http.client.HTTPException, ValueError) as error:
        raise wording.Plain(wording.of(error)) from error
    if len(data) > limit:
        raise wording.Plain("it is larger than %d bytes" % limit)
    return data


def repomd(repository, chroot):
    """The bytes of repomd.xml, or the verdict that the repository cannot be reached."""
    url = file_address(repository["baseurl"], chroot, "repodata/repomd.xml")
    try:
        return read(url, MAX_REPOMD)
    except OSError as error:
        raise infrastructure_fault("repository", "the repository %s cannot be read: %s: %s" % (repository["id"], url, wording.of(error))) from error


def digest(data):
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def package_names(repository, chroot):
    """Names of the repository's binary packages, or None when they cannot be told cheaply (then dnf has to look)."""
    try:
        description = repomd(repository, chroot)
    except BuildStop:
        if task.is_additional(repository["id"]):  # dnf tries it several times, and says best what is wrong with it
            return None
        raise
    cached = os.path.join(paths.CACHE, "names-%s.json" % digest(description)[:32])
    known = files.read_json(cached, 32 << 20)
    if isinstance(known, list):
        return set(known)
    try:
        found = _names(_primary(description, lambda path: file_address(repository["baseurl"], chroot, path)))
    except (OSError, ValueError, SyntaxError, EOFError, lzma.LZMAError, subprocess.SubprocessError):  # a ParseError is a SyntaxError
        return None
    with seals.changing_cache():
        files.write_json(cached, sorted(found))
    return found


def _primary(description, address):
    """The opened primary.xml named by a repomd.xml; `address` is a function of its place in the repository."""
    import xml.etree.ElementTree
    for entry in xml.etree.ElementTree.fromstring(description):
        if entry.tag == REPO + "data" and entry.get("type") == "primary":
            location = entry.find(REPO + "location")
            href = location.get("href", "") if location is not None else ""
            data = read(address(href), MAX_PRIMARY)
            return _unpacked(data, href)
    raise ValueError("no primary metadata")


def _unpacked(data, name):
    """A bounded stream of the decompressed metadata."""
    if name.endswith(".gz"):
        stream = gzip.GzipFile(fileobj=io.BytesIO(data))
    elif name.endswith(".xz"):
        stream = lzma.LZMAFile(io.BytesIO(data))
    elif name.endswith(".bz2"):
        stream = bz2.BZ2File(io.BytesIO(data))
    elif name.endswith(".zst"):
        return io.BytesIO(bounded(_zstd(data)))
    elif name.endswith(".xml"):
        stream = io.BytesIO(data)
    else:
        raise ValueError("unknown compression of %s" % name)
    return io.BytesIO(bounded(stream.read(MAX_PRIMARY_OPEN + 1)))


def bounded(data):
    """The data, unless it is what a small file was blown up to."""
    if len(data) > MAX_PRIMARY_OPEN:
        raise ValueError("the metadata is too large")
    return data


def _zstd(data):
    """Decompressed by the program, which is ended as soon as it has said too much or takes too long."""
    with tempfile.TemporaryFile() as source, deadline(30):
        source.write(data)
        source.seek(0)
        with subprocess.Popen(["zstd", "-dcq", "--memory=128MB"], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
            try:
                opened = program.stdout.read(MAX_PRIMARY_OPEN + 1)
                if len(opened) <= MAX_PRIMARY_OPEN and program.wait() != 0:
                    raise ValueError("zstd refuses the metadata")
            finally:
                program.kill()
    return opened


def _names(stream):
    """Names, and names obsoleted, of the binary packages in a primary.xml."""
    import xml.etree.ElementTree
    found = set()
    for _, element in xml.etree.ElementTree.iterparse(stream):
        if element.tag == COMMON + "package":
            if element.findtext(COMMON + "arch") != "src":
                found.add(element.findtext(COMMON + "name") or "")
                for entry in element.iterfind(".//{*}obsoletes/{*}entry"):
                    found.add(entry.get("name", ""))
            element.clear()
    return found
