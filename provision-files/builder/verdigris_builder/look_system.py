"""What is looked at in the kernel: processes, sockets, mounts, network, shared memory, settings of the kernel, the boot.

Each function gives a dictionary of item to words (see inventory.py). The look itself, and SSH sessions that are open meanwhile, are left out.
"""

import os
import re
import shutil
import subprocess

from . import command, inventory, look_files, sandbox, wording

INTERPRETERS = re.compile(r"(?:python|perl|ruby|node|bash|dash|sh|zsh|ksh|busybox|tclsh|php|lua)[0-9.]*$")
SSHD = {"sshd", "sshd-session", "sshd-auth"}
ON_DEMAND = ("/usr/lib/systemd/systemd-", "/lib/systemd/systemd-")  # systemd starts and ends these helpers of its own as they are asked for
SESSION_MOUNT = re.compile(r"/run/(?:user/[0-9]+|credentials)(?:/|$)|/proc/sys/fs/binfmt_misc$")
SESSION_SOCKET = re.compile(r"/run/user/[0-9]+/|/tmp/ssh-[A-Za-z0-9]+/|/run/systemd/(?:journal|userdb|inaccessible)/")
LISTEN, UNCONNECTED, ACCEPTS = "0A", "07", 0x10000
SETTINGS = ("kernel/core_pattern", "kernel/core_uses_pid", "kernel/modprobe", "kernel/hotplug", "kernel/poweroff_cmd", "kernel/modules_disabled",
            "kernel/randomize_va_space", "kernel/yama/ptrace_scope", "kernel/kptr_restrict", "kernel/unprivileged_bpf_disabled",
            "kernel/usermodehelper/bset", "kernel/usermodehelper/inheritable", "kernel/sysrq", "fs/suid_dumpable", "fs/protected_hardlinks",
            "fs/protected_symlinks", "fs/protected_fifos", "fs/protected_regular", "vm/mmap_min_addr", "net/ipv4/ip_forward")


def read(path):
    """A small file of the kernel as text, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()  # in small pieces: the kernel refuses a large buffer for its settings
    except OSError:
        return ""


def program(*argv):
    """What a program prints, or its status as a sentence of its own."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, env=dict(command.ENVIRONMENT), check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return "%s cannot be run: %s" % (argv[0], wording.of(error))
    return done.stdout if done.returncode == 0 else "%s ends with status %d" % (argv[0], done.returncode)


class Process:
    """One process, as /proc shows it; fields are None or empty when it has just ended."""

    def __init__(self, pid):
        self.pid, self.parent, self.session, self.state, self.users = pid, 0, 0, "Z", set()
        stat = read("/proc/%d/stat" % pid).rpartition(")")[2].split()
        if len(stat) > 3:
            self.state, self.parent, self.session = stat[0], int(stat[1]), int(stat[3])
        try:
            self.program = os.readlink("/proc/%d/exe" % pid)
        except OSError:
            self.program = ""
        for line in read("/proc/%d/status" % pid).splitlines():
            if line.startswith("Uid:"):
                self.users = {int(word) for word in line.split()[1:]}

    def item(self):
        """Executable and owner; of an interpreter the command line too, because that is what runs."""
        words = self.program.replace(" ", "%20")
        if INTERPRETERS.search(os.path.basename(self.program)):
            line = read("/proc/%d/cmdline" % self.pid).replace("\0", " ").strip()
            words = "%s (%s)" % (words, line[:300])
        return "%s owner=%s" % (words, ",".join(map(str, sorted(self.users))))


