"""Mounts of a build, all in the driver's own mount namespace: overlay, and the API file systems of a root."""

import errno
import os

from . import system, wording
from .errors import disk_full, infrastructure_fault

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
         "ptmx": "pts/ptmx"}


def overlay(lower, upper, work, target):
    """Mount an overlay: first without syncing (it is thrown away anyway), then plain, then as a user namespace may."""
    data = "lowerdir=%s,upperdir=%s,workdir=%s" % (lower, upper, work)
    problem = None
    for more in (",volatile", "", ",userxattr"):
        try:
            system.mount("overlay", target, "overlay", 0, data + more)
            return
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise disk_full("while mounting the overlay") from error
            problem = error
    raise infrastructure_fault("mount", "the overlay of the build cannot be mounted: %s" % wording.of(problem))


def api_filesystems(root):
    """/proc and a private /dev in the root. mknod is not allowed everywhere, so the devices are bound."""
    try:
        for name in ("proc", "sys", "dev"):
            os.makedirs(os.path.join(root, name), exist_ok=True)
        system.mount("proc", root + "/proc", "proc", system.MS_NOSUID | system.MS_NODEV | system.MS_NOEXEC)
        device = root + "/dev"
        system.mount("dev", device, "tmpfs", system.MS_NOSUID, "mode=755,size=64k")
        for name in DEVICES:
            with open(os.path.join(device, name), "wb"):
                pass
            system.bind("/dev/" + name, os.path.join(device, name))
        for name, target in LINKS.items():
            os.symlink(target, os.path.join(device, name))
        for name in ("pts", "shm"):
            os.mkdir(os.path.join(device, name))
        system.mount("devpts", device + "/pts", "devpts", system.MS_NOSUID | system.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
        system.mount("shm", device + "/shm", "tmpfs", system.MS_NOSUID | system.MS_NODEV, "mode=1777")
    except OSError as error:
        raise infrastructure_fault("mount", "the build root cannot be given /proc and /dev: %s" % wording.of(error)) from error


def unmount(target):
    """Unmount what was mounted there, at once or when its last user goes."""
    try:
        system.unmount(target)
    except OSError:
        system.unmount(target, system.MNT_DETACH)


def unmount_below(directory):
    """Unmount all at and below a directory in this namespace; how many."""
    found = system.mounts_below(directory)
    for point in found:
        try:
            system.unmount(point, system.MNT_DETACH)
        except OSError:
            continue  # an upper one took it along
    return len(found)
