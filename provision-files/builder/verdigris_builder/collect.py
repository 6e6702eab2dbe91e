"""Results: taking regular files out of directories that hostile code has written, and the manifest.

Rule: a name is used only relative to an open directory descriptor, never followed, and must match the grammar.
"""

import errno
import hashlib
import os
import stat

from . import files, names, wording
from .errors import disk_full, package_fault

REFUSED_LISTED = 200
PIECE = 1 << 20
RPM_MAGIC = b"\xed\xab\xee\xdb"
LONGEST_NAME = 243  # of names.FILE_NAME


def bad_name(name):
    """Why a result may not have this name, or None."""
    if names.FILE_NAME.fullmatch(name):
        return None
    length = len(os.fsencode(name))
    if length > LONGEST_NAME:
        return "its name has %d bytes, and at most %d are allowed" % (length, LONGEST_NAME)
    return "its name is not allowed: it may have letters, digits and . _ + ~ ^ - but no .. and begins with a letter, a digit or _"


def shown(name):
    """A name for people, whatever bytes it has."""
    return ascii(name)[1:-1][:300]


class Collector:
    """Moves files into the results directory (same file system) and remembers what it left behind, and why."""

    def __init__(self, results, limits):
        self.directory = os.open(results, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.limits, self.count, self.size = limits, 0, 0
        self.refused, self.passed_over = [], []

    def take(self, directory, stray):
        """Move the results out of a directory descriptor. `stray(name)` says why an entry is no result, or None.

        What is no result is passed over: rpmbuild writes packages, each a file of its own. A result that cannot be taken is refused. The
        caller makes sure that nothing of the build runs any more.
        """
        for name in sorted(os.listdir(directory)):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                continue
            why = stray(name) or no_package(name, found, directory)
            if why:
                self.pass_over(name, why)
                continue
            why = self.objection(name, found)
            if why:
                self.refuse(name, why)
                continue
            self.count += 1
            self.size += found.st_size
            if self.count > self.limits["result_files"]:
                raise package_fault("result_limit", "the build has more than %d result files" % self.limits["result_files"])
            if self.size > self.limits["result_bytes"]:
                raise package_fault("result_limit", "the results are larger than %d bytes" % self.limits["result_bytes"])
            self.move(name, directory)

    def objection(self, name, found):
        """Why a result is not taken, or None."""
        why = bad_name(name)
        if why:
            return why
        if not stat.S_ISREG(found.st_mode):
            return "it is a %s" % files.kind(found.st_mode)
        try:
            os.stat(name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return "a result of this name is there already"

    def move(self, name, directory):
        """Rename, then make it root's and readable."""
        try:
            os.rename(name, name, src_dir_fd=directory, dst_dir_fd=self.directory)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.copy(name, directory)
        descriptor = files.open_regular(name, self.directory)
        try:
            os.fchown(descriptor, 0, 0)
            os.fchmod(descriptor, 0o644)
        finally:
            os.close(descriptor)

    def copy(self, name, directory):
        """For a file that is still in the lower layer (never in practice) or on another file system."""
        source = files.open_regular(name, directory)
        try:
            target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=self.directory)
            try:
                while piece := os.read(source, PIECE):
                    os.write(target, piece)
            except OSError as error:
                raise (disk_full("while collecting results") if error.errno == errno.ENOSPC else error) from error
            finally:
                os.close(target)
        finally:
            os.close(source)

    def refuse(self, name, why):
        """Remember a result that stays behind."""
        if len(self.refused) < REFUSED_LISTED:
            self.refused.append({"name": shown(name), "why": why})

    def pass_over(self, name, reason):
        """Remember an entry that is no result."""
        if len(self.passed_over) < REFUSED_LISTED:
            self.passed_over.append({"name": shown(name), "reason": reason})

    def drop(self, name, reason):
        """Pass over a file that was taken already."""
        os.unlink(name, dir_fd=self.directory)
        self.pass_over(name, reason)

    def close(self):
        """Let go of the results directory."""
        os.close(self.directory)


def no_package(name, found, directory):
    """Why an entry with a package's name is none, or None."""
    if not name.endswith(".rpm"):
        return None
    if not stat.S_ISREG(found.st_mode):
        return "it is a %s" % files.kind(found.st_mode)
    with os.fdopen(files.open_regular(name, directory), "rb") as file:
        return None if file.read(len(RPM_MAGIC)) == RPM_MAGIC else "it is no RPM package"


def manifest(results, limits, earlier):
    """(files, refused) of a results directory; `earlier` is what the driver refused already."""
    listed, refused = [], list(earlier)
    count = size = 0
    directory = os.open(results, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in sorted(os.listdir(directory)):
            why, entry = bad_name(name), None
            if not why:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if not stat.S_ISREG(found.st_mode):
                    why = "it is a %s" % files.kind(found.st_mode)
                elif count + 1 > limits["result_files"] + 16:  # the logs do not count
                    why = "more files than the limit"
                elif size + found.st_size > limits["result_bytes"] + 4 * limits["log_bytes"]:
                    why = "more bytes than the limit"
                else:
                    entry, why = describe(name, directory)
            if why:
                if len(refused) < 2 * REFUSED_LISTED:
                    refused.append({"name": shown(name), "why": why})
            else:
                count, size = count + 1, size + entry["size"]
                listed.append(entry)
    finally:
        os.close(directory)
    return listed, refused


def describe(name, directory):
    """({"name", "size", "sha256"}, None) of one file, or (None, why not)."""
    try:
        descriptor = files.open_regular(name, directory)
    except OSError as error:
        return None, wording.of(error)
    total, size = hashlib.sha256(), 0
    try:
        while piece := os.read(descriptor, PIECE):
            total.update(piece)
            size += len(piece)
    finally:
        os.close(descriptor)
    return {"name": name, "size": size, "sha256": total.hexdigest()}, None
