"""What a builder measures about itself while it builds. Only this decides whether a failure is the builder's; printed text only explains it.

A reading is None where this machine cannot tell (no privilege, no such file).
"""

import os
import re
import time

from . import command, dnf, system

EVERY = 0.1  # seconds between two looks at the disk
PROCESSES = "processes"  # the kernel's record of ended processes, below the attempt's scratch directory
WITNESS = "witness"
RECORD, EXIT_CODE = 64, 4  # acct(5), version 3: size of a record, offset of the wait status in it
KILL = 9
# The file's digest, size or type is not what its package says, or it is gone; what may differ (configuration, ghosts, documents) has a letter.
DAMAGED = re.compile(r"^(?:..5\S*|S\S*|.{2}\?\S*|missing) +(/.*)$", re.MULTILINE)


class Measured:
    """Readings during one build. `directory` is on the file system that the build writes to."""

    def __init__(self, directory, group=None):
        self.directory, self.group = directory, group
        self.oom_before = oom_kills(group)
        self.least_free = self.least_files = None
        self.next = 0.0

    def look(self):
        """Take the readings that change; costs nothing when called more often than it has to be."""
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + EVERY
        try:
            found = os.statvfs(self.directory)
        except OSError:
            return
        free = found.f_bavail * found.f_frsize
        self.least_free = free if self.least_free is None else min(free, self.least_free)
        if found.f_files:
            self.least_files = found.f_favail if self.least_files is None else min(found.f_favail, self.least_files)

    def document(self):
        """All readings, of the end: see README.md."""
        self.next = 0.0
        self.look()
        after = oom_kills(self.group)
        killed, swept = processes_killed(self.directory)
        return {"least_free_bytes": self.least_free, "least_free_files": self.least_files, "read_only": is_read_only(self.directory),
                "oom_kills": None if after is None or self.oom_before is None else max(0, after - self.oom_before),
                "killed": killed, "all_killed": swept}


def is_read_only(directory):
    """Whether the file system has become read-only (after an error of its device, say)."""
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return None


def oom_kills(group):
    """How many processes the kernel has ended for want of memory: in the build's control group where it counts them, else on this machine."""
    places = [os.path.join(group, "memory.events")] if group else []
    for path in [*places, "/proc/vmstat"]:
        try:
            with open(path, encoding="ascii") as file:
                for entry in file:
                    word, _, number = entry.partition(" ")
                    if word == "oom_kill":
                        return int(number)
        except (OSError, ValueError):
            continue
    return None


def record_processes(directory):
    """Let the kernel write down every process of this pid namespace that ends, and make the file of the witness; its descriptor.

    Called by process 1 of the sandbox, before the root changes.
    """
    path = os.path.join(directory, PROCESSES)
    try:
        with open(path, "wb"):
            pass
        system.account(path)
    except OSError:
        if os.path.lexists(path):
            os.unlink(path)
    return os.open(os.path.join(directory, WITNESS), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def processes_killed(directory):
    """(how many processes of the build ended by SIGKILL, whether one that did nothing but wait was among them)."""
    killed = None
    try:
        with open(os.path.join(directory, PROCESSES), "rb") as file:
            killed = 0
            while piece := file.read(RECORD << 14):
                killed += piece[EXIT_CODE::RECORD].count(KILL)
        if killed == 0 and may_be_suspended(os.statvfs(directory), resume_threshold()):
            killed = None
    except OSError:
        pass
    try:
        with open(os.path.join(directory, WITNESS), "rb") as file:
            swept = file.read(1) == b"1"
    except OSError:
        swept = None
    return killed, swept


def resume_threshold():
    """From how many per cent of free space on the kernel writes records again; without the setting, the kernel's own default."""
    try:
        with open("/proc/sys/kernel/acct", encoding="ascii") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 4


def may_be_suspended(found, resume):
    """Whether the kernel may have left out records: it stops writing them on a file system that is almost full (2 %), and goes on
    only when there is more room (4 %; kernel.acct in proc(5)), so that no record is no proof below that."""
    return found.f_bavail * 100 <= found.f_blocks * resume


def damaged_files(root, dbpath):
    """Files of the build root's packages that are not as their packages say. The build user can change none of them."""
    checks = ["--nomtime", "--nomode", "--nouser", "--nogroup", "--nordev", "--nolinkto", "--nocaps", "--nodeps", "--noscripts"]
    _, text = command.output(["rpm", "--root", root, "-Va", *checks], {"HOME": dnf.rpm_home(dbpath)})
    return DAMAGED.findall(text)
