"""Chroot definitions: what a chroot name means on this builder. Pushed by the provisioner, so trusted, but still checked."""

import os
import platform
import re

from . import names, paths, task, wording
from .errors import CommandError

MAX_BYTES = 256 << 10
# Chroots are named by the base architecture, packages by the one that the compiler aims at.
RPM_ARCH = {"i386": "i686", "armhfp": "armv7hl"}
BASE_ARCH = {"i486": "i386", "i586": "i386", "i686": "i386", "athlon": "i386", "armv7hl": "armhfp"}


def load(name):
    """The definition of a chroot, or CommandError when there is none or it is damaged."""
    if not names.CHROOT.fullmatch(name):
        raise CommandError("bad_task", "%r is not a chroot name" % name[:80])
    path = os.path.join(paths.CHROOTS, name + ".json")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise CommandError("bad_task", "this builder has no definition of the chroot %s (%s)" % (name, path)) from None
    try:
        return parse(data, name)
    except CommandError as error:
        raise CommandError("fault", "%s: %s" % (path, wording.of(error))) from error


def parse(data, name):
    """Validate the bytes of a definition; defaults are filled in."""
    raw = task.keys(task.load(data), "chroot", ("name", "os", "release", "arch", "base", "buildroot_packages"), ("macros",))
    if raw["name"] != name:
        raise task.bad("name", "is %r, not %r" % (raw["name"], name))
    word = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")  # a chroot's name has at most 100 characters, and these are its parts
    found = {key: task.text(raw[key], key, word, "a word") for key in ("os", "release", "arch")}
    if not isinstance(raw["base"], list) or len(raw["base"]) > 50:  # none: mock has to know the chroot by its name
        raise task.bad("base", "is not a list of at most 50 repositories")
    found["name"] = name
    found["base"] = [task.repository(item, "base[%d]" % i, ("http", "https", "file"))
                     for i, item in enumerate(raw["base"])]
    found["buildroot_packages"] = task.names(raw["buildroot_packages"], "buildroot_packages", names.INSTALLABLE, "a package name")
    found["macros"] = task.macros(raw.get("macros", {}), "macros")
    found["dbpath"] = dbpath(found["os"], found["release"])
    return found


def rpm_arch(chroot):
    """The architecture of a chroot's packages, as rpmbuild's --target and dnf's `$arch` have it."""
    return RPM_ARCH.get(chroot["arch"], chroot["arch"])


def base_arch(chroot):
    """dnf's `$basearch`: 32-bit x86 has one for all its architectures."""
    return BASE_ARCH.get(chroot["arch"], chroot["arch"])


def personality(chroot):
    """What setarch calls the machine that a 32-bit chroot wants to see on a 64-bit one, or None."""
    if platform.machine() not in ("x86_64", "aarch64"):
        return None
    return {"i486": "i486", "i586": "i586", "i686": "i686", "armv7hl": "linux32"}.get(rpm_arch(chroot))


def dbpath(system, release):
    """Where that release's own rpm keeps its database (Fedora moved it in 36, Enterprise Linux in 10)."""
    number = int(release) if release.isdigit() else 10 ** 6
    if system == "fedora" and number >= 36:
        return "/usr/lib/sysimage/rpm"
    if system in ("rhel", "centos", "centos-stream", "epel", "almalinux", "rocky") and number >= 10:
        return "/usr/lib/sysimage/rpm"
    return "/var/lib/rpm"


def listed():
    """Names of the chroots defined here."""
    try:
        files = sorted(os.listdir(paths.CHROOTS))
    except FileNotFoundError:
        return []
    return [file[:-5] for file in files if file.endswith(".json") and names.CHROOT.fullmatch(file[:-5])]
