"""Whether a builder that waits for work is still what it was when it got ready. Only looks: a build may begin here meanwhile."""

import os

from . import files, inventory, look_system, metadata, paths, ready, wording


def live(builder):
    """(document of `live`, exit status) of the machine that is to be that builder, where one is named."""
    problems = []
    if os.path.lexists(paths.DIRTY):
        problems.append("this builder was found dirty after a build (%s)" % paths.DIRTY)
    problems += identity(builder) + room()
    problems += ["the program %s is missing" % tool for tool in ready.TOOLS if tool != "rpmbuild" and not ready.which(tool)]
    if not any(ready.which(name) for name in ("dnf", "dnf5")):
        problems.append("neither dnf nor dnf5 is installed")
    exposed = not metadata.hidden()
    if exposed:
        problems.append("nothing hides the metadata service any more, as %s did" % paths.METADATA_RULES)
    document = {"live": not problems, "problems": problems, "boot": inventory.digest(look_system.boot()), "exposed": exposed}
    return document, 0 if not problems else 1


def identity(builder):
    """What is wrong with who this machine says that it is. Who makes builders by other playbooks may leave no such file."""
    if builder is None or not os.path.lexists(paths.IDENTITY):
        return []
    known = files.read_json(paths.IDENTITY)
    named = known.get("builder") if isinstance(known, dict) else None
    return [] if named == builder else ["%s names another builder: %s" % (paths.IDENTITY, str(named)[:100])]


def room():
    """What is wrong with the disk that builds use."""
    try:
        free = files.free_bytes(paths.STATE)
    except OSError as error:
        return ["%s cannot be used: %s" % (paths.STATE, wording.of(error))]
    return [] if free >= ready.MINIMUM_FREE else ["only %d MiB are free in %s" % (free >> 20, paths.STATE)]
