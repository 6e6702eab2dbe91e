"""What a tree of files looks like, without reading more of it than is asked for: path to a line of `field=value` words.

A file's change time is set by the kernel at every change of its contents, mode, owner, links or attributes. A process can set the other times
back, never this one (short of changing the machine's clock or writing to the raw disk), so most trees are looked at without being read.
"""

import hashlib
import os
import stat

from . import files, paths

MAX_ENTRIES = 400_000  # of one tree: who leaves more has left something
MAX_CONTENTS = 256 << 10  # of one file: a larger one is judged by its times


def kind_and_mode(found):
    """The words that every entry has, from an os.stat_result."""
    return "kind=%s mode=%04o owner=%d:%d" % (files.kind(found.st_mode).replace(" ", "-"), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def by_times(path, found):
    """An entry by its size, times and inode; of a directory only what it is, because files in it may come and go."""
    words = kind_and_mode(found)
    if stat.S_ISLNK(found.st_mode):
        return "%s target=%s" % (words, target(path))
    if stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
        return "%s device=%d:%d" % (words, os.major(found.st_rdev), os.minor(found.st_rdev))
    if not stat.S_ISREG(found.st_mode):
        return words
    return "%s size=%d modified=%d changed=%d inode=%d" % (words, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def by_contents(path, found):
    """An entry by the digest of its contents, so that writing the same again is no difference; a large file by its times."""
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_CONTENTS:
        return by_times(path, found)
    return "%s contents=%s" % (kind_and_mode(found), digest_of(path))


def by_kind(path, found):
    """An entry by what it is and to whom it belongs only."""
    return kind_and_mode(found)


def digest_of(path):
    """SHA-256 of a regular file, opened so that no link or pipe is followed; a word instead where it cannot be read."""
    try:
        descriptor = os.open(path, files.NOFOLLOW)
    except OSError as error:
        return "unreadable:%d" % error.errno
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return hashlib.sha256(file.read(MAX_CONTENTS + 1)).hexdigest()


def target(path):
    """Where a link leads, without blanks."""
    try:
        return os.readlink(path).replace(" ", "%20")
    except OSError as error:
        return "unreadable:%d" % error.errno


def shown(path):
    """A path as the machine calls it, without the prefix of the tests."""
    return path[len(paths.PREFIX):] if paths.PREFIX and path.startswith(paths.PREFIX + "/") else path


def one(path, describe, found):
    """Add one entry to the dictionary, if it is there."""
    try:
        found[shown(path)] = describe(path, os.lstat(path))
    except OSError:
        return


def tree(top, describe, found, skip=None, deep=True):
    """Add a directory and what is below it on the same file system; links are noted, never followed.

    `skip(path, entry)` says what is left out, with all below it. A directory that cannot be read is noted as such.
    """
    try:
        first = os.lstat(top)
    except OSError:
        return
    found[shown(top)] = describe(top, first)
    if not stat.S_ISDIR(first.st_mode):
        return
    todo, room = [top], MAX_ENTRIES
    while todo:
        directory = todo.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if skip and skip(entry.path, entry):
                        continue
                    try:
                        now = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    found[shown(entry.path)] = describe(entry.path, now)
                    room -= 1
                    if deep and stat.S_ISDIR(now.st_mode) and now.st_dev == first.st_dev:
                        todo.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError as error:  # also a path longer than the kernel takes
            found[shown(directory)[:500]] = "unreadable=%d" % error.errno
        if room < 0:
            found[shown(top) + "/..."] = "entries=more-than-%d" % MAX_ENTRIES
            return


def digest(found):
    """SHA-256 over all items in order, each with its length before it, so that no name can pass for two."""
    total = hashlib.sha256()
    for item in sorted(found):
        total.update(("%d:%s%d:%s" % (len(item), item, len(found[item]), found[item])).encode("utf-8", "surrogateescape"))
    return total.hexdigest()
