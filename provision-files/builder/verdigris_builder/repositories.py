"""Repositories that cannot be read: which one it is, and whose fault that is.

The user answers for a repository that he named. What the builder sees of the farm's own repositories is the evidence: if they can be read
at the same time, its network is in order. Otherwise the failure is the infrastructure's.
"""

import re
import urllib.parse

from . import fetching, task
from .errors import BuildStop, infrastructure_fault, package_fault

NAMED = re.compile(r"\brepo(?:sitory)?:? ['\"]([^'\"]+)['\"]")
URL = re.compile(r"\b(?:https?|file)://[^\s\"'<>\])]+")
UNREADABLE = re.compile(r"^.*(?:Failed to download metadata|Cannot download|Error downloading|Curl error|Status code: \d+|"
                        r"Cannot prepare internal mirrorlist|All mirrors were tried|Could not resolve host|checksum doesn't match|"
                        r"incorrect checksum|Downloading successful, but checksum|Interrupted by header checksum|parser error).*$", re.M)
# What the server, or the way to it, did: it says more than the names of repositories around it.
TELLING = re.compile(r"Curl error|Status code: \d+|[Cc]hecksum|parser error")
# A server that answers and has no such thing. Other answers in the four hundreds, such as 429, are for one client at one moment.
ABSENT = re.compile(r"(?:Status code|HTTP error):? (?:404|410)\b")
# What this machine cannot do: write (23), read (26), get memory (27), tell the time, ask for a name at this moment.
LOCAL = re.compile(r"Curl error \((?:23|26|27)\)|certificate is not yet valid|Temporary failure in name resolution")
PORTS = {"http": 80, "https": 443}


class Repositories:
    """The repositories that a build may use: the farm's (of the chroot and of the project), and those that the user named."""

    def __init__(self, chroot, entries):
        self.chroot = chroot
        self.all = chroot["base"] + entries
        self.users = [entry for entry in entries if task.is_additional(entry["id"])]
        self.farms = [entry for entry in self.all if entry not in self.users]

    def fault(self, text):
        """(verdict, line) where dnf's output says that a repository cannot be read; None where it does not."""
        lines = [found.group(0).strip() for found in UNREADABLE.finditer(text)]
        if not lines:
            return None
        line = next((line for line in lines if TELLING.search(line)), lines[0])
        said = re.sub(r"^(?:[-*] |\[MIRROR\] )", "", line)[:500]
        entry = self.blamed(text, lines)
        if entry:
            return package_fault("repository", "the additional repository %s cannot be read: %s" % (entry["name"], said)), line
        return infrastructure_fault("repository", "a package repository cannot be read: " + said), line

    def blamed(self, text, lines):
        """The user's repository that is to blame, or None."""
        if any(LOCAL.search(line) for line in lines):
            return None
        named = self.named(text, lines)
        if not named or any(entry is None or entry not in self.users for entry in named):
            return None
        entry = named[0]
        # What the farm itself serves, such as another project of it, is the farm's to serve.
        if self.is_at_farm(entry) and not ABSENT.search("\n".join(lines)):
            return None
        return entry if self.farm_is_readable() else None

    def named(self, text, lines):
        """The repositories that the output names, by their ids or addresses; None stands for one that is not known here."""
        by_id = {entry["id"]: entry for entry in self.all}
        found = [by_id.get(name) for name in NAMED.findall(text)]
        for address in URL.findall("\n".join(lines)):
            entries = [entry for entry in self.all if address.startswith(self.base(entry))]
            if entries:
                found.append(max(entries, key=lambda entry: len(self.base(entry))))
        return found

    def base(self, entry):
        """The address below which everything of the repository lies."""
        return fetching.file_address(entry["baseurl"], self.chroot, "").partition("?")[0]

    def is_at_farm(self, entry):
        """Whether it has the same server as a repository of the farm."""
        return server(entry) in [server(other) for other in self.farms]

    def farm_is_readable(self):
        """Whether each repository of the farm can be read now."""
        try:
            for entry in self.farms:
                fetching.repomd(entry, self.chroot)
        except BuildStop:
            return False
        return True


def server(entry):
    """Host and port of a repository."""
    parts = urllib.parse.urlsplit(entry["baseurl"])
    return (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme)
