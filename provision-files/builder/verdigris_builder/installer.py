"""Where dnf runs, and as root the scriptlets of packages: a view of the machine in which only the root being filled can be changed.

A scriptlet runs as root and can leave its chroot. So dnf and all below it get a mount namespace of their own with a new root: programs and
settings of the machine read-only, the root that is filled, a few files of the attempt, and nothing else of the machine: no keys of the
SSH server, no disk devices, no other attempt. Without CAP_SYS_ADMIN nobody inside changes a mount of that.

Installing takes two steps. In the first dnf chooses and downloads packages into the cache; no code of packages runs. In the second it
installs them without downloading, and the cache is below a layer that is thrown away: what is written there reaches no other build. dnf 4
does both in one process, which saves choosing twice (sealed_dnf.py); where that is not possible, and with dnf5, there are two runs.
"""

import os
import shutil

from . import command, mounting, paths, system

PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "etc")
RESOLVERS = ("run/systemd/resolve", "run/NetworkManager", "run/resolvconf", "run/nscd", "var/lib/ca-certificates")
HIDDEN = ("etc/ssh", "etc/shadow", "etc/gshadow", "etc/verdigris")
OPTIONS = {"nosuid": system.MS_NOSUID, "nodev": system.MS_NODEV, "noexec": system.MS_NOEXEC, "noatime": system.MS_NOATIME,
           "nodiratime": system.MS_NODIRATIME, "relatime": system.MS_RELATIME}
KERNEL = ("proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus")


HERE = os.path.dirname(os.path.realpath(__file__))
# As in sealed_dnf.py, which is a program of another Python and cannot be imported.
NOT_SEALED, LISTING = 120, "cache.json"


def sealed_program():
    """How sealed_dnf.py is run: by the Python that dnf 4 runs by; None with dnf5, or where that cannot be told."""
    path = command.ENVIRONMENT["PATH"]
    dnf = shutil.which("dnf", path=path)
    if shutil.which("dnf5", path=path) or dnf is None:
        return None
    with open(dnf, "rb") as file:
        first = file.readline(200)
    words = os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []
    if not words or "python" not in os.path.basename(words[0]):
        return None
    return [*words, "-B", os.path.join(HERE, "sealed_dnf.py")]


class View:
    """What one run of dnf sees. `directory` is the run's own (configuration, keys, this view's layers); `shown` are more paths that it reads."""

    def __init__(self, root, cache, inside, directory, shown):
        self.root, self.cache, self.inside, self.directory = root, cache, inside, directory
        self.shown = [path for path in (directory, paths.HOMES, os.path.dirname(HERE), *shown) if os.path.exists(path)]

    def enter(self, step):
        """Go there (in the child that becomes dnf). In the step "install" the cache has its layer; "both" keeps the right to mount one itself."""
        system.unshare(system.CLONE_NEWNS | system.CLONE_NEWIPC | system.CLONE_NEWUTS)
        system.make_private()
        top = os.path.join(self.directory, "view")
        os.makedirs(top, exist_ok=True)
        system.mount("view", top, "tmpfs", system.MS_NOSUID | system.MS_NODEV, "mode=755,size=256m")
        for name in ("proc", "dev", "sys", "run", "tmp", "var", "var/tmp"):
            os.mkdir(os.path.join(top, name))
        for name in ("tmp", "var/tmp"):
            os.chmod(os.path.join(top, name), 0o1777)
        for name in PROGRAMS:
            self.show(top, "/" + name)
        for path in (*("/" + name for name in RESOLVERS), *self.shown, self.root):
            if os.path.exists(path):
                self.show(top, path)
        system.bind(self.root + "/dev", top + "/dev", system.MS_REC)
        inside = top + self.inside
        if step != "install":
            system.bind(self.cache, inside)
        else:
            layers = [os.path.join(self.directory, name) for name in ("upper", "work")]
            for layer in layers:
                os.makedirs(layer, exist_ok=True)
            mounting.overlay(self.cache, *layers, inside)
        system.mount("proc", top + "/proc", "proc", system.MS_NOSUID | system.MS_NODEV | system.MS_NOEXEC)
        self.hide(top)
        # The root's own /proc stays as it is, because the package that owns the directory sets its mode; but nobody changes the kernel's settings.
        for name in KERNEL:
            place = top + os.path.join(self.root, name)
            if os.path.exists(place):
                system.bind(place, place)
        system.pivot_root(top)
        self.close(step)
        system.limit_bounding_set(system.INSTALLER_CAPABILITIES | ({system.SYS_ADMIN} if step == "both" else set()))

    def show(self, top, path):
        """The same path in the view: a link again, else what is there, with all that is mounted in it."""
        place = top + path
        if os.path.islink(path) and os.path.dirname(path) == "/":
            os.symlink(os.readlink(path), place)
            return
        if not os.path.exists(path):
            return
        if os.path.isdir(path):
            os.makedirs(place, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "ab"):
                pass
        system.bind(path, place, system.MS_REC)

    def hide(self, top):
        """Cover what holds secrets of the machine: no package has to do with it."""
        empty = os.path.join(top, "run", "nothing")
        with open(empty, "wb"):
            pass
        for name in HIDDEN:
            place = os.path.join(top, name)
            if os.path.isdir(place):
                system.mount("nothing", place, "tmpfs", system.MS_RDONLY, "mode=755,size=4k")
            elif os.path.exists(place):
                system.bind(empty, place)

    def close(self, step):
        """Make every mount read-only but those of the root, the cache, and the view's own; no device outside of /dev."""
        device, proc = self.root + "/dev", self.root + "/proc"
        for point, words in system.mounts_with_options():
            is_device = point.startswith(("/dev/", device + "/"))
            is_open = is_device or point in ("/", "/dev", self.root, self.inside, device, proc) or (step == "both" and point == self.directory)
            flags = system.MS_REMOUNT | system.MS_BIND
            for word in words:
                flags |= OPTIONS.get(word, 0)
            flags |= (0 if is_device else system.MS_NODEV) | (0 if is_open else system.MS_RDONLY)
            system.mount(None, point, None, flags)
