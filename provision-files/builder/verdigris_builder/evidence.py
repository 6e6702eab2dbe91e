"""The search for the line in a log that shows why a build failed.

A log is cut into the stages of rpmbuild ("Executing(%build)"), and only the one that failed is looked at. Rules for what compilers, linkers,
configuration tools and test runners print come first; where none fits it is the last line before the stage's end that is no shell trace
("+ make"), or the trace when nothing stands behind it. A wrong guess costs little: the line number leads into the log.
"""

import os
import re

from . import files

SCAN = 32 << 20  # bytes at each end of a log
SHOWN = 4096  # bytes of a line
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
MOCK_PREFIX = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR) \S+\.py:\d+:\s{1,2}")
BEGIN = re.compile(r"^Executing\((%\w+)\): ")
# What a stage wrote last stands on the same line when it did not end it.
END = re.compile(r"error: Bad exit status from \S+ \((%\w+)\)$")
SUMMARY = "RPM build errors:"
ARCHITECTURE = re.compile(r"^error: (?:Architecture is (?:not included|excluded): |No compatible architectures found for build)")
TRACE = re.compile(r"^\++ ")
IDLE = re.compile(r"^\++ (?:exit|return|set|true|:|trap)\b")  # a trace that tells nothing
PREPARED = re.compile(r"^\++ (?:cd|umask|export|rm|[A-Z_]+=)")  # what rpmbuild itself does at the beginning of a stage
HEADING = re.compile(r"(?:file\(s\) found|dependencies|not found|conflicts|packages?| error|\(\w+\)):\s*$")
# What follows from an error and does not tell it.
ECHO = re.compile(
    r"^\s*$|^\S*make(?:\[\d+\])?: (?:Leaving|Entering) directory|^\S*make(?:\[\d+\])?: \*\*\* .*(?:Error \d+|Waiting for unfinished jobs)|"
    r"^\S*make(?:\[\d+\])?: Target .* not remade|^ninja: build stopped|^error: (?:could not compile|aborting due to|Bad exit status)|^collect2: error|"
    r"^(?:tar|gzip|cpio): (?:Error is not recoverable|Child returned|Exiting with)|^compilation terminated|^For more information about this error|"
    r"^\[?\d+/\d+\]? |^FAILED: |^-- Configuring incomplete|^See also |^[-=*#_ ~^|]{3,}$|^\d+ (?:errors?|warnings?)(?: and .*)? generated|"
    r"^Makefile:\d+: recipe for target|^Ran \d+ tests? in|^(?:rm|removed)\b.*\brpm-tmp|^\s*(?:real|user|sys)\s+\d+m|^Call Stack|^BUILD FAILED|^Stop\.$", re.IGNORECASE)

