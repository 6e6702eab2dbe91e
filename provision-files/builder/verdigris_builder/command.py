"""Running one child of the driver process with its output followed: fork, pipe, pump."""

import os
import select
import sys

from . import processes, system, wording

CHUNK = 64 << 10
LOOK_MS = 100
GATHER_MS = 10  # lines that come one by one are taken together: each reading wakes a process beside the build
NOT_STARTED = 125  # a child that failed before it became its program
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def run(child, sink, look=None):
    """Fork; the child calls `child()` (which execs, or returns an exit status). Output goes to `sink(bytes)`; `look()` is called now and then.

    Returns the exit status, 128 + N for signal N. When the sink raises, the child is killed and the error goes on.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _child(child, reader, writer)
    os.close(writer)
    try:
        _pump(reader, pid, sink, look)
        status = os.waitpid(pid, 0)[1]
    except BaseException:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(reader)
    processes.reap()
    return exit_status(status)


def program(argv, sink, environment=None, enter=None):
    """Run a program; `enter` is called in the child before."""
    def child():
        system.die_with_parent()
        if enter:
            enter()
        os.execvpe(argv[0], argv, {**ENVIRONMENT, **(environment or {})})
    return run(child, sink)


def output(argv, environment=None, limit=16 << 20):
    """Run a short program; (exit status, output of both streams up to the limit)."""
    pieces, size = [], 0

    def sink(data):
        nonlocal size
        size += len(data)
        if size <= limit:
            pieces.append(data)
    status = program(argv, sink, environment)
    return status, b"".join(pieces).decode("utf-8", "replace")


def exit_status(status):
    """A wait status as a shell counts it."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _child(child, reader, writer):
    """Never returns: the new process."""
    code = NOT_STARTED
    try:
        os.close(reader)
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.closerange(3, 4096)
        code = child() or 0
    except FileNotFoundError as error:
        os.write(2, ("%s\n" % wording.of(error)).encode("utf-8", "replace"))
        code = 127
    except BaseException as error:  # a forked child must not run its parent's code
        os.write(2, ("verdigris: %s\n" % wording.of(error)).encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _pump(reader, pid, sink, look):
    """Pass on what comes until the end of the pipe, or until the child has ended and the pipe is empty."""
    os.set_blocking(reader, False)
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        poll.register(ended, select.POLLIN)
        gather = select.poll()
        gather.register(ended, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(None if look is None else LOOK_MS)}
            if look:
                look()
            if reader in ready:
                data = os.read(reader, CHUNK)
                if not data:
                    return
                sink(data)
                if len(data) < CHUNK // 2:
                    gather.poll(GATHER_MS)
            elif ended in ready:
                return
    finally:
        os.close(ended)
