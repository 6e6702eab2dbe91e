"""The task document: strict validation of what the worker sends. README.md has the table; unknown keys are refused.

Everything here may end up in a configuration file or an argument list, so each value has a grammar without control characters,
and nothing that could be taken for an option may start with a dash.
"""

import ipaddress
import json
import re
import urllib.parse

from . import SCHEMA_VERSION, wording
from .errors import CommandError
from .names import CHROOT, DIRECTORY, FILE_NAME, INSTALLABLE, OWNER, REPOSITORY_ID

MAX_TASK_BYTES = 1 << 20
MAX_LIST = 1000
ADDITIONAL = "additional_"
BIG = 1 << 53

ATTEMPT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SHA256 = re.compile(r"[0-9a-f]{64}")
CONDITIONAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")
MACRO = re.compile(r"%?[A-Za-z_][A-Za-z0-9_]{2,99}")
# Macros that decide where rpmbuild works and who it is; changing them breaks the builder, not the package.
RESERVED_MACROS = {"_topdir", "_dbpath", "_rpmdir", "_srcrpmdir", "_rpmfilename", "_sourcedir", "_specdir"}
KEY_BLOCK = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def bad(where, what):
    """The error for a value that is not as it should be."""
    return CommandError("bad_task", "task: %s: %s" % (where, what))


def text(value, where, grammar, what):
    """A string that matches the whole grammar."""
    if not isinstance(value, str) or not grammar.fullmatch(value):
        raise bad(where, "%s is not %s" % (json.dumps(value)[:120], what))
    return value


def line(value, where, limit):
    """One line of printable text."""
    if not isinstance(value, str) or len(value) > limit or not value.isprintable():
        raise bad(where, "%s is not one printable line of at most %d characters" % (json.dumps(value)[:120], limit))
    return value


def integer(value, where, low, high):
    """An integer inside the bounds; JSON's true is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise bad(where, "%s is not an integer from %d to %d" % (json.dumps(value)[:60], low, high))
    return value


def boolean(value, where):
    """true or false."""
    if not isinstance(value, bool):
        raise bad(where, "%s is neither true nor false" % json.dumps(value)[:60])
    return value


def keys(value, where, required, optional=()):
    """An object with exactly these keys."""
    if not isinstance(value, dict):
        raise bad(where, "is not an object")
    for name in value:
        if name not in required and name not in optional:
            raise bad(where, "unknown key %s" % json.dumps(name)[:80])
    for name in required:
        if name not in value:
            raise bad(where, "the key %s is missing" % json.dumps(name))
    return value


def names(value, where, grammar, what):
    """A list of strings of one grammar."""
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise bad(where, "is not a list of at most %d entries" % MAX_LIST)
    return [text(item, "%s[%d]" % (where, i), grammar, what) for i, item in enumerate(value)]


def url(value, where, schemes=("http", "https")):
    """An absolute URL without credentials whose host is not a link-local (metadata) address."""
    if not isinstance(value, str) or len(value) > 2000 or not re.fullmatch(r"[!-~]+", value) or re.search(r"[\"'<>\\`]", value):
        raise bad(where, "%s is not a URL" % json.dumps(value)[:120])
    try:
        parts = urllib.parse.urlsplit(value)
        host = parts.hostname or ""
        parts.port  # raises for a bad port
    except ValueError as error:
        raise bad(where, "%s is not a URL: its host or its port is not one" % json.dumps(value)[:120]) from error
    if parts.scheme not in schemes:
        raise bad(where, "the scheme of %s is not one of %s" % (value[:120], ", ".join(schemes)))
    if parts.scheme != "file" and not host:
        raise bad(where, "%s names no host" % value[:120])
    if "@" in parts.netloc:
        raise bad(where, "a URL with credentials is refused")
    if link_local(host):
        raise bad(where, "link-local addresses are refused")
    return value


def link_local(host):
    """Whether the host is, in any spelling Python or inet_aton knows, a link-local or cloud metadata address."""
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        if not re.fullmatch(r"[0-9a-fx.]+", host, re.IGNORECASE):
            return False
        import socket
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_link_local or address == ipaddress.ip_address("fd00:ec2::254")


def gpgkey(value, where, schemes):
    """None, a URL, or an armored public key."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.lstrip().startswith(KEY_BLOCK):
        if len(value) > 200_000 or not value.isascii() or "\0" in value:
            raise bad(where, "the armored key is too long or not ASCII")
        return value
    return url(value, where, schemes)


def repository(value, where, schemes=("http", "https")):
    """One repository of a task or of a chroot definition."""
    keys(value, where, ("id", "name", "baseurl", "gpgcheck"), ("gpgkey", "priority"))
    priority = value.get("priority")
    found = {
        "id": text(value["id"], where + ".id", REPOSITORY_ID, "a repository id"),
        "name": line(value["name"], where + ".name", 2000),
        "baseurl": url(value["baseurl"], where + ".baseurl", schemes),
        "gpgcheck": boolean(value["gpgcheck"], where + ".gpgcheck"),
        "gpgkey": gpgkey(value.get("gpgkey"), where + ".gpgkey", schemes),
        "priority": None if priority is None else integer(priority, where + ".priority", 1, 99),
    }
    if found["id"] in ("main", "."):
        raise bad(where + ".id", "this id is reserved")
    if found["gpgcheck"] and not found["gpgkey"]:
        raise bad(where, "gpgcheck needs a gpgkey")
    return found


