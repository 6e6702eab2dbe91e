"""The life of a build: start it detached, watch over it, end it.

Two processes. The *supervisor* (own session, own control group, holds the attempt's lock) only waits, keeps the time, and writes the verdict.
The *driver* is process 1 of a pid namespace with a private mount namespace, and dies with the supervisor: whatever
happens to either, no process and no mount of the build stays.
"""

import errno
import json
import os
import re
import signal
import sys
import time
import traceback

from . import attempt as attempts
from . import chroot_driver, chroots, evidence, files, metadata, mock_driver, mounting, paths, processes, seals, system, task, verdicts, wording
from .build import Build
from .errors import BuildStop, CommandError, disk_full, infrastructure_fault

MAX_REPORT = 1 << 20
CACHE_BYTES = 6 << 30
CANCEL = signal.SIGUSR1  # SIGTERM is what everything gets when a machine is shut down
SCRIPTLET = re.compile(r"[Rr]unning (?:\S+ )?scriptlet: (\S+)")  # as dnf 4 and 5 say before they run one
UNTIL_BUILD = ("staging", "root", "source", "dependencies")


def start(name, epoch, data):
    """Validate, then start detached; the answer of `start`."""
    attempt = attempts.Attempt(name)
    job = task.parse(data, name, epoch)
    paths.make_state_directories()
    holder = files.lock(paths.START_LOCK)
    try:
        attempt.check_epoch(epoch)
        if files.read_json(attempt.state) is not None:
            return attempt.status()
        if os.path.lexists(paths.DIRTY):
            raise CommandError("dirty", "this builder was found dirty after a build (%s): it takes no other" % paths.DIRTY)
        chroot = chroots.load(job["chroot"])
        check(attempt, job, chroot)
        for other in attempts.every():
            if other.running():
                raise CommandError("busy", "attempt %s is running on this builder" % other.name)
        driver = choose_driver(job, chroot)
        metadata.hide()
        if os.path.lexists(paths.PROVEN):
            os.unlink(paths.PROVEN)
        attempt.make_directories()
        files.write_json(attempt.task, job)
        pid = detach(attempt, job, chroot, driver, holder)
        return {"state": "running", "pid": pid, "attempt": name, "epoch": epoch, "driver": driver}
    finally:
        os.close(holder)


def check(attempt, job, chroot):
    """What only this builder can know about the task."""
    base = {entry["id"].lower() for entry in chroot["base"]}
    for entry in job["repositories"]:
        if entry["id"].lower() in base:
            raise task.bad("repositories", "the id %s is one of the chroot's base repositories" % entry["id"])
    try:
        size = os.stat(os.path.join(attempt.input, job["source"]["file"]), follow_symlinks=False).st_size
    except FileNotFoundError:
        raise task.bad("source.file", "%s has not been uploaded" % job["source"]["file"]) from None
    if size != job["source"]["size"]:
        raise task.bad("source.size", "the uploaded file has %d bytes, not %d" % (size, job["source"]["size"]))


def choose_driver(job, chroot):
    """The driver's name; mock only where it is really usable, our own only where it knows what a root is made of."""
    problems = mock_driver.problems(chroot)
    if job["driver"] == "mock" and problems:
        raise CommandError("bad_task", "task: driver: mock cannot be used here: " + "; ".join(problems))
    driver = job["driver"] if job["driver"] != "auto" else "chroot" if problems else "mock"
    if driver == "chroot" and not chroot["base"]:
        raise CommandError("bad_task", mock_driver.only_mock(chroot, problems or ["the task wants the driver chroot"]))
    return driver


