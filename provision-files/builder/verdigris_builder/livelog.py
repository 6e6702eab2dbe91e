"""The build's logs: every byte goes to the log of its phase and to the combined live log, within the task's limit."""

import errno
import os
import time

from .errors import disk_full, package_fault

MAX_LINE = 16 << 10
LIVE = "builder-live.log"
LONGEST_REST = 3  # bytes of a letter behind its first one


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
        """Break lines longer than MAX_LINE, never inside a letter; the column is remembered between calls.

        A letter whose end has not come yet keeps its place on the line, so that it is not broken by the next call either.
        """
        column = self.columns.get(name, 0)
        if b"\n" in data and column + len(data) + LONGEST_REST <= MAX_LINE:
            self.columns[name] = len(data) - data.rfind(b"\n") - 1
            return data
        pieces = []
        for segment in _lines(data):
            while column + len(segment.rstrip(b"\n")) + unfinished(segment)[1] > MAX_LINE:
                cut = whole(segment, MAX_LINE - column)
                pieces += [segment[:cut], b"\n"]
                segment, column = segment[cut:], 0
            pieces.append(segment)
            column = 0 if segment.endswith(b"\n") else column + len(segment)
        self.columns[name] = column
        return b"".join(pieces)

    def write(self, name, data):
        """Bytes from a build process: to its log and the live log; stops the build at the limit."""
        data = self.split(name, data)
        room = self.limit - self.written
        if len(data) + unfinished(data)[1] <= room:
            self.put(name, data)
            self.put(LIVE, data)
            self.written += len(data)
            self.last_line_open = not data.endswith(b"\n")
            return
        cut = whole(data, room)
        self.put(name, data[:cut])
        self.put(LIVE, data[:cut])
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


def unfinished(data):
    """(bytes there, bytes lacking) of a letter in UTF-8 that has begun at the end of the data; (0, 0) when there is none."""
    for there in range(1, min(LONGEST_REST, len(data)) + 1):
        byte = data[-there]
        if not 0x80 <= byte < 0xC0:
            length = 2 if 0xC2 <= byte < 0xE0 else 3 if 0xE0 <= byte < 0xF0 else 4 if 0xF0 <= byte < 0xF5 else 1
            return (there, length - there) if length > there else (0, 0)
    return 0, 0


def whole(data, room):
    """How many bytes of the data, at most `room`, can be taken without cutting its last letter."""
    piece = data[:max(room, 0)]
    return len(piece) - unfinished(piece)[0]


def _lines(data):
    """Like splitlines(keepends=True), but only at line feeds: a carriage return is part of its line."""
    pieces = data.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
