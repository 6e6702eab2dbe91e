"""Finding, holding and killing the processes of a build: identity by start time, control group, descendants."""

import os
import signal
import time

CGROUP_PREFIX = "verdigris."


def start_time(pid):
    """The kernel's start time of a process (clock ticks), or None: with the pid it names a process for good."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def same_process(pid, started):
    """Whether that process is still the one that was recorded."""
    return isinstance(pid, int) and started is not None and start_time(pid) == started


def send(pid, started, number):
    """Signal exactly the recorded process; true when it was there."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not same_process(pid, started):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def descendants(pid):
    """Every process below this one, by parent pointers."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), ()):
            found.append(child)
            todo.append(child)
    return found


def kill_descendants(seconds=2.0):
    """Kill and reap all below this process (which is their subreaper) until none is left or the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        left = descendants(os.getpid())
        if not left:
            return True
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        reap()
        time.sleep(0.005)
    return False


def reap():
    """Collect every child that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def cgroup_mount():
    """Where the second version of control groups is mounted, or None."""
    try:
        with open("/proc/self/mountinfo", "r", encoding="utf-8", errors="replace") as file:
            for entry in file:
                before, _, after = entry.partition(" - ")
                if after.startswith("cgroup2 "):
                    return before.split(" ")[4]
    except OSError:
        return None
    return None


def cgroup_create(attempt):
    """Make the attempt's control group and enter it; its path, or None where that is not possible (then there is none)."""
    top = cgroup_mount()
    if top is None:
        return None
    path = os.path.join(top, CGROUP_PREFIX + attempt)
    try:
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
        return path
    except OSError:
        cgroup_remove(path)
        return None


def cgroup_leave(path):
    """Move this process to the top group again, so that the attempt's can be removed."""
    if path:
        try:
            with open(os.path.join(os.path.dirname(path), "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(str(os.getpid()))
        except OSError:
            return
        cgroup_remove(path)


def cgroup_kill(path):
    """Kill all in the group (Linux 5.14 has cgroup.kill; before, one by one)."""
    if not path or not os.path.isdir(path):
        return
    try:
        with open(os.path.join(path, "cgroup.kill"), "w", encoding="ascii") as file:
            file.write("1")
    except OSError:
        try:
            with open(os.path.join(path, "cgroup.procs"), encoding="ascii") as file:
                for word in file.read().split():
                    os.kill(int(word), signal.SIGKILL)
        except OSError:
            return


def cgroup_remove(path, seconds=1.0):
    """Remove an empty group; groups that sandboxed code made below it go first."""
    until = time.monotonic() + seconds
    while path and os.path.isdir(path):
        try:
            for directory, _, _ in os.walk(path, topdown=False):
                os.rmdir(directory)
        except OSError:
            if time.monotonic() > until:
                return
            time.sleep(0.01)


def cgroup_path(attempt):
    """The path that cgroup_create uses, whether it exists or not."""
    top = cgroup_mount()
    return os.path.join(top, CGROUP_PREFIX + attempt) if top else None
