"""What builds themselves add to the builder and the next may use: the package cache, and base roots made here.

The controller cannot know what they hold, so each is *sealed*: noted as it was when the trusted step that changed it had ended, before any
foreign code ran. What differs from its seal was changed by something else. A step that was killed leaves its seal open: then nobody knows,
and what it was changing is thrown away.
"""

import contextlib
import json
import os
import time

from . import files, inventory, paths

CACHE = "cache"
PYTHON = os.path.join(paths.CACHE, "python")  # these scripts' compiled modules: thrown away and made anew at every renewal


def path_of(name):
    """Where a seal is."""
    return os.path.join(paths.SEALS, name + ".json")


def write(name, document):
    """Replace a seal. Not flushed: after a power cut the machine is another one in any case."""
    temporary = path_of(name) + ".tmp"
    os.makedirs(paths.SEALS, mode=0o700, exist_ok=True)
    with open(temporary, "w", encoding="ascii") as file:
        json.dump(document, file)
    os.rename(temporary, path_of(name))


def cache_items():
    """The package cache and the lists of packages, by times."""
    found = {}
    inventory.tree(paths.CACHE, inventory.by_times, found, lambda path, entry: path == PYTHON)
    return found


class Change:
    """A change of the cache under way. `items` may be set to what the cache is to be sealed as, else it is what is there in the end."""

    items = None


@contextlib.contextmanager
def changing_cache():
    """Around every step of ours that changes the cache. Where foreign code runs before the end, the step says in `items` what there was before it."""
    state, broken = cache_state()
    if state == "open" or state == "sealed" and broken:
        files.remove_tree(os.path.join(paths.CACHE, "dnf"))
    write(CACHE, {"open": True, "broken": broken})
    change = Change()
    yield change
    accept_cache(broken, change.items)


def cache_state():
    """("sealed", "open" or "none", what is not as it was sealed): bounded, with what an earlier step found."""
    seal, now = files.read_json(path_of(CACHE), 64 << 20), cache_items()
    if not isinstance(seal, dict):
        return "none", []
    broken = list(seal.get("broken", []))
    if "items" not in seal:
        return "open", broken
    items = seal["items"]
    for item in sorted(items.keys() | now.keys()):
        if items.get(item) != now.get(item) and len(broken) < 20:
            how = "is gone" if item not in now else "is new" if item not in items else "has changed"
            broken.append("%s %s" % (item, how))
    return "sealed", broken


def accept_cache(broken, items=None):
    """Seal the cache as it is or is said to be, with what was ever found wrong with it."""
    write(CACHE, {"items": cache_items() if items is None else items, "broken": broken})


def accept():
    """Seal what is there before the first build: the image may bring it."""
    accept_cache([])
    for name in roots_here():
        seal_root(os.path.join(paths.ROOTS, name))


def roots_here():
    """Names of the base roots that were made here."""
    with os.scandir(paths.ROOTS) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def root_items(directory):
    """A base root by times."""
    found = {}
    inventory.tree(directory, inventory.by_times, found)
    return found


def seal_root(directory):
    """Note a base root that was made just now."""
    items = root_items(directory)
    write("root-" + os.path.basename(directory), {"digest": inventory.digest(items), "sealed": time.time_ns()})


def root_broken(directory):
    """What is not as it was sealed in a base root, None where it has no seal (whoever made it was killed)."""
    seal = files.read_json(path_of("root-" + os.path.basename(directory)), 1 << 20)
    if not isinstance(seal, dict):
        return None
    items = root_items(directory)
    if inventory.digest(items) == seal.get("digest"):
        return []
    late = [item for item in sorted(items) if is_later(item, seal.get("sealed", 0))]
    return (late or [inventory.shown(directory)])[:20]


def is_later(item, sealed):
    """Whether an entry has changed since; what has gone shows in its directory."""
    try:
        return os.lstat(paths.PREFIX + item).st_ctime_ns > sealed
    except OSError:
        return False


def remove(name):
    """Forget a seal whose object is gone."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(name))
