"""Recorded builds judged again from what they ended with, by the code that judges them on a builder: no recorded verdict is taken over.

`recorded.json` has for each case how it ended (`end`, and what was measured), the logs are beside it. Every `how` leads into another part of the program.
"""

import os
import tempfile
from unittest import mock

import support
from verdigris_builder import build, chroot_driver, dnf, fetching, livelog, roots, runner, verdicts
from verdigris_builder.errors import BuildStop
from verdigris_builder.repositories import Repositories

RECORDED = os.path.join(support.HERE, "failures", "recorded")
ARCH = support.CHROOT.rsplit("-", 1)[1]
BASE = {"id": "base", "name": "Microdistro", "baseurl": "http://base.test/", "gpgcheck": False, "gpgkey": None}
NOWHERE = "http://127.0.0.1:1/"  # nothing listens there


def judge(name, document):
    """The verdict on a recorded build."""
    directory = os.path.join(RECORDED, name)
    end = document["end"]
    return HOW[end["how"]](directory, end, document)


def text(directory, log):
    """A recorded log, or nothing."""
    try:
        with open(os.path.join(directory, log), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def rpmbuild(directory, end, document):
    """rpmbuild failed."""
    kind = "spec" if end["phase"] == "source" else "build"
    stop = verdicts.of_rpmbuild(directory, end["exit"], kind, ARCH, document["measured"], lambda: document["damaged"])
    return verdicts.from_stop(stop, directory, end["phase"])


def installing(directory, end, _):
    """dnf failed. That the farm's repositories can be read is a fact of the recording."""
    used = Repositories({"name": support.CHROOT, "release": "1", "arch": ARCH, "base": [BASE]}, end["repositories"])
    with mock.patch.object(fetching, "repomd", lambda *_: b""):
        stop = dnf.classify(text(directory, "root.log"), "it failed", used, end["phase"] == "root", 1 << 40)
    return verdicts.from_stop(stop, directory, end["phase"])


def unmet(directory, end, _):
    """rpmbuild still lacks requirements that dnf has seen to."""
    said = text(directory, "build.log")
    missing = chroot_driver.missing_of(said, end["exit"], any(word.decode() in said for word in chroot_driver.STARTED))
    return verdicts.from_stop(chroot_driver.unmet(missing, end["exit"], text(directory, "root.log")), directory, end["phase"])


def unpack(directory, end, _):
    """The source package cannot be unpacked."""
    return verdicts.from_stop(chroot_driver.not_unpacked(end["exit"], end["format"], directory), directory, end["phase"])


def signal(directory, end, _):
    """The supervisor ended the build: its time was over, or the machine was shut down."""
    attempt = mock.Mock(results=directory)
    attempt.read_phase.return_value = end["phase"]
    supervisor = runner.Supervisor(attempt, {"timeout_seconds": end["seconds"]}, {}, "chroot")
    supervisor.ended_by = end["by"]
    return supervisor.judge(b"", 9)


def full(directory, end, _):
    """A log could not be written: here it stands on a disk that is always full."""
    with tempfile.TemporaryDirectory() as results:
        log = livelog.BuildLog(results, 1 << 30)
        log.descriptors[end["log"]] = os.open("/dev/full", os.O_WRONLY)
        return stopped(lambda: log.put(end["log"], b"a line\n"), directory, end)


def repository(directory, end, _):
    """The builder itself cannot read a repository: nothing listens there, or the server has no such file."""
    entry = {**BASE, "id": end["repository"]}
    chroot = {"name": support.CHROOT, "release": "1", "arch": ARCH, "base": [entry]}
    look = (lambda: roots.wanted(chroot, [])) if end["phase"] == "root" else lambda: fetching.package_names(entry, chroot)
    if end["server"] == "gone":
        entry["baseurl"] = NOWHERE
        return stopped(look, directory, end)
    with tempfile.TemporaryDirectory() as empty:
        entry["baseurl"], server = support.serve(empty)
        try:
            return stopped(look, directory, end)
        finally:
            server.shutdown()


def source(directory, end, _):
    """The uploaded source package is another than the task's."""
    with tempfile.TemporaryDirectory() as place:
        with open(os.path.join(place, "x.src.rpm"), "wb") as file:
            file.write(b"other")
        return stopped(lambda: build.announced(place, {"file": "x.src.rpm", "sha256": "0" * 64}), directory, end)


def stopped(what, directory, end):
    """The verdict of what a function raises, as the driver's process gives it."""
    try:
        what()
    except (BuildStop, OSError, MemoryError) as error:
        return runner.stop_verdict(error, directory, end["phase"])
    raise AssertionError("nothing was wrong")


HOW = {"rpmbuild": rpmbuild, "dnf": installing, "unmet": unmet, "unpack": unpack, "signal": signal, "full": full, "repository": repository, "source": source}


def end_of(case, verdict, measured, repositories):
    """How a build ended, for `recorded.json`: the facts that led to its verdict, of which neither blame nor line is one."""
    end = {"phase": verdict["phase"], "exit": verdict["exit"]}
    kind = verdict["kind"]
    if measured:
        return {"how": "rpmbuild", **end}
    if kind in ("timeout", "stopped"):
        return {"how": "signal", "by": kind, "seconds": case.task.get("timeout_seconds", 100), **end}
    if verdict["exit"] in (100, 101):
        return {"how": "unpack", "format": 4, **end}
    if verdict["exit"] is not None:
        return {"how": "unmet", **end}
    if kind == "disk":
        return {"how": "full", "log": verdict["reason"].rpartition(" ")[2].rstrip(")"), **end}
    if case.trouble == "changed":
        return {"how": "source", **end}
    if kind == "repository" and not verdict["evidence"]:
        place = case.trouble.partition(":")[2]
        name = "base" if case.trouble.startswith("base:") else place.partition(":")[0]
        return {"how": "repository", "repository": name, "server": "gone" if place.endswith(NOWHERE) else "answers", **end}
    return {"how": "dnf", "repositories": repositories, **end}
