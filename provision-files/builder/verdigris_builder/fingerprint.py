"""What a machine looks like, as one digest for each part, and how two looks differ.

The digests go to the controller; what each is made of stays here, in a file that root alone reads. The controller knows that file's
digest too, so that it may be believed when a later difference is to be named.
"""

import hashlib
import json
import os
import time

from . import files, inventory, look_files, look_system, paths

FORMAT = 1
PARTS = {
    "boot": look_system.boot, "kernel": look_system.kernel, "processes": look_system.processes, "listeners": look_system.listeners,
    "mounts": look_system.mounts, "network": look_system.network, "memory": look_system.memory,
    "etc": look_files.etc, "accounts": look_files.accounts, "keys": look_files.keys, "homes": look_files.homes, "programs": look_files.programs,
    "libraries": look_files.libraries, "scripts": look_files.scripts, "timers": look_files.timers, "writable": look_files.writable,
    "devices": look_files.devices, "images": look_files.images, "own": look_files.own}
# Of these only what is new tells anything: what was there may end, or be tidied away.
MAY_GO = {"processes", "listeners", "memory", "writable", "devices"}
# The machine's own jobs begin and end at any time, so something new here is looked at again before it is believed.
PASSING = ("processes", "listeners", "writable", "memory", "timers")
PATIENCE = 2.0
MOST, MOST_OF_PART, MOST_LETTERS = 200, 40, 300
MAX_DETAILS = 256 << 20


def look(names=PARTS):
    """{part: {item: words}} of the machine as it is now."""
    return {name: PARTS[name]() for name in names}


def digests(parts):
    """{part: hex digest}."""
    return {name: inventory.digest(items) for name, items in parts.items()}


def take():
    """Look, keep the details, and answer with what the controller has to keep: the document of `baseline`."""
    parts = look()
    data = json.dumps(parts, sort_keys=True).encode()
    files.write_atomically(paths.BASELINE, data, 0o600)
    return {"format": FORMAT, "fingerprint": digests(parts), "details": hashlib.sha256(data).hexdigest(), "taken": round(time.time(), 3)}


def details(digest):
    """The details of the baseline, or None where they are not those whose digest the controller has kept."""
    try:
        descriptor = os.open(paths.BASELINE, files.NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_DETAILS)
    return json.loads(data) if hashlib.sha256(data).hexdigest() == digest else None


def compare(baseline):
    """(fingerprint now, differences) against the controller's document; what is only passing is given some time to pass."""
    before = details(baseline["details"])
    parts = look()
    until = time.monotonic() + PATIENCE
    while before is not None and time.monotonic() < until and only_passing(before, parts):
        time.sleep(0.05)
        parts.update(look(PASSING))
    return judge(baseline["fingerprint"], before, parts)


def only_passing(before, parts):
    """Whether something differs, and all that does may pass."""
    changed = {name for name, items in parts.items() if differences(name, before.get(name, {}), items)}
    return bool(changed) and changed.issubset(PASSING)


def judge(expected, before, parts):
    """(fingerprint now, differences). Pure: the expected digests, the details of the baseline or None, what was seen now.

    A part that may lose items has the digest of the baseline as long as it has nothing new.
    """
    found = []
    if before is None:
        found.append({"part": "details", "what": paths.BASELINE, "how": "is not what was kept when the baseline was taken"})
    fingerprint = {}
    for name, items in parts.items():
        known = (before or {}).get(name, {})
        fingerprint[name] = inventory.digest({**known, **items} if name in MAY_GO else items)
        named = differences(name, known, items) if before is not None else []
        if fingerprint[name] != expected.get(name) and not named:
            named = [{"part": name, "what": name, "how": "differs from the baseline" if name in expected else "is not in the baseline"}]
        found += shortened(name, named)
    found += [{"part": name, "what": name, "how": "is in the baseline only"} for name in expected if name not in parts]
    return fingerprint, found[:MOST]


def differences(part, before, now):
    """How the items of one part differ, in order."""
    found = []
    for item in sorted(before.keys() | now.keys()):
        if item not in before:
            found.append(difference(part, item, "is new: " + now[item]))
        elif item not in now:
            if part not in MAY_GO:
                found.append(difference(part, item, "is gone"))
        elif before[item] != now[item]:
            found.append(difference(part, item, "has changed: " + changes(before[item], now[item])))
    return found


def difference(part, item, how):
    """One difference; what a hostile name or value may hold is cut and made printable."""
    return {"part": part, "what": printable(item), "how": printable(how)}


def printable(text):
    """At most so many letters, none of them a control character or half of one."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:MOST_LETTERS])
    return shown if len(text) <= MOST_LETTERS else shown + "..."


def changes(before, now):
    """The words that are not the same, as `field: old -> new`."""
    old, new = (dict(word.partition("=")[::2] for word in words.split(" ")) for words in (before, now))
    return ", ".join("%s: %s -> %s" % (field, old.get(field, "nothing"), new.get(field, "nothing"))
                     for field in {**old, **new} if old.get(field) != new.get(field))


def shortened(part, found):
    """The first of them, and how many more there are."""
    if len(found) <= MOST_OF_PART:
        return found
    return [*found[:MOST_OF_PART], {"part": part, "what": "and %d more" % (len(found) - MOST_OF_PART), "how": "not listed"}]