def detach(attempt, job, chroot, driver, holder):
    """Double fork; returns the supervisor's pid when it holds its lock and has written its state.

    `holder` is the start lock, which must not live on in the supervisor.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                os.close(holder)
                os.close(reader)
                Supervisor(attempt, job, chroot, driver).main(writer)
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read(4096).decode("utf-8", "replace")
    if not answer.startswith("pid "):
        raise CommandError("fault", "the build could not be started: %s" % (answer or "the supervisor ended at once"))
    return int(answer[4:])


class Supervisor:
    """Waits for the driver process and writes the verdict."""

    def __init__(self, attempt, job, chroot, driver):
        self.attempt, self.job, self.chroot, self.driver = attempt, job, chroot, driver
        self.child, self.ended_by, self.group, self.lock = None, None, None, None

    def main(self, handshake):
        """The detached process; never returns."""
        try:
            self.settle()
            os.write(handshake, b"pid %d" % os.getpid())
        except BaseException as error:
            os.write(handshake, wording.of(error).encode("utf-8", "replace")[:4000])
            os._exit(1)
        os.close(handshake)
        try:
            verdict = self.watch()
        except BaseException as error:
            traceback.print_exc()
            verdict = verdicts.make("failed", "service", "crash", "the builder's supervisor crashed: %s" % wording.of(error))
        try:
            self.finish(verdict)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def settle(self):
        """Become independent of who started us: descriptors, signals, lock, control group, state file."""
        null = os.open("/dev/null", os.O_RDWR)
        log = os.open(os.path.join(self.attempt.directory, "runner.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        os.chdir("/")
        os.umask(0o022)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(CANCEL, lambda *_: self.end("cancelled"))
        signal.signal(signal.SIGTERM, lambda *_: self.end("stopped"))
        signal.signal(signal.SIGALRM, lambda *_: self.end("timeout"))
        self.lock = files.lock(self.attempt.lock)
        self.attempt.reserve_verdict()
        self.group = processes.cgroup_create(self.attempt.name)
        system.prctl(system.PR_SET_CHILD_SUBREAPER, 1)
        os.close(os.open(self.attempt.live_log, os.O_WRONLY | os.O_CREAT, 0o644))
        files.write_json(self.attempt.state, {
            "attempt": self.attempt.name, "epoch": self.job["epoch"], "pid": os.getpid(), "driver": self.driver,
            "start_time": processes.start_time(os.getpid()), "started": round(time.time(), 3), "cgroup": self.group})

    def end(self, why):
        """Signal handler: kill the driver; with process 1 its whole namespace dies."""
        self.ended_by = self.ended_by or why
        if self.child:
            os.kill(self.child, signal.SIGKILL)

    def watch(self):
        """Run the driver process to its end; the verdict."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        # nspawn tells systemd its process numbers, which must be the host's; every other build gets its own numbers.
        own_pids = self.driver == "chroot" or self.job["isolation"] != "nspawn"
        signal.setitimer(signal.ITIMER_REAL, self.job["timeout_seconds"])
        if own_pids:
            system.unshare(system.CLONE_NEWPID)
        self.child = os.fork()
        if self.child == 0:
            os.close(reader)
            driver_process(self, writer, own_pids)
        os.close(writer)
        if own_pids:
            system.setns(namespace, system.CLONE_NEWPID)  # so that this process can fork again when that one is dead
        os.close(namespace)
        if self.ended_by:
            os.kill(self.child, signal.SIGKILL)
        with os.fdopen(reader, "rb") as pipe:
            report = pipe.read(MAX_REPORT)
        # Not yet reaped: until here a signal may kill the child by its number.
        os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOWAIT)
        signal.setitimer(signal.ITIMER_REAL, 0)
        child, self.child = self.child, None
        status = os.waitpid(child, 0)[1]
        processes.kill_descendants()
        return self.judge(report, status)

    def judge(self, report, status):
        """From what the driver reported, or from how it ended."""
        phase = self.attempt.read_phase() or "staging"
        if self.ended_by == "cancelled":
            return cancelled(phase)
        if self.ended_by == "stopped":
            return verdicts.make("failed", "infrastructure", "stopped", "the builder was shut down, or somebody ended the build on it", phase=phase)
        try:
            return json.loads(report)
        except ValueError:
            pass
        if self.ended_by == "timeout":
            return self.timed_out(phase)
        return verdicts.make("failed", "service", "crash", "the builder's driver ended without a verdict (wait status %d)" % status, phase=phase)

    def timed_out(self, phase):
        """A timeout is the package's fault only while its own code was running."""
        reason = "the build took longer than its limit of %d seconds (in the phase %s)" % (self.job["timeout_seconds"], phase)
        mock = self.driver == "mock"
        last = evidence.last_line(self.attempt.results, "root.log") if phase == "dependencies" else None
        stuck = SCRIPTLET.search(last["text"]) if last else None
        if stuck:
            # It would be stuck on any builder.
            reason = "a scriptlet of the build requirement %s did not end: %s" % (stuck.group(1), reason)
            return verdicts.make("failed", "package", "timeout", reason, phase=phase, evidence=last)
        blame = "infrastructure" if phase in UNTIL_BUILD and phase != "source" and not mock else "package"
        log = "root.log" if blame == "infrastructure" else "build.log"
        return verdicts.make("failed", blame, "timeout", reason, phase=phase, evidence=evidence.last_line(self.attempt.results, log))

    def finish(self, verdict):
        """Verdict first (whoever waits can go on), then free the disk. A full disk turns a success into its own verdict."""
        results = self.attempt.results
        if verdict["result"] == "succeeded":
            try:
                files.write_atomically(os.path.join(results, "success"), b"")
            except OSError as error:
                verdict = stop_verdict(error, results, "collect")
        append_quietly(self.attempt.live_log, "\n=== Verdict: %s%s\n" % (
            verdict["result"], "" if verdict["result"] == "succeeded" else " (%s): %s" % (verdict["blame"], verdict["reason"])))
        self.attempt.write_verdict(verdict)
        files.remove_tree(self.attempt.scratch, os.path.join(self.attempt.directory, "mock"))
        processes.cgroup_leave(self.group)


