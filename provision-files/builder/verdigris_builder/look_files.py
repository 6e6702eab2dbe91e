"""What is looked at in files: settings, accounts, keys, homes, programs, timers, world-writable places, devices, our own.

Each function gives a dictionary of item to words (see inventory.py). README.md has the table of what is read and what is left out.
"""

import glob
import hashlib
import os
import re
import stat

from . import paths
from .inventory import by_contents, by_kind, by_times, kind_and_mode, one, shown, tree

ACCOUNTS = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
# The network's and the package manager's own notes, and the backups that tools for accounts leave; nothing runs by these.
ETC_SKIPPED = {"mtab", "resolv.conf", "adjtime", ".pwd.lock", ".updated", "ld.so.cache~", *(name + "-" for name in ACCOUNTS), *ACCOUNTS}
# What a person who logs in to look leaves behind.
HOME_SKIPPED = {".bash_history", ".lesshst", ".viminfo", ".python_history", ".Xauthority", ".wget-hsts", "motd.legal-displayed"}
PROGRAMS = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local", "usr/libexec", "usr/games", "opt", "boot", "usr/lib/systemd", "lib/systemd",
            "usr/lib/udev", "lib/udev", "usr/lib/rpm", "usr/lib/openssh", "usr/lib/sudo", "usr/lib/polkit-1", "usr/lib/tmpfiles.d", "usr/lib/sysctl.d",
            "usr/lib/modules-load.d", "usr/lib/modprobe.d", "usr/lib/environment.d", "usr/lib/binfmt.d", "usr/lib/sysusers.d", "usr/share/dbus-1",
            "usr/share/polkit-1", "usr/share/mock")
LIBRARIES = ("usr/lib64", "lib64", "usr/lib32", "lib32", "usr/lib/python3*", "usr/lib/*-linux-gnu*", "lib/*-linux-gnu*")
SPOOLS = ("var/spool/cron", "var/spool/at", "var/spool/atjobs", "var/spool/anacron", "var/spool/incron", "var/lib/systemd/linger",
          "run/systemd/system", "run/systemd/user", "run/systemd/transient", "run/systemd/generator", "run/systemd/generator.early",
          "run/systemd/generator.late", "run/udev/rules.d", "run/tmpfiles.d", "run/modules-load.d", "run/sysctl.d", "run/binfmt.d")
WRITABLE = ("tmp", "var/tmp", "dev/shm", "dev/mqueue", "run/lock", "run/shm", "run/screen", "var/crash")
PRIVATE_TMP = re.compile(r"systemd-private-[0-9a-f]{32}-[^/]+\.service-[A-Za-z0-9]{6}")
AGENT = re.compile(r"ssh-[A-Za-z0-9]{10,12}")
NO_DEVICES = re.compile(r"(?:pts|shm|mqueue|hugepages)$")
COMING_AND_GOING = re.compile(r"/(?:loop|dm-|zram|ram|nbd|sr)[0-9]+$")
MEMORY = re.compile(r"kind=character-device .* device=1:")
OWN_FILES = {"start.lock", "baseline.json", "dirty.json", "proven.json"}


def at(*parts):
    """A path of the machine that is looked at."""
    return os.path.join(paths.PREFIX or "/", *parts)


def etc():
    """All of /etc by contents, but for the accounts and what changes by itself; and what is directly below the root directory."""
    found = {}
    top = at("etc")
    tree(top, by_contents, found, lambda path, entry: entry.name in ETC_SKIPPED and os.path.dirname(path) == top)
    tree(at(), by_kind_or_target, found, deep=False)
    return found


def by_kind_or_target(path, state):
    """A link by its target, all else by what it is."""
    return by_times(path, state) if stat.S_ISLNK(state.st_mode) else kind_and_mode(state)


def accounts():
    """Every line of passwd, group, shadow and the like, as digests: users, groups, passwords, sub-ids."""
    found = {}
    for name in ACCOUNTS:
        path = at("etc", name)
        one(path, by_kind, found)
        for number, line in enumerate(lines(path)):
            key = line.partition(":")[0]
            item = "%s:%s" % (shown(path), key)
            item = item if item not in found else "%s#%d" % (item, number)
            found[item] = "line=" + hashlib.sha256(line.encode("utf-8", "surrogateescape")).hexdigest()
    return found


