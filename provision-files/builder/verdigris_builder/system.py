"""The few system calls that Python 3.11 does not wrap: namespaces, mounts, capabilities. Thin, errors as OSError."""

import ctypes
import fcntl
import os
import re
import socket
import struct

LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_NOATIME, MS_NODIRATIME, MS_REC, MS_PRIVATE, MS_RELATIME = 1024, 2048, 16384, 1 << 18, 1 << 21
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 23, 24, 36, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522
IN_MOVED_TO = 0x80
SIGKILL = 9

# What dnf and the scriptlets of packages need as root: files, owners, chroot. Everything that reaches beyond files is taken away.
CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP = 0, 1, 2, 3, 4, 5, 6, 7, 8
SYS_CHROOT, SYS_ADMIN, MKNOD, SETFCAP = 18, 21, 27, 31
INSTALLER_CAPABILITIES = {CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
                          SYS_CHROOT, MKNOD, SETFCAP}


def _check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))


def _bytes(value):
    return None if value is None else os.fsencode(value)


def watch_renames(directory):
    """A descriptor of inotify(7) that can be read when something gets a name in the directory by a rename."""
    watch = LIBC.inotify_init1(ctypes.c_int(os.O_CLOEXEC | os.O_NONBLOCK))
    _check(min(watch, 0), "inotify_init1")
    _check(min(LIBC.inotify_add_watch(ctypes.c_int(watch), _bytes(directory), ctypes.c_uint32(IN_MOVED_TO)), 0),
           "inotify_add_watch of %s" % directory)
    return watch


def unshare(flags):
    """Leave the given namespaces (for CLONE_NEWPID: the next child does)."""
    _check(LIBC.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor, kind):
    """Enter a namespace by descriptor."""
    _check(LIBC.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source, target, kind, flags=0, data=None):
    """mount(2)."""
    _check(LIBC.mount(_bytes(source), _bytes(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(data)),
           "mount %s on %s" % (kind or source, target))


def unmount(target, flags=0):
    """umount2(2)."""
    _check(LIBC.umount2(_bytes(target), ctypes.c_int(flags)), "unmount %s" % target)


def bind(source, target, more=0):
    """Bind one file or directory; with MS_REC also what is mounted in it."""
    mount(source, target, None, MS_BIND | more)


def make_private():
    """No mount of ours is seen outside, and none of outside here."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)


def account(path):
    """Let the kernel write a record of every process of this pid namespace that ends to the file (acct(2)); None ends that."""
    _check(LIBC.acct(_bytes(path)), "acct")


def pivot_root(directory):
    """Make the directory (a mount point) the root and let go of the old one."""
    os.chdir(directory)
    _check(LIBC.pivot_root(b".", b"."), "pivot_root")
    unmount(".", MNT_DETACH)
    os.chdir("/")


def prctl(option, value):
    """prctl(2) with one argument."""
    _check(LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0),
                      ctypes.c_ulong(0)), "prctl %d" % option)


def die_with_parent():
    """SIGKILL for this process when the one that made it ends."""
    prctl(PR_SET_PDEATHSIG, SIGKILL)


def limit_bounding_set(keep):
    """Drop every capability but those from the bounding set: the next exec has no other."""
    for number in range(64):
        if number not in keep and LIBC.prctl(PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0) == 1:
            prctl(PR_CAPBSET_DROP, number)


def limit_capabilities(keep):
    """Give up every capability but those, of this process and all below it."""
    limit_bounding_set(keep)
    LIBC.prctl(ctypes.c_int(PR_CAP_AMBIENT), ctypes.c_ulong(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)  # fails where there are none
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    _check(LIBC.capget(header, held), "capget")
    words = struct.unpack("6I", held.raw)
    mask = sum(1 << number for number in keep)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    _check(LIBC.capset(header, struct.pack("6I", words[0] & low, words[1] & low, 0, words[3] & high, words[4] & high, 0)), "capset")


def drop_all_capabilities():
    """Empty effective, permitted and inheritable sets of this process."""
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    _check(LIBC.capset(header, bytes(24)), "capset")


def become(uid, gid):
    """Turn into that user for good: no groups, no capabilities, no way back by set-uid programs."""
    limit_bounding_set(set())
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    drop_all_capabilities()
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def loopback_up():
    """Bring up `lo` in this network namespace (SIOCGIFFLAGS, SIOCSIFFLAGS with IFF_UP)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, 0x8913, request))[1]
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))


def mounts_with_options():
    """[(mount point, its own options)] of this namespace."""
    found = []
    with open("/proc/self/mountinfo", "rb") as file:
        for entry in file:
            fields = entry.split(b" ")
            found.append((unescaped(fields[4]), fields[5].decode("ascii", "replace").split(",")))
    return found


def unescaped(point):
    """A mount point out of mountinfo, where blanks and the like are octal numbers."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found.group(1), 8)]), point))


def mounts_below(directory):
    """Mount points at or below the directory in this namespace, deepest first."""
    found = [point for point, _ in mounts_with_options() if point == directory or point.startswith(directory + "/")]
    return sorted(found, key=len, reverse=True)
