"""Whether this machine can build: tools, namespaces, overlay, disk, chroots. Used before a builder takes its first build."""

import os
import platform
import shutil

from . import SCHEMA_VERSION, chroots, command, dnf, files, mock_driver, mounting, paths, roots, system, wording
from .errors import BuildStop, CommandError

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
        problems.append("%s cannot be used: %s" % (paths.STATE, wording.of(error)))
    if os.path.lexists(paths.DIRTY):
        problems.append("this builder was found dirty after a build (%s)" % paths.DIRTY)
    if os.geteuid() != 0:
        problems.append("this is not root")
    problems += ["the program %s is missing" % tool for tool in TOOLS if tool != "rpmbuild" and not which(tool)]
    manager = dnf.manager() if which("dnf") or which("dnf5") else None
    if manager is None:
        problems.append("neither dnf nor dnf5 is installed")
    problems += try_isolation()
    names = chroots.listed()
    driver, base = "chroot", None
    if name is not None:
        driver, base = check_chroot(name, problems)
    document = {"ready": not problems, "problems": problems, "driver": driver, "free_bytes": free, "chroots": names,
                "python": platform.python_version(), "kernel": platform.release(), "package_manager": manager,
                "base_root": base, "schema_version": SCHEMA_VERSION}
    return document, 0 if not problems else 1


def which(program):
    """Where a program is, with the path the builds use."""
    return shutil.which(program, path=command.ENVIRONMENT["PATH"])


def check_chroot(name, problems):
    """(driver, base root's document or None) for one chroot; adds to the problems."""
    try:
        chroot = chroots.load(name)
        why = mock_driver.problems(chroot)
        if not why:
            return "mock", None
        if not chroot["base"]:
            problems.append(mock_driver.only_mock(chroot, why))
            return "chroot", None
        directory, want = roots.find(chroot, chroot["buildroot_packages"])
        return "chroot", {"chroot": name, "path": directory or roots.own_path(want), "fresh": directory is not None}
    except (CommandError, BuildStop) as error:
        problems.append(wording.of(error))
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
            os.write(1, wording.of(error).encode("utf-8", "replace"))
            return 1
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return 0
    try:
        status = command.run(child, said.append)
    except OSError as error:
        return ["isolation cannot be tried: %s" % wording.of(error)]
    if status == 0:
        return []
    text = b"".join(said).decode("utf-8", "replace").strip().splitlines()
    return ["namespaces or overlay are not possible here: %s" % (text[-1] if text else "status %d" % status)]