def lines(path):
    """The lines of a small file, or none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(4 << 20).splitlines()
    except OSError:
        return []


def home_directories():
    """The homes of all accounts, and whatever lies below /home; not those that are the system's own directories."""
    found = {at("root")}
    for line in lines(at("etc/passwd")):
        fields = line.split(":")
        if len(fields) >= 6 and fields[5].startswith("/") and fields[5].rstrip("/"):
            found.add(at(os.path.normpath(fields[5]).lstrip("/")))
    found.update(glob.glob(at("home", "*")))
    return found


def keys():
    """Everything in .ssh of every home, by contents."""
    found = {}
    for home in home_directories():
        tree(os.path.join(home, ".ssh"), by_contents, found)
    return found


def homes():
    """Root's and people's homes, by times; .ssh is looked at apart, and the homes below our own directory are emptied instead."""
    found = {}
    people = [home for home in home_directories() if shown(home) == "/root" or shown(home).startswith("/home/")]
    for home in people:
        tree(home, by_times, found, lambda path, entry: entry.name in HOME_SKIPPED or entry.name == ".ssh")
    one(at("home"), by_kind, found)
    return found


def trees(patterns):
    """Trees below the root directory by times. Where /bin or /lib is a link, /usr has what it leads to. Our scripts are a part of their own."""
    found, scripts_here = {}, at("usr/libexec/verdigris")
    for pattern in patterns:
        if os.path.islink(at(pattern.partition("/")[0])):
            continue
        for top in glob.glob(at(pattern)):
            tree(top, by_times, found, lambda path, entry: path == scripts_here)
    return found


def programs():
    """Directories with programs, units and what starts them."""
    return trees(PROGRAMS)


def libraries():
    """Shared libraries and Python's modules. Files directly in /usr/lib belong to it."""
    found = trees(LIBRARIES)
    tree(at("usr/lib"), by_times, found, lambda path, entry: entry.is_dir(follow_symlinks=False), deep=False)
    return found


def scripts():
    """These scripts, by contents."""
    found = {}
    tree(at("usr/libexec/verdigris"), by_contents, found)
    return found


def timers():
    """Jobs of cron and at, and units made while the machine runs; those below /etc and /usr are among the settings and the programs."""
    found = {}
    for name in SPOOLS:
        tree(at(name), by_contents, found, of_session)
    one(at("run/nologin"), by_kind, found)
    return found


def of_session(path, entry):
    """The scopes and slices that a login makes."""
    return entry.name.endswith((".scope", ".scope.d", ".slice", ".slice.d")) or entry.name == ".SEQ"


def writable():
    """Places in which everybody may write: what is there, not what is in it, because those to whom it belongs go on writing."""
    found = {}
    for name in WRITABLE:
        tree(at(name), by_kind, found, private)
    return found


def private(path, entry):
    """Directories that systemd makes for a service, and sshd for an agent: only their owners come in, and they may be made at any time."""
    return bool(PRIVATE_TMP.fullmatch(entry.name) or AGENT.fullmatch(entry.name))


def devices():
    """Nodes of disks and of memory, by which a machine can be read and changed past its files. Other drivers make theirs as they are loaded."""
    found = {}
    tree(at("dev"), by_times, found, lambda path, entry: bool(NO_DEVICES.match(entry.name)))
    return {item: words for item, words in found.items()
            if (words.startswith("kind=block-device ") and not COMING_AND_GOING.search(item)) or MEMORY.match(words)}


def images():
    """Base roots of the image."""
    found = {}
    tree(paths.IMAGE_ROOTS, by_times, found)
    return found


def own():
    """Our own directory: what is in it by name and owner. What builds may change below is cleaned, or compared with its seal."""
    found = {}
    tree(paths.STATE, by_kind, found, lambda path, entry: entry.name in OWN_FILES, deep=False)
    return found
