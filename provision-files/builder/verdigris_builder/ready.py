"""Whether this machine can build: tools, namespaces, overlay, disk, chroots. Used before a builder takes its first build."""

import os
import platform
import shutil

from . import SCHEMA_VERSION, chroots, command, files, mock_driver, mounting, paths, roots, system
from .errors import BuildStop, CommandError
from .livelog import BuildLog

MINIMUM_FREE = 1 << 30
TOOLS = ("rpm", "rpmbuild", "unshare", "mount", "rm", "sh")


def ready(name):
    """(document of `ready`, exit status)."""
    problems = []
    try:
        paths.make_state_directories()
        free = files.free_bytes(paths.STATE)
        if free < MINIMUM_FREE:
            problems.append("only %d MiB are free in %s" % (free >> 20, paths.STATE))
    except OSError as error:
        free = 0
        problems.append("%s cannot be used: %s" % (paths.STATE, error))
    if os.geteuid() != 0:
        problems.append("this is not root")
    problems += ["the program %s is missing" % tool for tool in TOOLS if tool != "rpmbuild" and not which(tool)]
    managers = [kind for kind, program in (("dnf4", "dnf"), ("dnf5", "dnf5")) if which(program)]
    if not managers:
        problems.append("neither dnf nor dnf5 is installed")
    problems += try_isolation()
    names = chroots.listed()
    driver, base = "chroot", None
    if name is not None:
        driver, base = check_chroot(name, managers, problems)
    document = {"ready": not problems, "problems": problems, "driver": driver, "free_bytes": free, "chroots": names,
                "python": platform.python_version(), "kernel": platform.release(), "package_manager": managers[0] if managers else None,
                "base_root": base, "schema_version": SCHEMA_VERSION}
    return document, 0 if not problems else 1


def which(program):
    """Where a program is, with the path the builds use."""
    return shutil.which(program, path=command.ENVIRONMENT["PATH"])


def check_chroot(name, managers, problems):
    """(driver, base root's document or None) for one chroot; adds to the problems."""
    try:
        chroot = chroots.load(name)
        if not mock_driver.problems(name):
            return "mock", None
        if chroot["package_manager"] not in managers:
            problems.append("the chroot %s wants %s, which is not installed" % (name, chroot["package_manager"]))
        directory, want = roots.find(chroot, chroot["buildroot_packages"])
        return "chroot", {"chroot": name, "path": directory or roots.own_path(want), "fresh": directory is not None}
    except (CommandError, BuildStop) as error:
        problems.append(str(error))
    return "chroot", None


def try_isolation():
    """Make, in a child, every namespace and an overlay once; a list with what failed."""
    said = []

    def child():
        system.unshare(system.CLONE_NEWNS | system.CLONE_NEWPID | system.CLONE_NEWIPC | system.CLONE_NEWUTS | system.CLONE_NEWNET)
        system.make_private()
        place = os.path.join(paths.STATE, "probe.%d" % os.getpid())
        try:
            for part in ("lower", "upper", "work", "root"):
                os.makedirs(os.path.join(place, part))
            mounting.overlay(*[os.path.join(place, part) for part in ("lower", "upper", "work", "root")])
            mounting.unmount(os.path.join(place, "root"))
        except BuildStop as error:
            os.write(1, str(error).encode())
            return 1
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return 0
    try:
        status = command.run(child, said.append)
    except OSError as error:
        return ["isolation cannot be tried: %s" % error]
    if status == 0:
        return []
    text = b"".join(said).decode("utf-8", "replace").strip().splitlines()
    return ["namespaces or overlay are not possible here: %s" % (text[-1] if text else "status %d" % status)]


def warm(name):
    """Make the base root of a chroot if it is not there; the answer of `warm`."""
    chroot = chroots.load(name)
    paths.make_state_directories()
    directory, want = roots.find(chroot, chroot["buildroot_packages"])
    if directory:
        return {"chroot": name, "path": directory, "made": False}
    place = os.path.join(paths.STATE, "warm")
    os.makedirs(place, exist_ok=True)
    for old in os.listdir(place):
        os.unlink(os.path.join(place, old))
    said = []

    def child():
        system.die_with_parent()
        system.unshare(system.CLONE_NEWNS)
        system.make_private()
        log = BuildLog(place, 64 << 20)
        try:
            roots.obtain(chroot, chroot["buildroot_packages"], log)
        except BuildStop as error:
            os.write(1, str(error).encode())
            return 1
        return 0
    if command.run(child, said.append) != 0:
        raise CommandError("fault", b"".join(said).decode("utf-8", "replace")[-2000:] or "the base root cannot be made")
    return {"chroot": name, "path": roots.own_path(want), "made": True}
