"""Whether a builder that has built may build again: the baseline before its first build, and the proof after each.

Renewing repairs only what is ours: attempts, the build users' processes and temporary files, mounts in our directory, what killed steps left
half done. Everything else is compared and reported. A builder that was found dirty once stays dirty.
"""

import contextlib
import importlib.machinery
import json
import os
import pwd
import re
import signal
import sys
import time

from . import attempt as attempts
from . import files, fingerprint, inventory, look_files, look_system, mounting, paths, processes, runner, seals, system, wording
from .errors import CommandError

MAX_BASELINE = 1 << 20
HEX = re.compile(r"[0-9a-f]{64}")
MOST_REMOVED = 200
KILL_SECONDS = 2.0
IDLE_SECONDS = 3.0  # for what other commands have begun


def baseline():
    """The document of `baseline`: only of a machine on which nothing was ever built, or nothing since it was found clean."""
    with lock():
        if os.path.lexists(paths.DIRTY):
            raise CommandError("dirty", "this builder was found dirty (%s)" % paths.DIRTY)
        has_built = attempts.every() or os.listdir(paths.FENCES)
        if has_built and not os.path.lexists(paths.PROVEN):
            raise CommandError("fault", "this builder has built already, so it cannot be told what it was like before")
        empty_homes([])
        seals.accept()
        return fingerprint.take()


def accept():
    """Take this machine as it is, whatever was found on it before: a machine that nobody makes anew, of which its operator says that it is fit."""
    with lock():
        refuse_running()
        removed = []
        clean_up(removed)
        if os.path.lexists(paths.DIRTY):
            os.unlink(paths.DIRTY)
        prove()
    return {"accepted": True, "removed": removed[:MOST_REMOVED]}


def prove():
    """From now on this machine counts as one on which nothing was built."""
    files.write_json(paths.PROVEN, {"at": round(time.time(), 3)})


def refuse_running():
    """Raise where a build runs."""
    for attempt in attempts.every():
        if attempt.running():
            raise CommandError("busy", "attempt %s is running on this builder; a build is not disturbed by this command" % attempt.name)


def idle():
    """The document of `idle`: nothing runs here. Only looks: it changes nothing of a machine that is half made."""
    refuse_running()
    if os.path.lexists(paths.START_LOCK):  # else nothing has ever begun here
        until = time.monotonic() + IDLE_SECONDS
        while (holder := files.lock(paths.START_LOCK, wait=False)) is None:
            if time.monotonic() >= until:
                raise CommandError("busy", "a start, a renewal or a look goes on on this builder")
            time.sleep(0.05)
        os.close(holder)
        refuse_running()
    return {"idle": True}


def renew(data):
    """(document of `renew`, exit status) for the baseline that the controller has kept."""
    expected = parse(data)
    with lock():
        refuse_running()
        removed = []
        clean_up(removed)
        found = sealed_things(removed)
        now, differences = fingerprint.compare(expected)
        found += differences + earlier()
        found = found[:fingerprint.MOST]
        if found:
            files.write_json(paths.DIRTY, {"found": round(time.time(), 3), "differences": found})
        else:
            compile_scripts()
            prove()
    answer = {"clean": not found, "fingerprint": now, "differences": found, "removed": removed[:MOST_REMOVED]}
    return answer, 0 if not found else 7


@contextlib.contextmanager
def lock():
    """Nothing starts meanwhile."""
    paths.make_state_directories()
    holder = files.lock(paths.START_LOCK)
    try:
        yield
    finally:
        os.close(holder)


def parse(data):
    """The controller's document: {"format", "fingerprint": {part: digest}, "details": digest}; others of its keys are let by."""
    try:
        document = json.loads(data[:MAX_BASELINE])
    except ValueError as error:
        raise CommandError("usage", "the baseline cannot be read: %s" % wording.of(error)) from None
    if not isinstance(document, dict) or document.get("format") != fingerprint.FORMAT:
        raise CommandError("usage", "the baseline is not of format %d" % fingerprint.FORMAT)
    parts = document.get("fingerprint")
    if not isinstance(parts, dict) or not parts or not all(isinstance(value, str) and HEX.fullmatch(value) for value in parts.values()):
        raise CommandError("usage", "the baseline's fingerprint is not a list of parts with their digests")
    if not isinstance(document.get("details"), str) or not HEX.fullmatch(document["details"]):
        raise CommandError("usage", "the baseline does not say which details belong to it")
    return document


def earlier():
    """What made this builder dirty before."""
    if not os.path.lexists(paths.DIRTY):
        return []
    known = files.read_json(paths.DIRTY)
    found = known.get("differences") if isinstance(known, dict) else None
    listed = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return [{**entry, "earlier": True} for entry in listed if not entry.get("earlier")] or [
        {"part": "dirty", "what": paths.DIRTY, "how": "this builder was found dirty before"}]


def note(removed, part, what, how):
    """Remember what was cleared away."""
    removed.append({"part": part, "what": fingerprint.printable(what), "how": fingerprint.printable(how)})


