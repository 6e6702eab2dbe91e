"""Verdicts: one shape, and the search for the line in a log that shows why.

The rules go from specific to general and were made for what rpmbuild, gcc, make and the common test runners print. A wrong guess costs
little: the line number leads into the log.
"""

import os
import re
import signal

from . import files

MAX_TEXT = 800
MAX_SCAN = 64 << 20
STAGE = re.compile(r"error: Bad exit status from \S+ \((%\w+)\)")
# (pattern, which hit counts). Earlier rules win.
CAUSES = (
    (re.compile(r"^(?:error: )?(?:Installed \(but unpackaged\) file\(s\) found:)"), "first"),
    (re.compile(r"^\s*(?:error: )?(?:File not found|Directory not found|File must begin with|Not a directory|File listed twice)[^:]*: "), "first"),
    (re.compile(r"^error: (?:Failed build dependencies|line \d+: |Unknown tag|Macro %|Bad source|Bad file|Unable to open|Empty %files|Recursion|"
                r"query of specfile|Package already exists|.*field must be present|.*%\w+ .*(?:failed|unclosed))"), "first"),
    (re.compile(r"^\s*\S+?:\d+:(?:\d+:)? (?:fatal )?error: "), "first"),
    (re.compile(r"^error(?:\[E\d+\])?: (?!Bad exit status|could not compile|aborting)"), "first"),
    (re.compile(r"(?:undefined reference to|ld: cannot find|collect2: error|undefined symbol)"), "first"),
    (re.compile(r"(?:^|\s)\S*(?:Error|Exception): \S|^Traceback \(most recent call last\)|^E\s{3}"), "last"),
    (re.compile(r"(?:command not found|No such file or directory|Permission denied|Killed|Segmentation fault|Network is unreachable|"
                r"Connection refused|Temporary failure in name resolution|Hunk #\d+ FAILED|CMake Error|configure: error)"), "last"),
    (re.compile(r"(?:FAILED|FAIL:|\*\*\* .*Error \d+|Assertion .* failed)"), "first"),
)
LAST_RESORTS = (re.compile(r"^\+ "), STAGE, re.compile(r"error", re.IGNORECASE))


def make(result, blame, kind, reason, phase=None, exit=None, evidence=None, missing=()):
    """A verdict document; every text is bounded, because it has to fit in a reserved file."""
    if evidence:
        evidence = {"log": evidence["log"], "line": evidence["line"], "text": clean(evidence["text"])}
    return {"result": result, "blame": blame, "kind": kind, "reason": clean(reason, 1500), "evidence": evidence,
            "phase": phase, "exit": exit, "missing": [clean(name, 120) for name in list(missing)[:50]]}


def from_stop(stop, results, phase):
    """The verdict of a BuildStop; looks up its evidence when it names a text to find."""
    more = dict(stop.more)
    find = more.pop("find", None)
    if find and not more.get("evidence"):
        more["evidence"] = find_text(results, *find)
    return make(stop.result, stop.blame, stop.kind, stop.reason, phase=phase, **more)


def clean(text, limit=MAX_TEXT):
    """Printable text of bounded length."""
    text = "".join(c if c.isprintable() else " " for c in text.strip())
    return text if len(text) <= limit else text[:limit - 3] + "..."


def lines(results, log):
    """(number, text) of a log's lines, without following links, bounded."""
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
        seen = 0
        for number, data in enumerate(file, 1):
            seen += len(data)
            if seen > MAX_SCAN:
                return
            yield number, data[:4096].decode("utf-8", "replace").rstrip("\n")


def find_text(results, log, text):
    """The first line that holds the text."""
    for number, line in lines(results, log):
        if text in line:
            return {"log": log, "line": number, "text": line}
    return None


def evidence(results, log="build.log"):
    """(evidence or None, failed stage such as %build or None) of a failed rpmbuild."""
    best = [None] * len(CAUSES)
    resorts = [None] * len(LAST_RESORTS)
    stage = None
    for number, line in lines(results, log):
        found = STAGE.search(line)
        if found and stage is None:
            stage = found.group(1)
        for index, (pattern, which) in enumerate(CAUSES):
            if (best[index] is None or which == "last") and pattern.search(line):
                best[index] = (number, line)
                break
        if stage is None or found:
            for index, pattern in enumerate(LAST_RESORTS):
                if pattern.search(line):
                    resorts[index] = (number, line)
    for hit in best + resorts:
        if hit:
            return {"log": log, "line": hit[0], "text": following(results, log, hit)}, stage
    return None, stage


def following(results, log, hit):
    """A heading such as "unpackaged file(s) found:" says nothing without the line after it."""
    number, text = hit
    if text.rstrip().endswith(("found:", "dependencies:")):
        for other, line in lines(results, log):
            if other == number + 1:
                return "%s %s" % (text.strip(), line.strip())
    return text


def build_failed(results, status, log="build.log"):
    """(reason, evidence) of a build that rpmbuild, or a signal that rpmbuild got, ended."""
    shown, stage = evidence(results, log)
    if status > 128 and stage is None:
        # Nobody was left to say why: what the log ends with is no cause.
        return "the build was killed by %s" % signal_name(status - 128), None
    what = "the %s stage failed" % stage if stage else "rpmbuild failed"
    if shown:
        return "%s: %s" % (what, clean(shown["text"], 600)), shown
    return "%s with exit status %s" % (what, status), None


def signal_name(number):
    """SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def no_space_in(results, log, tail=400):
    """The last line near the end of a log that says the disk is full, as evidence."""
    found, last = None, 0
    for number, line in lines(results, log):
        last = number
        if "No space left on device" in line or "Disk quota exceeded" in line:
            found = {"log": log, "line": number, "text": line}
    return found if found and found["line"] > last - tail else None