FIRST, LAST = 0, -1
# Earlier rules win; which of its lines is shown stands behind each.
CAUSES = tuple((re.compile(pattern), which) for pattern, which in (
    # configuration
    (r"(?:^|\s)configure: error: (?!in )|^CMake Error\b|^\S*meson\.build:\d+:\d+: ERROR: |^autoreconf: error:|^\S*configure\.(?:ac|in):\d+: error:|"
     r"^Package .* was not found in the pkg-config search path|^No package '.*' found|^Package '.*', required by '.*', not found", FIRST),
    # compilers and assemblers
    (r"^\s*[^\s:+][^:]*(?::\d+){1,2}:? (?:fatal )?(?:error|ERROR|Error)(?:\[\w+\])?:(?: |$)|^\S+\.java:\d+: error: |^\S+\.go:\d+:\d+: |^\S+\([\d,]+\): error\b", FIRST),
    (r"^error(?:\[E\d+\])?: (?!Bad exit status|could not compile|aborting|test failed, to rerun|.*[Ss]egmentation fault)|^\s*\S+:\d+(?::\d+)? - error TS\d+:", FIRST),
    # linkers
    (r"undefined reference to|\bld(?:\.\w+)?: (?!warning)(?!.*in function `)|multiple definition of|undefined symbol: |DSO missing from command line", FIRST),
    (r"^(?:\S*/)?(?:\S+-)?(?:gcc|g\+\+|cc|c\+\+|cc1\w*|clang\S*|as|ar|cpp|gfortran|rustc|javac|ghc|go|dune|ocamlfind)(?:-\d+)?: "
     r"(?:fatal )?error: (?!.*(?:ld returned|linker command failed|[Kk]illed))", FIRST),
    # patches, archives, checksums
    (r"^Hunk #\d+ FAILED|^can't find file to patch|malformed patch at line|^Reversed \(or previously applied\) patch detected|"
     r"Only garbage was found in the patch input|^error: patch failed: |^error: corrupt patch", FIRST),
    (r"^(?:\S*/)?(?:tar|gzip|xz|bzip2|zstd|lzma|unzip|cpio|7z): (?!Error is not recoverable|Child returned|Exiting|Removing leading)|"
     r"End-of-central-directory signature not found|not in gzip format|computed checksums? did NOT match|: FAILED$|BAD signature|^Can't locate \S+ in @INC", FIRST),
    # ends by a signal, or for want of something
    (r"^make(?:\[\d+\])?: \*\*\* .*\bKilled\b|\bKilled signal terminated program|line \d+: +\d+ Killed\b|^Killed\b|SIGKILL|signal: 9", FIRST),
    (r"virtual memory exhausted|[Oo]ut of memory|Cannot allocate memory|std::bad_alloc|^MemoryError|memory exhausted|allocation of \d+ bytes failed", FIRST),
    (r"No space left on device|Disk quota exceeded|Read-only file system", FIRST),
    (r"fork: .*Resource temporarily unavailable|can't start new thread|Resource temporarily unavailable", FIRST),
    # make
    (r"^\S*make(?:\[\d+\])?: \*\*\* (?!.*\bError \d+\s*$|Waiting)", FIRST),
    (r"^\S*[Mm]akefile\S*:\d+: \*\*\* ", FIRST),
    # tests
    (r"^(?:# )?\s*not ok \d+", FIRST),
    (r"Assertion [`'].*' failed|^\S+:\d+: Failure$|^E\s{3,}\S|^panic: |^thread '.*' panicked|^\s*\S*AssertionError\b", FIRST),
    (r"^\s*\d+/\d+ .*\b(?:FAIL|ERROR|TIMEOUT)\b|^(?:\S+ )?(?:FAIL|ERROR|XPASS): |^--- FAIL: |^\[  FAILED  \] |\*\*\*\s?Failed|^FAILED \S+::|^test \S+ \.\.\. FAILED|^#\s+Failed test|"
     r"The following tests FAILED|^\s*Failure/Error: ", FIRST),
    # package managers of languages
    (r"^npm ERR! (?!code |A complete log|errno|syscall)|^\[ERROR\] \S|^\s*ERROR: Could not find a version|^error: failed to ", FIRST),
    # the shell and the usual programs
    (r"command not found|: not found$|cannot stat |Segmentation fault|Bus error|Illegal instruction|Exec format error|cannot execute|bad interpreter|"
     r"error while loading shared libraries|Could not resolve host|Temporary failure in name resolution|Network is unreachable|Connection refused", LAST),
    (r"^\s*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Exit|NotFound)\b(?:: |$)", LAST),
    (r"No such file or directory|Permission denied|Operation not permitted|Is a directory|File exists|No such process", LAST),
))
# In %check a compiler's complaint may be what a test is about: there the tests' own rules come first.
TESTS = tuple(rule for rule in CAUSES if "not ok" in rule[0].pattern or "Assertion" in rule[0].pattern or "FAIL" in rule[0].pattern)
OF_CHECK = TESTS + tuple(rule for rule in CAUSES if rule not in TESTS)
# What rpmbuild says itself, outside its stages.
OWN = (
    (re.compile(r"^error: (?!Bad exit status|Macro %\S+ has empty body|Macro %\S+ needs whitespace)"), FIRST),
    (re.compile(r"^error: (?!Bad exit status)"), FIRST),
    (re.compile(r"^\s+(?:File not found|Directory not found|File must begin with|Bad file|Bad source)"), FIRST),
)


class Section:
    """The lines of a stage that may show why it failed."""

    def __init__(self, rules):
        self.rules = rules
        self.hits = [None] * len(rules)
        self.trace = self.idle = self.spoken = self.echo = None

    def add(self, number, line):
        """Take notice of the next line."""
        if TRACE.match(line):
            if IDLE.match(line):
                self.idle = (number, line)
            else:
                self.trace = (number, line)
            return
        for index, (pattern, which) in enumerate(self.rules):
            if (self.hits[index] is None or which == LAST) and pattern.search(line):
                self.hits[index] = (number, line)
                break
        if ECHO.search(line):
            if line.strip():
                self.echo = (number, line)
        else:
            self.spoken = (number, line)

    def best(self):
        """(number, text) or None."""
        for hit in self.hits:
            if hit:
                return hit
        behind = [hit for hit in (self.spoken, self.echo) if hit and (self.trace is None or hit[0] > self.trace[0])]
        if behind:
            return behind[0]
        if self.idle and (self.trace is None or (self.idle[0] > self.trace[0] and PREPARED.match(self.trace[1]))):
            return self.spoken or self.echo or self.idle  # "exit 1" is all that the stage does
        return self.trace or self.spoken or self.echo


