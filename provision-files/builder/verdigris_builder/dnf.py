"""dnf, made to install into a root that is not the host's: configuration, runs, and what its messages mean.

Pitfalls met on Debian: its "local" plugin complains (so it is disabled), rpm keeps its database in the home directory (so dnf gets a home of
our own whose .rpmmacros says otherwise), there is no release package (so --releasever), and the cache directory is always taken
inside the root (so the shared cache is mounted there).
"""

import os
import re
import shutil

from . import chroots, command, fetching, files, installer, inventory, paths, seals, task, wording
from .errors import disk_full, infrastructure_fault, package_fault
from .repositories import Repositories

CACHE_INSIDE = "/var/cache/verdigris-dnf"
MISSING = (re.compile(r"No matching package to install: '([^']+)'"), re.compile(r"No match for argument: (.+)"),
           re.compile(r"^\s*(?:- )?nothing provides (\S+(?: [<>=]+ \S+)?) needed by", re.M), re.compile(r"Unable to find a match: (.+)"))
SCRIPTLET = re.compile(r"^.*(?:%\w+\(\S+\) scriptlet failed|lua script failed: \[string \"%|Error in \S+ scriptlet in rpm package).*$", re.M)
# Why packages cannot be installed together, the most telling first.
CONFLICTS = tuple(re.compile(pattern, re.M) for pattern in (
    r"^.*\bfile \S.* conflicts (?:with file from package|between attempted installs of) .*$", r"^.*\bpackage \S+ conflicts with .*$",
    SCRIPTLET.pattern, r"^.*\b(?:package )?\S+ obsoletes .*$", r"^.*\bcannot install both .*$",
    r"^\s*Problem(?: \d+)?: (?!conflicting requests).+$", r"^\s*- .*$", r"^\s*Problem(?: \d+)?: .+$"))
ADDITIONAL = re.compile(r"repo(?:sitory)? ['\"]" + task.ADDITIONAL)
NEEDS_SPACE = re.compile(r"^.*(?:needs \d+ ?[KMG]?i?B(?: more space)? on the|more space needed on the|Disk Requirements).*$", re.I | re.M)
NOTHING = re.compile(r"^Nothing to do\.$", re.M)
NO_SPACE = re.compile(r"^.*No space left on device.*$", re.M)
LOW_BYTES = 1 << 30
MAX_KEY = 1 << 20
SIGNATURE = re.compile(r"^.*(?:is not signed|Public key .* is not installed|GPG check FAILED|GPG Keys? are configured|OpenPGP check .* failed|"
                       r"[Ss]ignature verification failed|BAD signature).*$", re.M)
PREFIX = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR) \S+\.py:\d+:\s{1,2}", re.M)