def driver_process(supervisor, writer, own_pids):
    """The child: own mounts, then the build; never returns."""
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (CANCEL, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.close(supervisor.lock)
        system.die_with_parent()
        system.unshare(system.CLONE_NEWNS)
        system.make_private()
        if own_pids:
            system.mount("proc", "/proc", "proc", system.MS_NOSUID | system.MS_NODEV | system.MS_NOEXEC)
        report = json.dumps(drive(supervisor)).encode()
        os.write(writer, report)
    except BaseException as error:
        traceback.print_exc()
        try:
            os.write(writer, json.dumps(stop_verdict(error, supervisor.attempt.results, supervisor.attempt.read_phase())).encode())
        except BaseException:
            traceback.print_exc()
    finally:
        os._exit(0)


def drive(supervisor):
    """Run the driver; a verdict for every end that is not a crash of this very function."""
    attempt = supervisor.attempt
    os.makedirs(attempt.scratch, mode=0o711, exist_ok=True)
    build = Build(attempt, supervisor.job, supervisor.chroot)
    kinds = {"chroot": chroot_driver.ChrootDriver, "mock": mock_driver.MockDriver}
    driver = kinds[supervisor.driver](build)
    try:
        try:
            driver.run()
        finally:
            build.close()
        return verdicts.make("succeeded", None, "ok", "the package was built", phase="done", exit=driver.status)
    except (BuildStop, OSError, MemoryError) as error:
        if not isinstance(error, BuildStop):
            traceback.print_exc()
        return stop_verdict(error, attempt.results, build.phase)


def stop_verdict(error, results, phase):
    """The verdict of an exception."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = disk_full("in the phase %s" % phase)
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EIO):
        error = infrastructure_fault("disk", "the builder's disk fails: %s" % wording.of(error))
    if isinstance(error, BuildStop):
        return verdicts.from_stop(error, results, phase)
    return verdicts.make("failed", "service", "crash", "the builder's scripts failed: %s" % wording.of(error), phase=phase)


def cancelled(phase):
    """The verdict of a cancelled build."""
    return verdicts.make("cancelled", "cancelled", "cancelled", "the build was cancelled", phase=phase)


def append_quietly(path, text):
    """A last line for the live log; not worth failing for."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("utf-8", "replace"))
        finally:
            os.close(descriptor)
    except OSError:
        return


def cancel(name, epoch=None, polite=0.5):
    """Kill the whole build; the status afterwards."""
    attempt = attempts.Attempt(name)
    if epoch is not None:
        attempt.check_epoch(epoch)
    state = files.read_json(attempt.state)
    if state is None:
        raise CommandError("unknown", "attempt %s was never started here" % name)
    if attempt.running():
        processes.send(state["pid"], state["start_time"], CANCEL)
        wait(lambda: not attempt.running(), polite)
    if attempt.running():
        kill_hard(attempt, state)
        attempt.write_verdict(cancelled(attempt.read_phase()))
    return attempt.status()


def kill_hard(attempt, state):
    """Kill the supervisor (the driver and its namespaces die with it) and whatever its control group still holds."""
    processes.send(state["pid"], state["start_time"], signal.SIGKILL)
    processes.cgroup_kill(state.get("cgroup"))
    wait(lambda: not files.locked(attempt.lock), 2.0)


def wait(condition, seconds):
    """Poll until the condition holds or the time is over."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


def clean(name=None):
    """Remove one or every attempt with all that is left of it; the answer of `clean`."""
    wanted = attempts.every() if name is None else [attempts.Attempt(name)]
    removed, kept = [], []
    for attempt in wanted:
        if not os.path.isdir(attempt.directory):
            continue
        state = files.read_json(attempt.state)
        if attempt.running():
            cancel(attempt.name)
        # The supervisor may still be clearing up; it is given time, then ended.
        if not wait(lambda held=attempt.lock: not files.locked(held), 5.0) and state:
            kill_hard(attempt, state)
        processes.cgroup_kill(attempt.cgroup())
        processes.cgroup_remove(attempt.cgroup())
        mounting.unmount_below(attempt.directory)
        files.remove_tree(attempt.directory)
        (kept if os.path.lexists(attempt.directory) else removed).append(attempt.name)
    if name is None:
        forget_old()
    return {"removed": removed, "kept": kept}


def forget_old():
    """Epochs of attempts long gone, package names of repositories long changed, and a package cache grown too large."""
    old = [entry.path for entry in every_file(paths.FENCES) if entry.stat(follow_symlinks=False).st_mtime < time.time() - 30 * 86400]
    cached = [entry.path for entry in every_file(paths.CACHE) if entry.stat(follow_symlinks=False).st_mtime < time.time() - 7 * 86400]
    cache = os.path.join(paths.CACHE, "dnf")
    size = sum(os.lstat(os.path.join(where, file)).st_size for where, _, found in os.walk(cache) for file in found)
    if size > CACHE_BYTES:
        cached.append(cache)
    files.remove_tree(*old)
    if cached:
        with seals.changing_cache():
            files.remove_tree(*cached)


def every_file(directory):
    """The regular files directly in a directory."""
    if not os.path.isdir(directory):
        return []
    with os.scandir(directory) as entries:
        return [entry for entry in entries if entry.is_file(follow_symlinks=False)]