def all_processes():
    """Every process that is not the kernel's own and has not ended: pid to Process."""
    known = {pid: Process(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    return {pid: process for pid, process in known.items() if process.program and process.state not in "ZX"}


def processes():
    """Executables and owners of what runs, but for SSH sessions and this look with what called it."""
    known = all_processes()
    look = known[os.getpid()]
    callers = {process.pid for process in ancestors(look, known)} - {1}
    found = {}
    for process in known.values():
        chain = ancestors(process, known)
        of_look = process.pid in callers or look in chain or (process.session == look.session and process.pid != 1)
        if not of_look and not any(is_sshd(each) for each in chain[1:]) and not is_on_demand(process):
            found[process.item()] = "runs=yes"
    return found


def ancestors(process, known):
    """The process and all above it."""
    chain = [process]
    while chain[-1].parent in known and len(chain) < 1000:
        chain.append(known[chain[-1].parent])
    return chain


def is_sshd(process):
    """Whether it is the machine's own server for SSH; what it started is somebody's session."""
    return process.program.startswith("/usr/") and os.path.basename(process.program) in SSHD and 0 in process.users


def is_on_demand(process):
    """Whether it is one of systemd's helpers, started by it."""
    return process.parent == 1 and process.program.startswith(ON_DEMAND)


def listeners():
    """Sockets that wait for somebody. Of UDP only ports below those that any client may get for a while."""
    found = {}
    low = int((read("/proc/sys/net/ipv4/ip_local_port_range").split() or ["32768"])[0])
    for kind, wanted in (("tcp", LISTEN), ("tcp6", LISTEN), ("udp", UNCONNECTED), ("udp6", UNCONNECTED), ("raw", UNCONNECTED), ("raw6", UNCONNECTED)):
        for line in read("/proc/net/" + kind).splitlines()[1:]:
            words = line.split()
            if len(words) > 7 and words[3] == wanted and (kind.startswith("tcp") or int(words[1].rpartition(":")[2], 16) < low):
                found["%s %s" % (kind, words[1])] = "owner=" + words[7]
    for line in read("/proc/net/unix").splitlines()[1:]:
        words = line.split(None, 7)
        if len(words) == 8 and int(words[3], 16) & ACCEPTS and not SESSION_SOCKET.match(words[7]):
            found["unix " + words[7]] = "type=" + words[4]
    return found


def mounts():
    """Every mount with its options, but for those that a login makes."""
    found = {}
    for line in read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, more = before.split(), after.split()
        if len(fields) < 6 or len(more) < 2 or SESSION_MOUNT.match(fields[4]):
            continue
        item = "%s of type %s" % (fields[4], more[0])
        while item in found:
            item += " again"
        found[item] = "root=%s options=%s source=%s" % (fields[3], fields[5], more[1])
    return found


def network():
    """Interfaces, named network namespaces, rules of routing and of the packet filter, routes that no neighbour announced."""
    found = {"interface " + line.partition(":")[0].strip(): "there=yes" for line in read("/proc/net/dev").splitlines()[2:]}
    inventory.tree(look_files.at("run/netns"), inventory.by_kind, found)
    found["tables of the old filter"] = "names=" + ",".join(sorted(read("/proc/net/ip_tables_names").split() + read("/proc/net/ip6_tables_names").split()))
    if shutil.which("ip", path=command.ENVIRONMENT["PATH"]):
        for family in ("-4", "-6"):
            for line in program("ip", family, "rule", "show").splitlines():
                if not ours(line):
                    found["rule %s %s" % (family, " ".join(line.split()))] = "there=yes"
        for line in program("ip", "-4", "-o", "route", "show", "table", "main").splitlines():
            if not re.search(r"\bproto (?:kernel|dhcp|ra)\b", line) and "169.254.169.254" not in line:
                found["route " + " ".join(line.split())] = "there=yes"
    if shutil.which("nft", path=command.ENVIRONMENT["PATH"]):
        for number, line in enumerate(program("nft", "-s", "list", "ruleset").splitlines()):
            found["filter %04d %s" % (number, line.strip())] = "there=yes"
    return found


def ours(line):
    """A rule that a build with a network adds, and that stays: sandbox.guard_metadata."""
    return line.startswith(sandbox.RULE_PRIORITY + ":") and "unreachable" in line and any(
        target.partition("/")[0] in line for _, target in sandbox.METADATA)


def memory():
    """Segments of shared memory, semaphores and message queues of System V. Those of POSIX are files in /dev/shm and /dev/mqueue."""
    found = {}
    for kind in ("shm", "sem", "msg"):
        table = [line.split() for line in read("/proc/sysvipc/" + kind).splitlines()]
        for row in table[1:]:
            entry = dict(zip(table[0], row))
            found["%s id %s key %s" % (kind, entry.get(kind + "id"), entry.get("key"))] = "owner=%s mode=%s" % (entry.get("uid"), entry.get("perms"))
    return found


def kernel():
    """Programs that the kernel starts, settings that weaken it, formats of programs, modules that are not the distribution's."""
    found = {"/proc/sys/" + name: "value=" + read("/proc/sys/" + name).strip().replace(" ", "%20") for name in SETTINGS}
    found["/sys/kernel/uevent_helper"] = "value=" + read("/sys/kernel/uevent_helper").strip()
    formats = "/proc/sys/fs/binfmt_misc"
    for name in sorted(os.listdir(formats)) if os.path.isdir(formats) else ():
        if name not in ("register", "status"):
            found["%s/%s" % (formats, name)] = "value=" + read("%s/%s" % (formats, name)).strip().replace("\n", "|").replace(" ", "%20")
    for line in read("/proc/modules").splitlines():
        # The last word, in brackets, says that the kernel does not know where the module comes from. Others are loaded as they are needed.
        flags = re.search(r"\(([A-Z]+)\)$", line.strip())
        if flags and can_load_modules():
            found["module " + line.split()[0]] = "flags=" + flags.group(1)
    return found


def can_load_modules():
    """Whether this machine may do so; one that shares its kernel with others may not, and sees what they loaded."""
    bounding = re.search(r"^CapBnd:\s*([0-9a-f]+)", read("/proc/self/status"), re.M)
    return bool(bounding and int(bounding.group(1), 16) >> 16 & 1)


def boot():
    """Which start of the machine this is."""
    stat = read("/proc/1/stat").rpartition(")")[2].split()
    return {"boot": "id=" + read("/proc/sys/kernel/random/boot_id").strip(), "first process": "started=" + (stat[19] if len(stat) > 19 else "?")}
