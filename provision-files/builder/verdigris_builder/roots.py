"""Base roots: the lower layer of every build's overlay. From the image when it fits the repositories as they are now, else made here."""

import hashlib
import json
import os
import shutil

from . import dnf, fetching, files, mounting, paths, seals, wording
from .errors import infrastructure_fault

MARK = ".verdigris-root.json"


def wanted(chroot, packages):
    """What a root must have been made of to be used now: {"chroot", "repomd_sha256", "packages"}."""
    digests = {entry["id"]: fetching.digest(fetching.repomd(entry, chroot)) for entry in chroot["base"]}
    return {"chroot": chroot["name"], "repomd_sha256": digests, "packages": sorted(set(packages))}


def matches(directory, want):
    """Whether the root in that directory is what is wanted."""
    mark = files.read_json(os.path.join(directory, MARK))
    if not isinstance(mark, dict) or mark.get("chroot") != want["chroot"]:
        return False
    packages = mark.get("packages")
    if not isinstance(packages, list) or sorted(set(map(str, packages))) != want["packages"]:
        return False
    digests = mark.get("repomd_sha256")
    if isinstance(digests, str):
        return [digests] == list(want["repomd_sha256"].values())
    return digests == want["repomd_sha256"]


def own_path(want):
    """Where the root made here for this state of things is."""
    text = json.dumps(want, sort_keys=True).encode()
    return os.path.join(paths.ROOTS, "%s-%s" % (want["chroot"], hashlib.sha256(text).hexdigest()[:12]))


def find(chroot, packages):
    """(path or None, wanted): a fitting root that is there already."""
    want = wanted(chroot, packages)
    for directory in (os.path.join(paths.IMAGE_ROOTS, chroot["name"]), own_path(want)):
        if matches(directory, want):
            return directory, want
    return None, want


def obtain(chroot, packages, log):
    """(path of a fitting base root, whether it was made now). Call in a private mount namespace."""
    directory, want = find(chroot, packages)
    if directory:
        return directory, False
    holder = files.lock(os.path.join(paths.ROOTS, chroot["name"] + ".lock"))
    try:
        final = own_path(want)
        if not matches(final, want):
            remove_stale(chroot["name"], final)
            make(chroot, want, final, log)
        return final, True
    finally:
        os.close(holder)


def make(chroot, want, final, log):
    """Install a root beside its final place and rename it when it is whole."""
    temporary = final + ".new"
    clear(temporary)
    os.makedirs(temporary)
    manager = dnf.Dnf(chroot, [], final + ".conf", log)
    try:
        mounting.api_filesystems(temporary)
        manager.install(temporary, want["packages"])
        mounting.unmount_below(temporary)
        prepare(temporary, chroot)
        files.write_json(os.path.join(temporary, MARK), want)
        clear(final)
        os.rename(temporary, final)
        seals.seal_root(final)
    except OSError as error:
        raise infrastructure_fault("root", "the base root cannot be made: %s" % wording.of(error)) from error
    finally:
        clear(temporary)
        shutil.rmtree(manager.directory, ignore_errors=True)


def prepare(root, chroot):
    """Check that what was installed can build at all, so that a wrong chroot definition is not blamed on a package."""
    for program in ("usr/bin/rpmbuild", "usr/bin/rpm"):
        if not os.path.lexists(os.path.join(root, program)):
            raise infrastructure_fault("root", "the buildroot packages of %s give no /%s" % (chroot["name"], program))


def remove_stale(name, keep):
    """Remove roots of this chroot for other states of its repositories. Only one build runs here at a time, and it holds the lock."""
    for entry in os.listdir(paths.ROOTS):
        path = os.path.join(paths.ROOTS, entry)
        base = entry.partition(".new")[0].partition(".conf")[0]
        if path != keep and base[:-12] == name + "-" and os.path.isdir(path):
            clear(path)


def clear(path):
    """Remove a root with what is mounted in it (in this namespace)."""
    if os.path.lexists(path):
        mounting.unmount_below(path)
        files.remove_tree(path)