def lines(results, log):
    """(number, text) of a log's lines, without following links; of a very long log those near its ends."""
    try:
        directory = os.open(results, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        descriptor = files.open_regular(log, directory)
    except OSError:
        return
    finally:
        os.close(directory)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        seen, number = 0, 0
        while data := file.readline():
            number += 1
            seen += len(data)
            yield number, text_of(data)
            if SCAN <= seen < size - SCAN:
                number += skip(file, size - SCAN - seen)
                seen = size - SCAN


def skip(file, count):
    """Read on by so many bytes and to the end of that line; how many lines that were."""
    found = 0
    while count > 0 and (piece := file.read(min(count, 1 << 20))):
        found += piece.count(b"\n")
        count -= len(piece)
    if file.readline():
        found += 1
    return found


def text_of(data):
    """A line as people see it: without colours, and only what was written last where it was written over."""
    text = ESCAPES.sub("", data[:SHOWN].decode("utf-8", "replace").rstrip("\n")).rstrip("\r")
    return MOCK_PREFIX.sub("", text.rpartition("\r")[2] or text)


def shown(log, hit):
    """The evidence of a verdict."""
    return {"log": log, "line": hit[0], "text": hit[1]}


def find_text(results, log, text):
    """The first line that holds the text."""
    for number, line in lines(results, log):
        if text in line:
            return shown(log, (number, line))
    return None


def last_line(results, log):
    """The last line that is not empty."""
    last = None
    for number, line in lines(results, log):
        if line.strip():
            last = (number, line)
    return shown(log, last) if last else None


class Found:
    """What the log of a failed rpmbuild says: the `evidence` or None, the failed `stage` ("%build") or None, and lines that facts may
    turn out to stand behind: `full`, `read_only`, `killed`, each evidence or None. `unfit` is what rpmbuild itself says of a package that is not made
    for the architecture, before any stage begins."""

    def __init__(self, log):
        self.log = log
        self.evidence = self.stage = self.full = self.read_only = self.killed = self.unfit = None


SAYS = {"full": re.compile(r"No space left on device|Disk quota exceeded"), "read_only": re.compile(r"Read-only file system"),
        "killed": re.compile(r"\bKilled\b|SIGKILL|signal: 9|Error 137\b")}


def search(results, log="build.log"):
    """Read the log of a failed rpmbuild; what was found."""
    found = Found(log)
    section, own = Section(CAUSES), Section(OWN)
    summary = begun = False
    said = {}
    best = None
    for number, line in lines(results, log):
        summary = summary or line == SUMMARY
        begin = BEGIN.match(line)
        end = None if TRACE.match(line) else END.search(line)
        if end:
            if end.start():
                section.add(number, line[:end.start()])
            found.stage, best = end.group(1), section.best() or (number, line)
        elif begin:
            section, said, summary, begun = Section(OF_CHECK if begin.group(1) == "%check" else CAUSES), {}, False, True
        elif not begun and found.unfit is None and ARCHITECTURE.match(line):
            found.unfit = shown(log, (number, line))
        elif not summary:
            section.add(number, line)
        own.add(number, line)
        for name, pattern in SAYS.items():
            if not summary and not TRACE.match(line) and pattern.search(line):
                said[name] = (number, line)
    hit = best
    if found.stage is None:
        hit = next((hit for hit in own.hits if hit), None) or section.best()
    if hit:
        found.evidence = shown(log, (hit[0], following(results, log, hit)))
    for name, hit in said.items():
        setattr(found, name, shown(log, hit))
    return found


def following(results, log, hit):
    """A heading such as "unpackaged file(s) found:" says nothing without the line after it."""
    number, text = hit
    if HEADING.search(text):
        for other, line in lines(results, log):
            if other == number + 1:
                return "%s %s" % (text.strip(), line.strip())
    return text
