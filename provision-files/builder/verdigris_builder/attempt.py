"""One attempt's directory: its files, its state as others see it, epochs.

"Running" is a held lock: the supervisor takes it before it writes state.json, and the kernel lets go of it however the supervisor ends. A
verdict file outranks everything. So the state is right after kill -9 and after a reboot, without any clean-up.
"""

import errno
import json
import os
import time

from . import files, paths, processes, task
from .errors import CommandError

VERDICT_BYTES = 16 << 10


class Attempt:
    """Paths and state of one attempt id (validated here)."""

    def __init__(self, name):
        if not task.ATTEMPT.fullmatch(name):
            raise CommandError("usage", "%r is not an attempt id (a lower-case UUID)" % name[:80])
        self.name = name
        self.directory = os.path.join(paths.ATTEMPTS, name)
        self.input = os.path.join(self.directory, "input")
        self.results = os.path.join(self.directory, "results")
        self.scratch = os.path.join(self.directory, "scratch")
        self.live_log = os.path.join(self.results, "builder-live.log")
        for part in ("task", "state", "verdict", "left"):
            setattr(self, part, os.path.join(self.directory, part + ".json"))
        self.phase_file = os.path.join(self.directory, "phase.json")
        self.lock = os.path.join(self.directory, "lock")
        self.fence = os.path.join(paths.FENCES, name)

    def make_directories(self):
        """Create the attempt's directories; others may pass, only root may look."""
        for path in (self.directory, self.input, self.results):
            os.makedirs(path, mode=0o711, exist_ok=True)

    def running(self):
        """Whether a build of it goes on (or its supervisor is just beginning)."""
        return not os.path.exists(self.verdict) and files.locked(self.lock)

    def read_verdict(self):
        """{"verdict", "finished", "exit"} or None."""
        return files.read_json(self.verdict, VERDICT_BYTES)

    def reserve_verdict(self):
        """Keep the verdict's bytes on disk from the beginning, so that a full disk cannot prevent it."""
        with open(self.verdict + ".reserved", "wb") as file:
            file.write(b" " * VERDICT_BYTES)
            file.flush()
            os.fsync(file.fileno())

    def write_verdict(self, verdict):
        """Write in place into the reserved bytes and rename; never replaces an earlier verdict. True when written."""
        if os.path.exists(self.verdict):
            return False
        document = {"verdict": verdict, "finished": round(time.time(), 3)}
        data = json.dumps(document).encode()
        if len(data) > VERDICT_BYTES:
            verdict.update(evidence=None, missing=[], reason=verdict["reason"][:300])
            data = json.dumps(document).encode()
        reserved = self.verdict + ".reserved"
        try:
            descriptor = os.open(reserved, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            files.write_atomically(self.verdict, data)
            return True
        try:
            os.pwrite(descriptor, data.ljust(VERDICT_BYTES), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(reserved, self.verdict)
        return True

    def write_phase(self, phase):
        """Note the phase; on a full disk the old one stays, the build's own writes will tell."""
        try:
            files.write_atomically(self.phase_file, json.dumps(phase).encode())
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def read_phase(self):
        """The phase that was reached, or None."""
        return files.read_json(self.phase_file, 100)

    def status(self):
        """The document of `status`."""
        # The verdict is looked for after the lock: a build that ends in between is finished, not lost.
        held = files.locked(self.lock)
        outcome = self.read_verdict()
        state = files.read_json(self.state)
        if state is None:
            return {"attempt": self.name, "state": "unknown"}
        word = "finished" if outcome else "running" if held else "lost"
        try:
            log_size = os.stat(self.live_log).st_size
        except OSError:
            log_size = 0
        verdict = outcome["verdict"] if outcome else None
        return {"attempt": self.name, "state": word, "epoch": max(state["epoch"], self.highest_epoch()),
                "phase": "done" if outcome else self.read_phase(), "exit": verdict["exit"] if verdict else None,
                "log_size": log_size, "started": state["started"], "finished": outcome["finished"] if outcome else None,
                "driver": state["driver"], "pid": state["pid"], "verdict": verdict}

    def highest_epoch(self):
        """The highest epoch that was ever used for this attempt here, 0 when none."""
        known = files.read_json(self.fence, 100)
        return known if isinstance(known, int) else 0

    def check_epoch(self, epoch):
        """Refuse a caller whose lease is over; remember a newer one."""
        known = self.highest_epoch()
        if epoch < known:
            raise CommandError("fenced", "epoch %d is over: epoch %d has taken attempt %s" % (epoch, known, self.name))
        if epoch > known:
            files.write_json(self.fence, epoch)

    def cgroup(self):
        """The attempt's control group, or None."""
        return processes.cgroup_path(self.name)


def every():
    """All attempts that have a directory here."""
    try:
        names = sorted(os.listdir(paths.ATTEMPTS))
    except FileNotFoundError:
        return []
    return [Attempt(name) for name in names if task.ATTEMPT.fullmatch(name)]