class Dnf:
    """dnf for one root. `log` is the BuildLog, or an object with `sink(name)`."""

    def __init__(self, chroot, repositories, directory, log):
        self.chroot, self.log, self.directory = chroot, log, directory
        self.repositories = Repositories(chroot, repositories)
        self.config = os.path.join(directory, "dnf.conf")
        os.makedirs(directory, exist_ok=True)
        files.write_atomically(self.config, self.configuration().encode())
        self.environment = {"HOME": rpm_home(chroot["dbpath"])}

    def configuration(self):
        """The text of dnf.conf: only our repositories, nothing of the host's."""
        lines = ["[main]", "reposdir=/dev/null", "cachedir=" + CACHE_INSIDE, "keepcache=1", "plugins=1", "assumeyes=1",
                 "install_weak_deps=0", "best=1", "obsoletes=1", "metadata_expire=0", "timeout=20", "retries=2", "debuglevel=2",
                 "history_record=0", "protected_packages=", "gpgcheck=0", "logdir=/var/log", ""]
        for index, entry in enumerate(self.repositories.all):
            lines += ["[%s]" % entry["id"], "name=" + entry["name"], "baseurl=" + fetching.expand(entry["baseurl"], self.chroot), "enabled=1",
                      "gpgcheck=%d" % entry["gpgcheck"], "skip_if_unavailable=0", "cost=%d" % (1000 if entry in self.chroot["base"] else 1)]
            if entry["gpgkey"]:
                lines.append("gpgkey=" + key_address(self.key(entry), self.directory, index))
            if entry["priority"]:
                lines.append("priority=%d" % entry["priority"])
            lines.append("")
        return "\n".join(lines)

    def key(self, entry):
        """A repository's key as dnf is given it. dnf5 asks for keys only when it installs, which it does from the cache alone: so it gets the key itself."""
        if manager() != "dnf5" or not entry["gpgkey"].startswith(("http://", "https://")):
            return entry["gpgkey"]
        try:
            found = fetching.read(fetching.expand(entry["gpgkey"], self.chroot), MAX_KEY).decode("ascii", "replace")
        except OSError as error:
            raise infrastructure_fault("repository", "the key of the repository %s cannot be read: %s: %s" % (entry["id"], entry["gpgkey"], wording.of(error))) from error
        return found if found.lstrip().startswith("-----BEGIN") else entry["gpgkey"]

    def run(self, root, arguments, source=None, log="root.log"):
        """One dnf transaction in the root; (exit status, tail of its output). First all is downloaded, then installed (see installer.py).

        `source` is a source package among the arguments; a package may also be asked for by a path, which is one inside the root.
        """
        cache = os.path.join(paths.CACHE, "dnf", self.chroot["name"])
        inside = root + CACHE_INSIDE
        os.makedirs(inside, exist_ok=True)
        view = installer.View(root, cache, inside, self.directory, [*self.local(), *filter(None, [source])])
        status, said = self.steps(view, root, arguments, log)
        files.remove_tree(inside, *(os.path.join(self.directory, name) for name in ("upper", "work", installer.LISTING)))
        if status == command.NOT_STARTED:
            raise infrastructure_fault("mount", "the view of the machine in which packages are installed cannot be made", find=("root.log", "Error"))
        return status, said

    def steps(self, view, root, arguments, log):
        """Download and install: in one process if that is possible, else in two."""
        one_process = installer.sealed_program()
        with seals.changing_cache() as change:
            os.makedirs(view.cache, exist_ok=True)
            if one_process:
                program, before = [*one_process, view.inside, self.directory, "--disableplugin=local"], seals.cache_items()
                status, said = self.step(program, [], view, root, arguments, log, "both")
                change.items = self.as_left(view.cache, before)
                if status != installer.NOT_SEALED:
                    return status, said
                change.items = None
            program = ["dnf5"] if manager() == "dnf5" else ["dnf", "--disableplugin=local"]
            status, said = self.step(program, step_options(program[0], True), view, root, arguments, log, "download")
        if status == 0 and not NOTHING.search(said):
            status, text = self.step(program, step_options(program[0], False), view, root, arguments, log, "install")
            said += text
        return status, said

    def as_left(self, cache, before):
        """What the cache was like when code of packages began to run; None where none did."""
        listed = files.read_json(os.path.join(self.directory, installer.LISTING), 64 << 20)
        if listed is None:
            return None
        top = inventory.shown(cache)
        others = {item: words for item, words in before.items() if item != top and not item.startswith(top + "/")}
        return {**others, **{top + item: words for item, words in listed.items()}}

    def step(self, program, options, view, root, arguments, log, step):
        """One run of dnf in the view; (exit status, tail of its output)."""
        tail = Tail(256 << 10)
        sink = self.log.sink(log)

        def both(data):
            tail.add(data)
            sink(data)
        argv = program + ["-y", "-c", self.config, "--releasever=" + self.chroot["release"], "--forcearch=" + chroots.rpm_arch(self.chroot),
                          "--installroot=" + root, *options, *arguments]
        status = command.program(argv, both, self.environment, lambda: view.enter(step))
        return status, tail.text()

    def local(self):
        """Directories and keys of repositories that are on this machine: dnf reads packages there, and copies none."""
        addresses = [address for entry in self.repositories.all for address in (fetching.expand(entry["baseurl"], self.chroot), entry["gpgkey"] or "")]
        return [address[len("file://"):] for address in addresses if address.startswith("file:///")]

    def install(self, root, packages):
        """Install packages, or stop the build with what dnf said."""
        self.checked(self.run(root, ["install", "--", *packages]), "the packages of the build root cannot be installed", base=True)

    def build_requirements(self, root, source, missing):
        """Install what a source package (path on the host) needs, of which that much is missing; the end of what dnf said."""
        rich = [name for name in missing if name.startswith("(")]
        # Of a condition that cannot be met dnf names only packages that are in the way, never the condition.
        which = " (%s)" % ", ".join(rich[:5]) if rich else ""
        return self.checked(self.run(root, ["builddep", "--", source], source), "the build requirements%s cannot be installed" % which)

    def additional(self, root, packages):
        """Install what the task asks for besides."""
        self.checked(self.run(root, ["install", "--", *packages]), "the additional packages cannot be installed")

    def upgrade(self, root):
        """Take newer packages that the additional repositories offer, as mock does for a cached root."""
        self.checked(self.run(root, ["upgrade"]), "the build root cannot be brought up to date")

    def checked(self, outcome, what, base=False):
        """Turn a failed run into a verdict; what a good one said."""
        status, text = outcome
        if status != 0:
            raise classify(text, what, self.repositories, base, files.free_bytes(self.directory))
        return text


