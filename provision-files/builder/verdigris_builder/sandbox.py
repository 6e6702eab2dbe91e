"""Where hostile code runs: own pid, mount, ipc, uts and network namespaces, the overlay as root, an unprivileged user without capabilities.

Three processes: the outer one leaves the namespaces, the inner one is process 1 there (mounts, then reaps), its child becomes the user and
runs the program. When process 1 ends the kernel kills all others in the namespace, so nothing of a build outlives it.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time

from . import command, measured, paths, system, wording
from .errors import infrastructure_fault

HOST_NAME = "builder"
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/builddir", "LANG": "C.UTF-8", "SHELL": "/bin/bash", "TERM": "vt100",
               "USER": paths.BUILD_USER, "LOGNAME": paths.BUILD_USER, "HOSTNAME": HOST_NAME}
METADATA = (("-4", "169.254.0.0/16"), ("-6", "fe80::/10"), ("-6", "fd00:ec2::254/128"))
RULE_PRIORITY = "60"
MAX_PROCESSES = 16384  # of the build user: a fork bomb must leave the builder able to cancel it


def run(root, argv, sink, measure, network=False):
    """Run argv as the build user inside the root; exit status. `root` is a mount point with /dev mounted in it.

    `measure` (measured.Measured) looks at the builder meanwhile, and is left the kernel's record of the processes that ended.
    """
    if network:
        guard_metadata()
    return command.run(lambda: _outer(root, argv, network, measure.directory), sink, measure.look)


def _outer(root, argv, network, notes):
    system.die_with_parent()
    kinds = system.CLONE_NEWNS | system.CLONE_NEWPID | system.CLONE_NEWIPC | system.CLONE_NEWUTS
    system.unshare(kinds if network else kinds | system.CLONE_NEWNET)
    pid = os.fork()
    if pid == 0:
        code = 125
        try:
            code = _first(root, argv, network, notes)
        except BaseException as error:  # a forked child must not run its parent's code
            os.write(2, ("verdigris sandbox: %s\n" % wording.of(error)).encode("utf-8", "replace"))
        finally:
            os._exit(code)
    return command.exit_status(os.waitpid(pid, 0)[1])


def _first(root, argv, network, notes):
    """Process 1 of the namespace."""
    system.die_with_parent()
    system.make_private()
    witness = measured.record_processes(notes)
    os.write(witness, b"0")  # the byte is on the disk before that can be full
    flags = system.MS_NOSUID | system.MS_NODEV | system.MS_NOEXEC
    system.mount("proc", root + "/proc", "proc", flags)
    try:
        system.mount("sysfs", root + "/sys", "sysfs", flags | system.MS_RDONLY)
    except OSError:
        pass  # not everywhere allowed, and no build may count on it
    socket.sethostname(HOST_NAME)
    if not network:
        system.loopback_up()
    system.pivot_root(root)
    waiting = _fork(_wait_for_ever)
    pid = _fork(lambda: _exec(argv))
    is_hit = False
    while True:
        ended, status = os.wait()
        is_hit = is_hit or ended == waiting
        if ended == pid:
            break
    _stop_accounting()
    # Who kills all processes that a build may kill does it from inside, and kills the one that only waits as well.
    if is_hit or (os.WIFSIGNALED(status) and _ends(waiting, 0.2)):
        os.pwrite(witness, b"1", 0)
    return command.exit_status(status)


def _stop_accounting():
    """The kernel kills what is left when process 1 ends, which is no end of the build's."""
    try:
        system.account(None)
    except OSError:
        return


def _ends(pid, seconds):
    """Whether the child ends in that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        time.sleep(0.005)
    return False


def _fork(body):
    """A child of process 1 that is the build user and runs the body; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            _become_user()
            body()
        except BaseException as error:
            os.write(2, ("verdigris sandbox: %s\n" % wording.of(error)).encode("utf-8", "replace"))
        finally:
            os._exit(125)
    return pid


def _wait_for_ever():
    """Hold nothing of the build's: its output ends when its own processes have."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
    while True:
        signal.pause()


def _become_user():
    os.setsid()
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (MAX_PROCESSES, MAX_PROCESSES))
    os.closerange(3, 4096)
    system.become(paths.BUILD_UID, paths.BUILD_UID)
    os.chdir("/builddir")


def _exec(argv):
    os.execve(argv[0], argv, ENVIRONMENT)


def guard_metadata():
    """Make link-local (metadata) addresses unreachable for the build user's uid on this host; idempotent, stays.

    The uid belongs to builds only and cannot be changed inside (no_new_privs, no capabilities). Without the rule no build gets a network.
    """
    if shutil.which("ip") is None:
        raise infrastructure_fault("network", "the builder has no `ip` program, so a build with network cannot be kept from the metadata service")
    span = "%d-%d" % (paths.BUILD_UID, paths.BUILD_UID)
    for family, target in METADATA:
        if family == "-6" and not os.path.exists("/proc/net/if_inet6"):
            continue
        known = _ip(family, "rule", "show", "pref", RULE_PRIORITY)
        if any(target.split("/")[0] in entry and span in entry and "unreachable" in entry for entry in known.stdout.splitlines()):
            continue
        done = _ip(family, "rule", "add", "pref", RULE_PRIORITY, "uidrange", span, "to", target, "unreachable")
        if done.returncode != 0:
            raise infrastructure_fault("network", "the metadata address %s cannot be made unreachable for builds: %s" % (target, done.stderr.strip()[:300]))


def _ip(*arguments):
    return subprocess.run(["ip", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
