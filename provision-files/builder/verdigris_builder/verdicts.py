"""Verdicts: one shape, and what the end of an rpmbuild means.

Whose fault a failure is follows from what was measured (`measured.py`); what a log says explains it, and decides only where nothing could be
measured.
"""

import re
import signal

from . import evidence
from .errors import BuildStop, infrastructure_fault, package_fault

MAX_TEXT = 800
LOW_BYTES = 1 << 30  # below that a builder takes no build either
LOW_FILES = 1000
NO_BYTES = 1 << 20
# rpmbuild was not ended by what it did itself.
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR)
# Lines that make it worth to compare the build root's files with their packages.
SUSPICIOUS = re.compile(r"Exec format error|cannot execute|bad interpreter|error while loading shared libraries|ELF|file too short|Bus error|"
                        r"Segmentation fault|Illegal instruction|Input/output error|Structure needs cleaning|internal compiler error|"
                        r"No such file or directory|not found|file not recognized|/(?:usr|lib|lib64|bin|etc)/")
# The same where the files cannot be compared: only what hardly a package can bring about.
BROKEN = re.compile(r"(?:/(?:usr/)?s?bin/\S+|rpm-tmp\.\w+): .*(?:Exec format error|cannot execute binary file|Input/output error)|"
                    r"error while loading shared libraries: \S+: (?:file too short|invalid ELF header|cannot read file data)|Structure needs cleaning")


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
        more["evidence"] = evidence.find_text(results, *find)
    return make(stop.result, stop.blame, stop.kind, stop.reason, phase=phase, **more)


def clean(text, limit=MAX_TEXT):
    """Printable text of bounded length."""
    text = "".join(c if c.isprintable() else " " for c in text.strip())
    return text if len(text) <= limit else text[:limit - 3] + "..."


def of_rpmbuild(results, status, kind, arch, measured, damaged, log="build.log"):
    """The BuildStop of an rpmbuild that ended with that status, not 0.

    `measured` is a document of `measured.Measured`; `damaged()` lists the damaged files of the build root, or is None where it cannot be told.
    """
    found = evidence.search(results, log)
    builders = of_the_builder(found, status, measured, damaged)
    if builders:
        return with_more(builders, exit=status)
    if status > 128 and found.stage is None:
        reason = "the build was killed by %s" % signal_name(status - 128)
        return package_fault(kind, reason, exit=status, evidence=found.evidence) if not measured["oom_kills"] else out_of_memory(None, status)
    if measured["oom_kills"] and found.killed:
        return out_of_memory(found.killed, status)
    if found.unfit:
        return BuildStop("skipped", "package", "architecture", "the package is not made for %s: %s" % (arch, found.unfit["text"].strip()),
                         exit=status, evidence=found.unfit)
    what = "the %s stage failed" % found.stage if found.stage else "rpmbuild failed"
    if found.evidence:
        return package_fault(kind, "%s: %s" % (what, clean(found.evidence["text"], 600)), exit=status, evidence=found.evidence)
    return package_fault(kind, "%s with exit status %s" % (what, status), exit=status)


def of_the_builder(found, status, measured, damaged):
    """The BuildStop of a failure that the builder's own state explains, or None."""
    if status in (126, 127):
        return infrastructure_fault("root", "the build root cannot run rpmbuild", evidence=found.evidence)
    if measured["read_only"] or (measured["read_only"] is None and found.read_only):
        return infrastructure_fault("disk", "the builder's file system has become read-only", evidence=found.read_only)
    if is_full(found.full, measured):
        return infrastructure_fault("disk", "no space left on device on the builder (while building)", evidence=found.full)
    if not measured["oom_kills"]:
        # Who sent a signal is not known: the farm tries again, and what is killed at the same place twice is killed by the package.
        if status > 128 and found.stage is None and status - 128 in FROM_OUTSIDE and not measured["all_killed"]:
            return infrastructure_fault("killed", "rpmbuild was killed by %s, and not for want of memory" % signal_name(status - 128))
        if found.killed and is_cause(found) and (measured["killed"] is None or measured["killed"]) and not measured["all_killed"]:
            return infrastructure_fault("killed", "a program of the build was killed, and not for want of memory: %s" % clean(found.killed["text"], 300),
                                        evidence=found.killed)
    text = found.evidence["text"] if found.evidence else ""
    if SUSPICIOUS.search(text) or status > 128:
        names = damaged() if damaged else None
        if names or (names is None and BROKEN.search(text)):
            reason = "the build root is damaged: %s" % (", ".join(names[:5]) if names else clean(text, 300))
            return infrastructure_fault("root", reason, evidence=found.evidence)
    return None


def is_cause(found):
    """Whether the line about a killed program is what the stage failed for."""
    return found.evidence is None or found.evidence["line"] == found.killed["line"] or not found.evidence["text"].strip()


def is_full(said, measured):
    """Whether the disk was full: by what is left of it, with the log's word for it while that is not next to nothing."""
    free, names = measured["least_free_bytes"], measured["least_free_files"]
    if free is None:
        return said is not None
    return free < NO_BYTES or (said is not None and (free < LOW_BYTES or (names is not None and names < LOW_FILES)))


def out_of_memory(shown, status):
    """The build used up the memory that it was given."""
    return package_fault("memory", "the build ran out of memory, and the kernel ended a program of it", exit=status, evidence=shown)


def with_more(stop, **more):
    """The same BuildStop with further details."""
    stop.more.update({key: value for key, value in more.items() if value is not None})
    return stop


def signal_name(number):
    """SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number
