"""The build's logs: every byte goes to the log of its phase and to the combined live log, within the task's limit."""

import errno
import os
import time

from .errors import disk_full, package_fault

MAX_LINE = 16 << 10
LIVE = "builder-live.log"


class BuildLog:
    """Writers for one attempt. Not for several processes: the driver process owns it."""

    def __init__(self, results, limit):
        self.results, self.limit = results, limit
        self.descriptors = {}
        self.columns = {}
        self.written = 0
        self.last_line_open = False

    def descriptor(self, name):
        """The open log of that name; made on first use."""
        if name not in self.descriptors:
            path = os.path.join(self.results, name)
            self.descriptors[name] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        return self.descriptors[name]

    def put(self, name, data):
        """Write all of it, or stop the build when the disk is full."""
        view = memoryview(data)
        try:
            descriptor = self.descriptor(name)
            while view:
                view = view[os.write(descriptor, view):]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full("while writing %s" % name) from error
            raise

    def split(self, name, data):
        """Break lines longer than MAX_LINE; the column is remembered between calls."""
        column = self.columns.get(name, 0)
        if b"\n" in data and column + len(data) <= MAX_LINE:
            self.columns[name] = len(data) - data.rfind(b"\n") - 1
            return data
        pieces = []
        for segment in _lines(data):
            while column + len(segment.rstrip(b"\n")) > MAX_LINE:
                room = MAX_LINE - column
                pieces += [segment[:room], b"\n"]
                segment, column = segment[room:], 0
            pieces.append(segment)
            column = 0 if segment.endswith(b"\n") else column + len(segment)
        self.columns[name] = column
        return b"".join(pieces)

    def write(self, name, data):
        """Bytes from a build process: to its log and the live log; stops the build at the limit."""
        data = self.split(name, data)
        room = self.limit - self.written
        if len(data) <= room:
            self.put(name, data)
            self.put(LIVE, data)
            self.written += len(data)
            self.last_line_open = not data.endswith(b"\n")
            return
        self.put(name, data[:room])
        self.put(LIVE, data[:room])
        self.written = self.limit
        reason = "the build wrote more than the limit of %d bytes to its log" % self.limit
        self.put(LIVE, ("\n[%s]\n" % reason).encode())
        raise package_fault("log_limit", reason)

    def say(self, text):
        """A line of the builder's own, in the live log only."""
        start = b"\n" if self.last_line_open else b""
        self.last_line_open = False
        self.put(LIVE, start + text.encode("utf-8", "replace") + b"\n")

    def state(self, text):
        """A line of state.log (with its time, as mock writes them) and of the live log."""
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)) + ",%03d" % (now % 1 * 1000)
        self.put("state.log", ("%s - %s\n" % (stamp, text)).encode("utf-8", "replace"))
        self.say("=== " + text)

    def sink(self, name):
        """A function of bytes for one log."""
        return lambda data: self.write(name, data)

    def close(self):
        """Let go of the files."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors.clear()


def _lines(data):
    """Like splitlines(keepends=True), but only at line feeds: a carriage return is part of its line."""
    pieces = data.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
