"""The search for the line in a log that shows why a build failed.

A log is cut into the stages of rpmbuild ("Executing(%build)"), and only the one that failed is looked at. Rules for what compilers, linkers,
configuration tools and test runners print (`rules.py`) come first; where none fits it is the last line before the stage's end that is no shell trace
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
# What the builder itself writes into root.log.
OWN = ("Base root ", "Build requirements to install: ")
SUMMARY = "RPM build errors:"
ARCHITECTURE = re.compile(r"^error: (?:(?:Architecture|OS) is (?:not included|excluded): |No compatible architectures found for build)")


class Section:
    """The lines of a stage that may show why it failed.

    The shell ends a stage at the first command that fails, so that what was said since the last trace comes before what was said earlier.
    """

    def __init__(self, words, rules):
        self.words, self.rules = words, rules
        self.hits, self.earlier = [None] * len(rules), [None] * len(rules)
        self.trace = self.idle = self.spoken = self.echo = None

    def add(self, number, line):
        """Take notice of the next line."""
        if self.words.TRACE.match(line):
            if self.words.IDLE.match(line):
                self.idle = (number, line)
            else:
                self.begin_command(number, line)
            return
        plain = line[len(self.words.MARK):] if line.startswith(self.words.MARK) else line
        if self.words.ECHO.match(plain):
            if plain.strip():
                self.echo = (number, line)
        else:
            self.spoken = (number, line)
            self.match(number, line, plain)

    def begin_command(self, number, line):
        """What was found so far belongs to commands that went well, unless this one only shows or cleans up."""
        self.trace = (number, line)
        self.earlier = [new or old for new, old in zip(self.hits, self.earlier)]
        self.hits = [None] * len(self.rules)

    def match(self, number, line, plain):
        """Note the line where a rule wants it; `plain` is the line without a mark before it."""
        for index, rule in enumerate(self.rules):
            if (rule.which == self.words.LAST or self.hits[index] is None) and rule.matches(plain) and not (rule in self.words.GENERAL and self.words.TRIED.search(plain)):
                self.hits[index] = (number, line)
                break

    def best(self):
        """(number, text) or None."""
        behind = [hit for hit in (self.spoken, self.echo) if hit and (self.trace is None or hit[0] > self.trace[0])]
        is_over = bool(behind) and self.trace is not None and not self.words.SHOWING.match(self.trace[1])
        for hit in self.hits + ([] if is_over else self.earlier):
            if hit:
                return hit
        if behind:
            return behind[0]
        if self.idle and (self.trace is None or (self.idle[0] > self.trace[0] and self.words.PREPARED.match(self.trace[1]))):
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
    """The last line that is neither empty nor the builder's own: those say what it was about to do, not what happened."""
    last = None
    for number, line in lines(results, log):
        if line.strip() and not line.startswith(OWN):
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
    from . import rules  # here, since its patterns take 20 ms to make, and only a failed build needs them
    found = Found(log)
    section, own = Section(rules, rules.OF_STAGE), Section(rules, rules.OWN)
    summary = begun = False
    said = {}
    best = None
    for number, line in lines(results, log):
        summary = summary or line == SUMMARY
        begin = BEGIN.match(line)
        end = None if rules.TRACE.match(line) else END.search(line)
        if end:
            if end.start():
                section.add(number, line[:end.start()])
            found.stage, best = end.group(1), section.best() or (number, line)
        elif begin:
            section, said, summary, begun = Section(rules, rules.OF_CHECK if begin.group(1) == "%check" else rules.OF_STAGE), {}, False, True
        elif not begun and found.unfit is None and ARCHITECTURE.match(line):
            found.unfit = shown(log, (number, line))
        elif not summary:
            section.add(number, line)
        own.add(number, line)
        for name, pattern in SAYS.items():
            if not summary and not rules.TRACE.match(line) and pattern.search(line):
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
    """A heading such as "unpackaged file(s) found:" says nothing without the next line that is neither empty nor a trace."""
    number, text = hit
    if not text.rstrip().endswith(":"):
        return text
    joined = text.strip()
    for other, line in lines(results, log):
        if other > number and line.strip() and not line.startswith("+"):
            joined = "%s %s" % (joined, line.strip())
            if other > number + 8 or not line.rstrip().endswith(":"):
                break
    return joined
