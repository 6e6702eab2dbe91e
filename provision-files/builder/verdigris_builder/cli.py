"""The commands of `verdigris-builder`: arguments in, one JSON document out (README.md has the contract).

What only some commands need is imported in them: `status` is asked often and answers in half the time without the rest.
"""

import argparse
import errno
import json
import os
import re
import select
import sys

from . import attempt as attempts
from . import files, task, wording
from .errors import EXITS, CommandError

PIECE = 256 << 10
PIECE_SECONDS = 0.25  # at most so often a piece of the log is sent: each one wakes the connection, the worker and who reads along
OF_ATTEMPTS = ("start", "status", "log", "manifest", "cancel", "clean")


class Parser(argparse.ArgumentParser):
    """argparse, but errors are ours."""

    def error(self, message):
        """Called by argparse for every usage error."""
        raise CommandError("usage", "%s: %s" % (self.prog, message))


def number(text):
    """A non-negative decimal argument."""
    if not re.fullmatch(r"[0-9]{1,16}", text):
        raise argparse.ArgumentTypeError("%r is not a number" % text[:40])
    return int(text)


def parser():
    """The command line."""
    top = Parser(prog="verdigris-builder", description="Runs one build attempt on this builder.")
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    known = {}
    for name, what in (("start", "start a build from the task on stdin"), ("status", "how it goes"),
                       ("log", "bytes of the live log"), ("manifest", "list the results"),
                       ("cancel", "kill the build"), ("clean", "remove attempts"), ("ready", "check this builder"),
                       ("baseline", "note what this machine is like before its first build"),
                       ("renew", "clean, and compare with the baseline on stdin"),
                       ("accept", "clean, and take this machine as it is"),
                       ("idle", "say whether no build runs here"),
                       ("live", "say whether this is still the builder that it was"),
                       ("notices", "wait until the cloud says that it takes this machine back")):
        known[name] = commands.add_parser(name, help=what)
        if name in OF_ATTEMPTS:
            known[name].add_argument("--attempt", required=name != "clean")
    known["log"].add_argument("--offset", type=number, default=0)
    known["log"].add_argument("--follow", action="store_true")
    known["start"].add_argument("--epoch", type=number, required=True)
    known["cancel"].add_argument("--epoch", type=number)
    known["ready"].add_argument("--chroot")
    known["live"].add_argument("--builder")
    known["renew"].add_argument("--baseline", choices=["-"], required=True)
    return top


def main(argv):
    """Run one command; the exit status."""
    command = argv[0] if argv else ""
    os.umask(0o022)  # root's own may be stricter, and mock's user has to pass the directories
    try:
        arguments = parser().parse_args(argv)
        command = arguments.command
        document, status = COMMANDS[command](arguments)
        if document is not None:
            print(json.dumps(document), flush=True)
        return status
    except CommandError as error:
        return complain(command, wording.of(error), error.code)
    except BrokenPipeError:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        return 0
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return complain(command, "no space left on device on the builder: %s" % wording.of(error) if full else wording.of(error), "fault")
    except Exception as error:
        import traceback
        traceback.print_exc()
        return complain(command, "the builder's scripts failed: %s" % wording.of(error), "fault")


def complain(command, text, code):
    """The error document, on stderr where stdout carries the log."""
    print(json.dumps({"error": text, "code": code}), file=sys.stderr if command == "log" else sys.stdout, flush=True)
    return EXITS[code]


def start(arguments):
    """Read the task and start."""
    from . import runner
    data = sys.stdin.buffer.read(task.MAX_TASK_BYTES + 1)
    return runner.start(arguments.attempt, arguments.epoch, data), 0


def status(arguments):
    """How it goes."""
    return attempts.Attempt(arguments.attempt).status(), 0


def log(arguments):
    """Send the live log from the offset; with --follow until the end."""
    attempt = attempts.Attempt(arguments.attempt)
    try:
        descriptor = os.open(attempt.live_log, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise CommandError("unknown", "there is no log of attempt %s here" % attempt.name) from None
    follower = Follower(attempt) if arguments.follow else None
    offset = arguments.offset
    while True:
        going_on = follower and attempt.running()
        while data := os.pread(descriptor, PIECE, offset):
            offset += len(data)
            send(data)
        if not going_on or not follower.wait():
            return None, 0


class Follower:
    """Waits for the next piece of a log, and no longer than until the build ends or the reader goes."""

    def __init__(self, attempt):
        from . import system
        self.poll = select.poll()
        self.poll.register(1, 0)  # only hang-up and error: the reader has gone
        try:
            # The verdict gets its name by a rename. A supervisor that was killed leaves none: that is seen with the next piece.
            self.renames = system.watch_renames(attempt.directory)
            self.poll.register(self.renames, select.POLLIN)
        except OSError:
            self.renames = None  # the kernel has no more watches: the end is seen with the next piece

    def wait(self):
        """Whether the reader is still there."""
        ready = dict(self.poll.poll(PIECE_SECONDS * 1000))
        if self.renames in ready:
            os.read(self.renames, PIECE)
        return 1 not in ready


def send(data):
    """All of it to stdout."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]


def manifest(arguments):
    """What may be collected."""
    from . import collect
    attempt = attempts.Attempt(arguments.attempt)
    state = attempt.status()
    if state["state"] == "unknown":
        raise CommandError("unknown", "attempt %s was never started here" % attempt.name)
    if state["state"] == "running":
        raise CommandError("busy", "attempt %s is still running" % attempt.name)
    limits = files.read_json(attempt.task)["limits"]
    left = files.read_json(attempt.left) or {"refused": [], "passed_over": []}
    listed, refused = collect.manifest(attempt.results, limits, left["refused"])
    return {"attempt": attempt.name, "state": state["state"], "files": listed, "refused": refused, "passed_over": left["passed_over"],
            "verdict": state["verdict"]}, 0


def cancel(arguments):
    """Kill it."""
    from . import runner
    return runner.cancel(arguments.attempt, arguments.epoch), 0


def clean(arguments):
    """Remove it."""
    from . import runner
    return runner.clean(arguments.attempt), 0


def check(arguments):
    """Is this builder fit?"""
    from . import ready
    return ready.ready(arguments.chroot)


def baseline(arguments):
    """What is this machine like?"""
    from . import renew as renewal
    return renewal.baseline(), 0


def renew(arguments):
    """May it build again?"""
    from . import renew as renewal
    return renewal.renew(sys.stdin.buffer.read(renewal.MAX_BASELINE + 1))


def accept(arguments):
    """Fit as it is."""
    from . import renew as renewal
    return renewal.accept(), 0


def idle(arguments):
    """Does no build run here?"""
    from . import renew as renewal
    return renewal.idle(), 0


def live(arguments):
    """Is it still what it was?"""
    from . import live as liveliness
    return liveliness.live(arguments.builder)


def notices(arguments):
    """Does the cloud take it back?"""
    from . import notices as service
    return service.wait(), 0


COMMANDS = {"start": start, "status": status, "log": log, "manifest": manifest, "cancel": cancel, "clean": clean, "ready": check,
            "baseline": baseline, "renew": renew, "accept": accept, "idle": idle, "live": live, "notices": notices}