def is_additional(repository_id):
    """Whether a repository of a task is one that the user named; such ids are `additional_` and a number."""
    return repository_id.startswith(ADDITIONAL)


def repositories(value, where):
    """A list of repositories with different ids."""
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise bad(where, "is not a list of at most %d entries" % MAX_LIST)
    found = [repository(item, "%s[%d]" % (where, i)) for i, item in enumerate(value)]
    seen = set()
    for entry in found:
        if entry["id"].lower() in seen:
            raise bad(where, "two repositories have the id %s" % json.dumps(entry["id"]))
        seen.add(entry["id"].lower())
    return found


def macros(value, where):
    """Macro names (without %) to one-line values."""
    if not isinstance(value, dict) or len(value) > MAX_LIST:
        raise bad(where, "is not an object of at most %d entries" % MAX_LIST)
    found = {}
    for name, body in value.items():
        text(name, where, MACRO, "a macro name of at least three letters")
        line(body, "%s.%s" % (where, name), 4096)
        if body.endswith("\\"):
            raise bad("%s.%s" % (where, name), "a value must not end with a backslash")
        if name.lstrip("%") in RESERVED_MACROS:
            raise bad(where, "the macro %s is set by the builder" % json.dumps(name))
        found[name.lstrip("%")] = body
    return found


def choice(value, where, known):
    """One of the known words."""
    if value not in known:
        raise bad(where, "%s is not one of %s" % (json.dumps(value)[:60], ", ".join(known)))
    return value


REQUIRED = ("schema_version", "attempt", "epoch", "build", "project", "chroot", "source", "timeout_seconds", "limits")
OPTIONAL = ("repositories", "buildroot_packages", "additional_packages", "with", "without", "macros", "enable_net",
            "isolation", "driver")


def load(data):
    """JSON bytes to a document; duplicate keys and non-finite numbers are refused."""
    if len(data) > MAX_TASK_BYTES:
        raise bad("document", "is larger than %d bytes" % MAX_TASK_BYTES)

    def pairs(items):
        found = {}
        for name, value in items:
            if name in found:
                raise bad("document", "the key %s is there twice" % json.dumps(name)[:80])
            found[name] = value
        return found

    def constant(name):
        raise bad("document", "%s is no number" % name)

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise bad("document", "cannot be read: %s" % wording.of(error)) from error


def parse(data, attempt, epoch):
    """Validate a task's bytes; returns a dictionary with every key, defaults filled in."""
    raw = keys(load(data), "document", REQUIRED, OPTIONAL)
    if integer(raw["schema_version"], "schema_version", 0, BIG) != SCHEMA_VERSION:
        raise bad("schema_version", "%d is not supported, only %d" % (raw["schema_version"], SCHEMA_VERSION))
    if text(raw["attempt"], "attempt", ATTEMPT, "a lower-case UUID") != attempt:
        raise bad("attempt", "is not the attempt of the command line")
    if integer(raw["epoch"], "epoch", 1, BIG) != epoch:
        raise bad("epoch", "is not the epoch of the command line")
    project = keys(raw["project"], "project", ("owner", "name"))
    source = keys(raw["source"], "source", ("file", "sha256", "size"))
    limits = keys(raw["limits"], "limits", ("log_bytes", "result_bytes", "result_files"))
    file = text(source["file"], "source.file", FILE_NAME, "a file name")
    if not file.endswith(".src.rpm") and not file.endswith(".nosrc.rpm"):
        raise bad("source.file", "%s does not end with .src.rpm" % json.dumps(file))
    packages = raw.get("buildroot_packages")
    if packages is not None:
        packages = names(packages, "buildroot_packages", INSTALLABLE, "a package name")
        if not packages:
            raise bad("buildroot_packages", "is empty")
    return {
        "schema_version": SCHEMA_VERSION, "attempt": attempt, "epoch": epoch,
        "build": integer(raw["build"], "build", 1, BIG),
        "project": {"owner": text(project["owner"], "project.owner", OWNER, "an owner"),
                    "name": text(project["name"], "project.name", DIRECTORY, "a project's directory")},
        "chroot": text(raw["chroot"], "chroot", CHROOT, "a chroot name"),
        "source": {"file": file, "sha256": text(source["sha256"], "source.sha256", SHA256, "a SHA-256 in lower-case hex"),
                   "size": integer(source["size"], "source.size", 1, BIG)},
        "timeout_seconds": integer(raw["timeout_seconds"], "timeout_seconds", 1, 604800),
        "limits": {"log_bytes": integer(limits["log_bytes"], "limits.log_bytes", 4096, BIG),
                   "result_bytes": integer(limits["result_bytes"], "limits.result_bytes", 1, BIG),
                   "result_files": integer(limits["result_files"], "limits.result_files", 1, 1_000_000)},
        "repositories": repositories(raw.get("repositories", []), "repositories"),
        "buildroot_packages": packages,
        "additional_packages": names(raw.get("additional_packages", []), "additional_packages", INSTALLABLE, "a package name"),
        "with": names(raw.get("with", []), "with", CONDITIONAL, "a conditional"),
        "without": names(raw.get("without", []), "without", CONDITIONAL, "a conditional"),
        "macros": macros(raw.get("macros", {}), "macros"),
        "enable_net": boolean(raw.get("enable_net", False), "enable_net"),
        "isolation": choice(raw.get("isolation", "default"), "isolation", ("default", "simple", "nspawn")),
        "driver": choice(raw.get("driver", "auto"), "driver", ("auto", "mock", "chroot")),
    }
