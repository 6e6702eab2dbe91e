"""Chroot definitions: what a chroot name means on this builder. Pushed by the provisioner, so trusted, but still checked."""

import os
import re

from . import paths, task
from .errors import CommandError

MAX_BYTES = 256 << 10


def load(name):
    """The definition of a chroot, or CommandError when there is none or it is damaged."""
    if not task.CHROOT.fullmatch(name):
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
        raise CommandError("fault", "%s: %s" % (path, error)) from error


def parse(data, name):
    """Validate the bytes of a definition; defaults are filled in."""
    raw = task.keys(task.load(data), "chroot", ("name", "os", "release", "arch", "base", "buildroot_packages"), ("macros",))
    if raw["name"] != name:
        raise task.bad("name", "is %r, not %r" % (raw["name"], name))
    word = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
    found = {key: task.text(raw[key], key, word, "a word") for key in ("os", "release", "arch")}
    if not isinstance(raw["base"], list) or len(raw["base"]) > 50:  # none: mock has to know the chroot by its name
        raise task.bad("base", "is not a list of at most 50 repositories")
    found["name"] = name
    found["base"] = [task.repository(item, "base[%d]" % i, ("http", "https", "file"))
                     for i, item in enumerate(raw["base"])]
    found["buildroot_packages"] = task.names(raw["buildroot_packages"], "buildroot_packages", task.PACKAGE, "a package name")
    found["macros"] = task.macros(raw.get("macros", {}), "macros")
    found["dbpath"] = dbpath(found["os"], found["release"])
    return found


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
    return [file[:-5] for file in files if file.endswith(".json") and task.CHROOT.fullmatch(file[:-5])]