def clean_up(removed):
    """Clear away all that builds leave and that is ours."""
    here = {attempt.name for attempt in attempts.every()} | set(os.listdir(paths.FENCES))
    kill_build_users(removed)
    answer = runner.clean()
    for name in answer["removed"]:
        note(removed, "attempts", name, "removed")
    for name in sorted(here):
        group = processes.cgroup_path(name)
        if group and os.path.isdir(group):
            processes.cgroup_kill(group)
            processes.cgroup_remove(group)
            note(removed, "attempts", group, "control group removed")
    for directory in (paths.ATTEMPTS, paths.FENCES, paths.ROOTS):
        for point in below(directory):
            note(removed, "mounts", inventory.shown(point), "unmounted")
    stray_attempts(removed)
    temporary_files(removed)
    empty_homes(removed)
    files.remove_tree(seals.PYTHON)
    caches_of_mock(removed)


def compile_scripts():
    """Compile these scripts, which are as they were, so that the next build need not: what was compiled before is gone."""
    here = os.path.dirname(os.path.realpath(__file__))
    before = sys.pycache_prefix, sys.dont_write_bytecode
    sys.pycache_prefix, sys.dont_write_bytecode = seals.PYTHON, False
    try:
        for name in sorted(os.listdir(here)):
            if name.endswith(".py"):
                importlib.machinery.SourceFileLoader(name[:-3], os.path.join(here, name)).get_code(name[:-3])
    finally:
        sys.pycache_prefix, sys.dont_write_bytecode = before


def below(directory):
    """Unmount what is mounted in a directory; the mount points. The directory itself may be a mount of the machine's owner."""
    found = [point for point in system.mounts_below(directory) if point != directory]
    for point in found:
        mounting.unmount(point)
    return found


def build_users():
    """The numbers of those as whom builds run."""
    found = {paths.BUILD_UID}
    try:
        found.add(pwd.getpwnam(paths.MOCK_USER).pw_uid)
    except KeyError:
        pass
    return found - {0}


def kill_build_users(removed):
    """End every process of theirs that can be seen from here."""
    users, until = build_users(), time.monotonic() + KILL_SECONDS
    told = set()
    while time.monotonic() < until:
        found = [process for process in look_system.all_processes().values() if process.users & users]
        if not found:
            return
        for process in found:
            if process.pid not in told:
                note(removed, "processes", process.item(), "killed")
                told.add(process.pid)
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.005)


def stray_attempts(removed):
    """What lies among the attempts and the fences and is none, and what killed commands left in our directory."""
    for directory, pattern in ((paths.ATTEMPTS, None), (paths.FENCES, attempts.task.ATTEMPT)):
        with os.scandir(directory) as entries:
            wrong = [entry.path for entry in entries if not (pattern and pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False))]
        for path in wrong:
            files.remove_tree(path)
            note(removed, "attempts", inventory.shown(path), "removed")
    with os.scandir(paths.STATE) as entries:
        left = [entry.path for entry in entries if re.fullmatch(r"probe\.[0-9]+|[a-z]+\.json\.[0-9]+\.tmp", entry.name)]
    for path in left:
        files.remove_tree(path)
        note(removed, "attempts", inventory.shown(path), "removed")


def temporary_files(removed):
    """What belongs to a build user in the places where everybody may write. Where one owns a directory, all in it goes."""
    users = build_users()
    for name in look_files.WRITABLE:
        todo = [look_files.at(name)]
        while todo:
            try:
                with os.scandir(todo.pop()) as entries:
                    listed = [(entry.path, entry.stat(follow_symlinks=False).st_uid, entry.is_dir(follow_symlinks=False)) for entry in entries]
            except OSError:
                continue
            for path, owner, is_directory in listed:
                if owner in users:
                    files.remove_tree(path)
                    note(removed, "writable", inventory.shown(path), "removed")
                elif is_directory:
                    todo.append(path)


def empty_homes(removed):
    """The homes in our directory: the mock user's is emptied, others hold one file that is written again when it is missing."""
    with os.scandir(paths.HOMES) as entries:
        listed = [(entry.path, entry.name == paths.MOCK_USER and entry.is_dir(follow_symlinks=False)) for entry in entries]
    for path, is_users in listed:
        for victim in [os.path.join(path, name) for name in os.listdir(path)] if is_users else [path]:
            files.remove_tree(victim)
            if is_users:
                note(removed, "homes", inventory.shown(victim), "removed")


def caches_of_mock(removed):
    """mock binds its caches into roots so that scriptlets can write them, and keeps roots: none of it is used for a second build."""
    for directory in paths.MOCK_CACHES:
        found = [os.path.join(directory, name) for name in os.listdir(directory)] if os.path.isdir(directory) else []
        files.remove_tree(*found)
        for path in found:
            note(removed, "cache", inventory.shown(path), "removed")


def sealed_things(removed):
    """Compare the package cache and the base roots with their seals; what was left half done goes. The differences."""
    found = []
    state, broken = seals.cache_state()
    if state == "none":
        broken = [*broken, "%s has lost its seal" % inventory.shown(paths.CACHE)]
    if state != "sealed" or broken:
        files.remove_tree(os.path.join(paths.CACHE, "dnf"))
        note(removed, "cache", inventory.shown(paths.CACHE), "removed: its seal is " + ("broken" if broken else state))
        seals.accept_cache(broken)
    found += [fingerprint.difference("cache", what.partition(" ")[0], "is not as the builder's own dnf left it: " + what) for what in broken]
    for name in seals.roots_here():
        directory = os.path.join(paths.ROOTS, name)
        broken = seals.root_broken(directory)
        if broken is None:
            files.remove_tree(directory)
            note(removed, "roots", inventory.shown(directory), "removed: whoever made it was interrupted")
        found += [fingerprint.difference("roots", item, "has changed since the base root was made") for item in broken or ()]
    return found