def step_options(program, download):
    """Each program's way to say: only download; and: only from the cache. dnf5 has the first as an option of some commands, but as a setting of all."""
    if not download:
        return ["--cacheonly"]
    return ["--setopt=downloadonly=1"] if program == "dnf5" else ["--downloadonly"]


def manager():
    """dnf5 where this machine has it, else dnf4, whose program is `dnf`; either can install any root."""
    return "dnf5" if shutil.which("dnf5", path=command.ENVIRONMENT["PATH"]) else "dnf4"


def key_address(key, directory, index):
    """The address of a repository's key; an armored key becomes a file in that directory."""
    if not key.lstrip().startswith("-----BEGIN"):
        return key
    path = os.path.join(directory, "key-%d.asc" % index)
    files.write_atomically(path, key.lstrip().encode())
    return "file://" + path


class Tail:
    """The last bytes of an output."""

    def __init__(self, size):
        self.size, self.data = size, b""

    def add(self, data):
        """Append and forget what is too old."""
        self.data = (self.data + data)[-self.size:]

    def text(self):
        """What is kept, as text."""
        return self.data.decode("utf-8", "replace")


def classify(text, what, repositories, base=False, free=None):
    """The verdict that dnf's output stands for. Downloads before names: a missing mirror also makes packages missing.

    `repositories` are those that dnf was given. `base` says that the distribution's own packages were to be installed, `free` how many bytes the disk has left.
    """
    text = PREFIX.sub("", text)
    full = NEEDS_SPACE.search(text) or (NO_SPACE.search(text) if free is None or free < LOW_BYTES else None)
    if full:
        return verdict_of(disk_full("while installing packages"), full)
    unreadable = repositories.fault(text)
    if unreadable:
        stop, line = unreadable
        stop.more["find"] = ("root.log", line)
        return stop
    hits = [hit for pattern in MISSING for hit in pattern.finditer(text)]
    missing = list(dict.fromkeys(hit.group(1).strip() for hit in hits))
    fault = infrastructure_fault if base else package_fault
    kind = "root" if base else "dependencies"
    if missing:
        return verdict_of(fault(kind, "%s: nothing provides %s" % (what, ", ".join(missing[:20])), missing=missing[:50]), hits[0])
    found = SIGNATURE.search(text)
    if found:
        # Only repositories of the distribution and of the farm are asked for signatures.
        named = ADDITIONAL.search(text) and not base
        line = "%s: the signature is not accepted: %s" % (what, found.group(0).strip()[:500])
        return verdict_of(package_fault("dependencies", line) if named else infrastructure_fault("signature", line), found)
    for pattern in CONFLICTS:
        found = pattern.search(text) if "Problem" in text or "Error" in text or SCRIPTLET.search(text) else None
        if found:
            return verdict_of(fault(kind, "%s: %s" % (what, found.group(0).strip()[:500])), found)
    lines = [entry.strip() for entry in text.splitlines() if entry.strip()]
    errors = [entry for entry in lines if entry.lower().startswith(("error", "failed"))] or lines[-1:] or ["no message"]
    telling = next((entry for entry in errors if not entry.endswith(":")), errors[0])
    return infrastructure_fault("root", "%s: %s" % (what, telling[:500]), find=("root.log", telling))


def verdict_of(stop, found):
    """The verdict, with the line that a pattern has found as its evidence."""
    stop.more["find"] = ("root.log", found.group(0).strip().splitlines()[0])
    return stop


def rpm_home(dbpath):
    """A home directory whose .rpmmacros tells the host's rpm where that root keeps its database."""
    home = os.path.join(paths.HOMES, dbpath.strip("/").replace("/", "-"))
    macros = os.path.join(home, ".rpmmacros")
    if not os.path.exists(macros):
        os.makedirs(home, exist_ok=True)
        files.write_atomically(macros, ("%%_dbpath %s\n" % dbpath).encode())
    return home


def rpm_query(root, dbpath, *arguments):
    """rpm on the host, asking the database of a root; (exit status, output)."""
    return command.output(["rpm", "--root", root, *arguments], {"HOME": rpm_home(dbpath)})
