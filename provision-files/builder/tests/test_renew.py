"""What is left on a builder after a build, and whether `renew` finds it.

Each case runs on a "machine" of its own: a small tree of files below VERDIGRIS_ROOT, and namespaces (processes, network, mounts, IPC, host name)
made for it, so that nothing is planted on the machine that runs the tests.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from support import CHROOT, Builder, Shared, microdistro, require, until_true

from verdigris_builder import files, fingerprint, inventory

FIRST = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True: signal.pause()"
# A person of the machine that is looked at.
HOME = "/" + "home/fedora"
DIRECTORIES = ("etc/cron.d", "etc/mock", "etc/ssh", "etc/verdigris/chroots", "root/.ssh", "home/fedora", "usr/bin", "usr/local/bin", "usr/lib/systemd/system",
               "usr/lib64/security", "usr/lib/python3.11", "usr/libexec/verdigris", "usr/lib/verdigris/roots", "var/spool/cron", "var/spool/at", "run/systemd/system",
               "run/systemd/transient", "run/netns", "tmp", "var/tmp", "dev/shm", "dev/mqueue", "var/cache/mock", "var/lib/mock", "srv")
FILES = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nfedora:x:1000:1000::" + HOME + ":/bin/sh\n", "etc/group": "root:x:0:\nmock:x:135:\n",
         "etc/shadow": "root:*:1::::::\n", "etc/crontab": "# nothing\n", "etc/mock/site-defaults.cfg": "config_opts = {}\n", "etc/resolv.conf": "nameserver 10.0.0.2\n",
         "etc/ssh/sshd_config": "PermitRootLogin prohibit-password\n", "root/.ssh/authorized_keys": "ssh-ed25519 AAAA controller\n",
         "root/.bashrc": "# nothing\n", "usr/bin/rpm": "program\n", "usr/local/bin/tool": "tool\n", "usr/lib64/security/pam_unix.so": "library\n",
         "usr/lib/python3.11/json.py": "module\n", "usr/libexec/verdigris/verdigris-builder": "script\n", "usr/lib/systemd/system/sshd.service": "[Unit]\n", "srv/x": ""}


class Machine(Builder):
    """A builder with namespaces of its own; every command runs in them."""

    def __init__(self, shared, root):
        super().__init__(shared, root)
        for name in DIRECTORIES:
            os.makedirs(os.path.join(root, name), exist_ok=True)
        for name, text in FILES.items():
            self.write(name, text)
        self.holder = subprocess.Popen(["unshare", "--net", "--pid", "--mount", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child",
                                        sys.executable, "-c", FIRST], stdin=subprocess.DEVNULL)
        until_true(lambda: self.first() is not None, "the machine's first process")
        self.wrapper = ["nsenter", "-t", str(self.first()), "-m", "-p", "-n", "-i", "-u"]
        # Mounts of tests that run beside this one go when they end; the machine has none of them.
        self.inside("sh", "-c", "grep -o ' /tmp/[^ ]*' /proc/self/mountinfo | sort -r | xargs -r -n 1 umount -l")
        self.define(base=[{**self.definition["base"][0], "baseurl": "file://" + microdistro()}])

    def first(self):
        """The machine's process 1, once it ignores its children's ends, as the last thing it does before it waits."""
        with open("/proc/%d/task/%d/children" % (self.holder.pid, self.holder.pid), encoding="ascii") as file:
            found = file.read().split()
        if not found:
            return None
        with open("/proc/%s/status" % found[0], encoding="ascii") as file:
            ignored = next(int(line.split()[1], 16) for line in file if line.startswith("SigIgn:"))
        return int(found[0]) if ignored >> (signal.SIGCHLD - 1) & 1 else None

    def end(self):
        """End every process of the machine; its namespaces go with them."""
        self.holder.kill()
        self.holder.wait()

    def path(self, name):
        """A path of the machine, as this process sees it."""
        return os.path.join(self.root, name)

    def write(self, name, text, mode=0o644):
        """Write one file of the machine."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def inside(self, *argv):
        """Run a program in the machine's namespaces."""
        return subprocess.run([*self.wrapper, *argv], check=True, capture_output=True, text=True).stdout

    def leave(self, *argv):
        """Start a program in the machine that goes on, as a child of its process 1 and in a session of its own."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # a pipe would be waited for
        subprocess.run([*self.wrapper, "setsid", "--fork", *argv], check=True, **quiet)

    def look(self):
        """The baseline, as the controller keeps it."""
        self.baseline = self.ok("baseline")
        return self.baseline

    def renew(self, **changes):
        """(exit status, document) of a renewal against the baseline."""
        done = self.run("renew", "--baseline", "-", data=json.dumps({**self.baseline, **changes}).encode())
        return done.returncode, json.loads(done.stdout)


def put_back(machine, name, text):
    """Change a file's contents, and set its time back as if nothing had been."""
    before = os.stat(machine.path(name))
    with open(machine.path(name), "r+", encoding="utf-8") as file:
        file.write(text)
    os.utime(machine.path(name), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(machine.path(name)).st_size == before.st_size


def listen(machine):
    """A program that waits for connections, on a port and on an abstract address."""
    machine.leave(sys.executable, "-c", "import socket, time\na = socket.create_server(('0.0.0.0', 4444))\nb = socket.socket(socket.AF_UNIX)\n"
                  "b.bind('\\0back')\nb.listen()\ntime.sleep(900)")
    until_true(lambda: "back" in machine.inside("cat", "/proc/net/unix"), "the listener")


def segment(machine):
    """A segment of System V that outlives its maker."""
    machine.inside(sys.executable, "-c", "import ctypes; assert ctypes.CDLL(None).shmget(0x7654, 4096, 0o1666) >= 0")


def setuid(machine):
    """Root's shell for everybody, beside programs."""
    machine.write("usr/bin/sh2", "shell\n", 0o4755)


def another_owner(machine):
    """A program that was there and belongs to somebody else now."""
    os.chown(machine.path("usr/local/bin/tool"), 1000, 1000)


def spoil_cache(machine):
    """A package beside those that dnf has fetched."""
    machine.write("var/lib/verdigris/cache/dnf/%s/base/packages/gcc.rpm" % CHROOT, "not gcc\n")


def spoil_root(machine):
    """A changed program in the base root, with the old time."""
    root = next(name for name in os.listdir(machine.state("roots")) if os.path.isdir(machine.state("roots", name)))
    put_back(machine, "var/lib/verdigris/roots/%s/usr/bin/make" % root, "x")


# What is planted, the part in which it is found, and words of what is said about it.
RESIDUE = [
    ("a file of cron", lambda m: m.write("etc/cron.d/job", "* * * * * root x\n"), "etc", "/etc/cron.d/job is new"),
    ("a file in the root directory", lambda m: m.write("run.me", "x"), "etc", "/run.me is new"),
    ("settings", lambda m: m.write("etc/ssh/sshd_config", "PermitRootLogin yes\n"), "etc", "/etc/ssh/sshd_config has changed: contents"),
    ("settings with the old time", lambda m: put_back(m, "etc/crontab", "# Nothing"), "etc", "/etc/crontab has changed: contents"),
    ("a library for every program", lambda m: m.write("etc/ld.so.preload", "/tmp/x.so\n"), "etc", "/etc/ld.so.preload is new"),
    ("settings of mock", lambda m: m.write("etc/mock/site-defaults.cfg", "import os\n"), "etc", "/etc/mock/site-defaults.cfg has changed: contents"),
    ("a chroot's definition", lambda m: m.define(macros={"x": "y"}), "etc", "/etc/verdigris/chroots/%s.json has changed: contents" % CHROOT),
    ("a user", lambda m: m.write("etc/passwd", FILES["etc/passwd"] + "eve:x:0:0::/:/bin/sh\n"), "accounts", "/etc/passwd:eve is new"),
    ("a password", lambda m: m.write("etc/shadow", "root:$6$x:1::::::\n"), "accounts", "/etc/shadow:root has changed"),
    ("a member of a group", lambda m: m.write("etc/group", "root:x:0:\nmock:x:135:fedora\n"), "accounts", "/etc/group:mock has changed"),
    ("a key of root's", lambda m: m.write("root/.ssh/authorized_keys", "ssh-ed25519 BBBB eve\n"), "keys", "/root/.ssh/authorized_keys has changed"),
    ("a key of a person's", lambda m: m.write("home/fedora/.ssh/authorized_keys", "ssh-ed25519 BBBB eve\n"), "keys", HOME + "/.ssh/authorized_keys is new"),
    ("root's shell", lambda m: put_back(m, "root/.bashrc", "# Nothing"), "homes", "/root/.bashrc has changed: changed: "),
    ("a module of root's own", lambda m: m.write("root/.local/lib/python3.11/site-packages/usercustomize.py", "x"), "homes", "usercustomize.py is new"),
    ("a set-user-id program", setuid, "programs", "/usr/bin/sh2 is new: kind=regular-file mode=4755"),
    ("a program in /usr/local/bin", lambda m: put_back(m, "usr/local/bin/tool", "evil"), "programs", "/usr/local/bin/tool has changed: changed: "),
    ("a program put before others", lambda m: m.write("usr/local/bin/rpm", "x", 0o755), "programs", "/usr/local/bin/rpm is new"),
    ("a program's owner", another_owner, "programs", "/usr/local/bin/tool has changed: owner: 0:0 -> 1000:1000"),
    ("a unit", lambda m: m.write("usr/lib/systemd/system/x.timer", "[Timer]\n"), "programs", "/usr/lib/systemd/system/x.timer is new"),
    ("a library of logins", lambda m: put_back(m, "usr/lib64/security/pam_unix.so", "LIB"), "libraries", "pam_unix.so has changed: changed: "),
    ("a module of Python", lambda m: os.unlink(m.path("usr/lib/python3.11/json.py")), "libraries", "/usr/lib/python3.11/json.py is gone"),
    ("our own scripts", lambda m: m.write("usr/libexec/verdigris/verdigris-builder", "evil\n"), "scripts", "verdigris-builder has changed: contents"),
    ("a table of cron", lambda m: m.write("var/spool/cron/root", "* * * * * x\n"), "timers", "/var/spool/cron/root is new"),
    ("a job of at", lambda m: m.write("var/spool/at/a0000101", "x\n"), "timers", "/var/spool/at/a0000101 is new"),
    ("a timer that is not on disk", lambda m: m.write("run/systemd/transient/x.timer", "[Timer]\n"), "timers", "x.timer is new"),
    ("a file for everybody", lambda m: m.write("var/tmp/.x", "x"), "writable", "/var/tmp/.x is new"),
    ("a set-user-id file in /tmp", lambda m: m.write("tmp/sh", "x", 0o4755), "writable", "/tmp/sh is new: kind=regular-file mode=4755"),
    ("POSIX shared memory", lambda m: m.write("dev/shm/segment", "x"), "writable", "/dev/shm/segment is new"),
    ("System V shared memory", segment, "memory", "shm id 0 key 30292 is new: owner=0"),
    ("a node of the machine's memory", lambda m: os.mknod(m.path("dev/m"), 0o20666, os.makedev(1, 1)), "devices", "/dev/m is new: kind=character-device"),
    ("a device", lambda m: os.mknod(m.path("dev/disk"), 0o60666, os.makedev(7, 99)), "devices", "/dev/disk is new: kind=block-device mode=0"),
    ("a process", lambda m: m.leave("sleep", "900"), "processes", "/sleep owner=0 is new"),
    ("a process that only an interpreter shows", lambda m: m.leave("sh", "-c", "read x < /dev/zero; : hidden"), "processes", "hidden) owner=0 is new"),
    ("a process of an ordinary user", lambda m: m.leave("setpriv", "--reuid", "1000", "--clear-groups", "sleep", "900"), "processes", "/sleep owner=1000 is new"),
    ("sockets that listen", listen, "listeners", "tcp 00000000:115C is new: owner=0"),
    ("an abstract socket", listen, "listeners", "unix @back is new"),
    ("a mount", lambda m: m.inside("mount", "-t", "tmpfs", "-o", "mode=755", "x", m.path("srv")), "mounts", "/srv of type tmpfs is new"),
    ("a bound directory", lambda m: m.inside("mount", "--bind", m.path("etc/crontab"), m.path("srv/x")), "mounts", "/srv/x of type"),
    ("a network namespace", lambda m: m.write("run/netns/x", ""), "network", "/run/netns/x is new"),
    ("an interface", lambda m: m.inside("ip", "link", "add", "back", "type", "veth", "peer", "name", "front"), "network", "interface back is new"),
    ("a rule of routing", lambda m: m.inside("ip", "rule", "add", "pref", "77", "to", "10.0.0.0/8", "blackhole"), "network", "rule -4 77: "),
    ("a table of the packet filter", lambda m: m.inside("nft", "add", "table", "inet", "x"), "network", "table inet x {"),
    ("a package in the cache", spoil_cache, "cache", "gcc.rpm is new"),
    ("a program in a base root", spoil_root, "roots", "/usr/bin/make has changed since the base root was made"),
    ("a seal of the cache", lambda m: os.unlink(m.state("seals/cache.json")), "cache", "has lost its seal"),
    ("a file in our directory", lambda m: m.write("var/lib/verdigris/x", ""), "own", "/var/lib/verdigris/x is new"),
    ("the kept details", lambda m: m.write("var/lib/verdigris/baseline.json", "{}"), "details", "is not what was kept"),
]


class Renewal(unittest.TestCase):
    """One machine for each case; where a case needs a base root or a cache, a build has made them."""

    @classmethod
    def setUpClass(cls):
        cls.shared = Shared.get()
        for tool in ("nft", "nsenter", "setpriv", "ps"):
            require(shutil.which(tool), "the program %s is missing" % tool)

    def machine(self, image=True):
        """A machine whose baseline is taken."""
        root = tempfile.mkdtemp(dir=self.shared.directory, prefix="m.")
        os.chmod(root, 0o711)
        machine = Machine(self.shared, root)
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        self.addCleanup(machine.end)
        if not image:
            os.unlink(machine.path("usr/lib/verdigris/roots/" + CHROOT))
        machine.look()
        return machine

    def assert_clean(self, machine):
        """Renew, and find nothing; the document."""
        status, answer = machine.renew()
        self.assertEqual((status, answer["clean"], answer["differences"]), (0, True, []))
        self.assertEqual(answer["fingerprint"], machine.baseline["fingerprint"])
        return answer

    def test_each_residue_is_found_and_named(self):
        for what, plant, part, words in RESIDUE:
            with self.subTest(what=what):
                machine = self.machine(image=part != "roots")
                if part in ("roots", "cache"):
                    _, status = machine.build("needy")
                    self.assertEqual(status["verdict"]["result"], "succeeded", status)
                    self.assert_clean(machine)
                plant(machine)
                status, answer = machine.renew()
                said = ["%(part)s: %(what)s %(how)s" % entry for entry in answer["differences"]]
                self.assertEqual((status, answer["clean"]), (7, False), said)
                self.assertTrue([line for line in said if line.startswith(part + ": ") and words in line], said)
                self.assertEqual({entry["part"] for entry in answer["differences"]} - {part, "processes", "mounts"}, set(), said)
                machine.end()

    def test_nothing_planted_is_clean_also_after_builds(self):
        machine = self.machine(image=False)
        self.assertEqual(self.assert_clean(machine)["removed"], [])
        for name, result in (("needy", "succeeded"), ("broken", "failed"), ("needy", "succeeded")):
            task, status = machine.build(name)
            self.assertEqual((status["verdict"]["result"], status["verdict"]["blame"]), (result, "package" if result == "failed" else None), status)
            self.assertIn({"part": "attempts", "what": task["attempt"], "how": "removed"}, self.assert_clean(machine)["removed"])
        self.assertEqual(os.listdir(machine.state("attempts")), [])
        self.assertEqual(len(os.listdir(machine.state("roots"))), 2)  # the root and its lock: the next build uses it

    def kept(self, machine):
        """What the next build may use, by times: base roots, and what dnf has fetched."""
        found = {}
        for name in ("roots", "cache/dnf"):
            inventory.tree(machine.state(name), inventory.by_times, found)
        return found

    def test_the_next_build_uses_the_base_root_and_the_metadata_that_the_first_one_left(self):
        machine = self.machine(image=False)
        said = []
        for _ in range(2):
            task, status = machine.build("needy")
            self.assertEqual(status["verdict"]["result"], "succeeded", status)
            said.append(machine.result(task["attempt"], "root.log").decode())
            before = self.kept(machine)
            self.assert_clean(machine)
            self.assertEqual(self.kept(machine), before)
        self.assertIn("(made now)", said[0])
        self.assertIn("(there already)", said[1])
        self.assertTrue([path for path in before if path.endswith(".solv")], "no metadata of dnf's is kept")

    def test_what_is_ours_is_cleared_away_and_said(self):
        machine = self.machine()
        other = "8f14e45f-ceea-467f-a5c8-3c5d6a1b2c3d"
        machine.leave("setpriv", "--reuid", "61000", "--regid", "61000", "--clear-groups", "sleep", "900")
        machine.write("tmp/own/file", "x")
        os.chown(machine.path("tmp/own"), 61000, 61000)
        machine.write("dev/shm/segment", "x")
        os.chown(machine.path("dev/shm/segment"), 61000, 61000)
        machine.write("var/lib/verdigris/attempts/stray", "x")
        machine.write("var/lib/verdigris/attempts/%s/results/x" % other, "x")
        machine.write("var/lib/verdigris/fences/not-an-attempt", "x")
        machine.write("var/lib/verdigris/probe.77/x", "x")
        machine.write("var/lib/verdigris/homes/builder/.config/mock.cfg", "import os")
        machine.write("var/lib/verdigris/homes/var-lib-rpm/.rpmmacros", "%x %(evil)")
        machine.write("var/lib/verdigris/cache/python/x.pyc", "x")
        machine.write("var/cache/mock/%s/dnf_cache/x.rpm" % CHROOT, "x")
        machine.write("var/lib/verdigris/roots/half.new/x", "x")
        machine.inside("mount", "-t", "tmpfs", "x", machine.state("attempts", other, "results"))
        removed = {(entry["part"], entry["what"]) for entry in self.assert_clean(machine)["removed"]}
        state = "/var/lib/verdigris/"
        wanted = {("writable", "/tmp/own"), ("writable", "/dev/shm/segment"), ("attempts", state + "attempts/stray"), ("attempts", other),
                  ("attempts", state + "fences/not-an-attempt"), ("attempts", state + "probe.77"), ("homes", state + "homes/builder/.config"),
                  ("cache", "/var/cache/mock/" + CHROOT), ("roots", state + "roots/half.new")}
        self.assertEqual({entry for entry in removed if entry[0] != "processes"}, wanted)
        self.assertEqual([what.endswith("/sleep owner=61000") for part, what in removed if part == "processes"], [True])
        for name in ("homes/var-lib-rpm", "cache/python/x.pyc", "probe.77", "attempts/stray", "attempts/" + other):
            self.assertFalse(os.path.lexists(machine.state(name)), name)
        self.assertNotIn("owner=61000", " ".join(machine.inside("ps", "-eo", "uid").split()))

    def test_what_changes_by_itself_is_no_difference(self):
        machine = self.machine()
        machine.write("etc/resolv.conf", "nameserver 10.0.0.9\n")
        machine.write("etc/mtab", "x")
        machine.write("etc/crontab", FILES["etc/crontab"])
        machine.write("etc/passwd", FILES["etc/passwd"])
        machine.write("root/.bash_history", "ls\n")
        machine.write("var/log/messages", "x")
        machine.write("run/sshd.pid", "x")
        machine.write("run/systemd/transient/session-4.scope", "[Scope]\n")
        machine.write("tmp/systemd-private-%s-chronyd.service-Ab12Cd/tmp/x" % ("0" * 32), "x")
        machine.write("tmp/ssh-AbCdEf012345/agent.7", "x")
        machine.inside("ip", "rule", "add", "pref", "60", "uidrange", "61000-61000", "to", "169.254.0.0/16", "unreachable")
        machine.leave("sleep", "1.5")  # a job of cron, that ends soon
        self.assert_clean(machine)

    def test_an_open_session_is_no_difference_and_the_same_program_without_one_is(self):
        root = tempfile.mkdtemp(dir=self.shared.directory, prefix="m.")
        os.chmod(root, 0o711)
        machine = Machine(self.shared, root)
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        self.addCleanup(machine.end)
        # A shell under the name of the SSH server, in the machine's own mount namespace.
        machine.inside("mount", "--bind", "/usr/bin/bash", "/usr/sbin/sshd")
        machine.leave("/usr/sbin/sshd", "-c", "sleep 0.1; while :; do read -t 900 x <> <(:); done")
        machine.look()
        machine.leave("/usr/sbin/sshd", "-c", "/usr/bin/sleep 900; :")
        until_true(lambda: "sleep" in machine.inside("ps", "-eo", "comm"), "the session")
        self.assert_clean(machine)
        machine.leave("/usr/bin/sleep", "901")
        status, answer = machine.renew()
        self.assertEqual((status, [entry["part"] for entry in answer["differences"]]), (7, ["processes"]), answer)

    def test_a_step_that_was_killed_costs_the_cache_and_nothing_else(self):
        machine = self.machine()
        machine.write("var/lib/verdigris/cache/dnf/%s/half.rpm" % CHROOT, "half")
        machine.write("var/lib/verdigris/seals/cache.json", json.dumps({"open": True, "broken": []}))
        self.assertIn("cache", [entry["part"] for entry in self.assert_clean(machine)["removed"]])
        self.assertFalse(os.path.exists(machine.state("cache/dnf")))
        self.assertEqual(self.assert_clean(machine)["removed"], [])

    def test_dirty_is_final(self):
        machine = self.machine()
        machine.write("etc/cron.d/job", "x")
        self.assertEqual(machine.renew()[0], 7)
        os.unlink(machine.path("etc/cron.d/job"))
        status, answer = machine.renew()
        self.assertEqual((status, [(entry["what"], entry["earlier"]) for entry in answer["differences"]]), (7, [("/etc/cron.d/job", True)]))
        self.assertEqual(machine.refused("baseline")[1]["code"], "dirty")
        task = machine.task(self.shared.srpm("hello"))
        machine.upload(task, self.shared.srpm("hello"))
        status, answer = machine.refused("start", "--attempt", task["attempt"], "--epoch", "1", data=json.dumps(task).encode())
        self.assertEqual((status, answer["code"]), (7, "dirty"))
        self.assertIn("dirty", " ".join(machine.refused("ready")[1]["problems"]))

    def test_a_machine_that_was_found_clean_or_is_accepted_has_a_baseline_again_until_it_builds(self):
        machine = self.machine()
        self.assert_clean(machine)
        self.assertIn("fingerprint", machine.ok("baseline"))
        task, _ = machine.begin("sleeper", "the wait begins")
        machine.ok("cancel", "--attempt", task["attempt"])
        self.assertEqual(machine.refused("baseline")[0], 6)
        machine.write("etc/cron.d/job", "* * * * * root true")
        self.assertEqual(machine.renew()[0], 7)
        self.assertEqual(machine.refused("baseline")[1]["code"], "dirty")
        self.assertTrue(machine.ok("accept")["accepted"])
        again = machine.ok("baseline")
        self.assertNotEqual(again["fingerprint"]["etc"], machine.baseline["fingerprint"]["etc"])
        machine.baseline = again
        self.assert_clean(machine)

    def test_a_running_build_is_not_ended(self):
        machine = self.machine()
        task, _ = machine.begin("sleeper", "the wait begins")
        status, answer = machine.refused("renew", "--baseline", "-", data=json.dumps(machine.baseline).encode())
        self.assertEqual((status, answer["code"]), (5, "busy"))
        self.assertEqual(machine.status(task["attempt"])["state"], "running")
        machine.ok("cancel", "--attempt", task["attempt"])
        status, answer = machine.refused("baseline")
        self.assertEqual((status, "has built already" in answer["error"]), (6, True))
        self.assert_clean(machine)

    def test_a_machine_is_idle_until_a_build_runs_and_when_it_has_ended(self):
        machine = self.machine()
        self.assertEqual(machine.ok("idle"), {"idle": True})
        task, _ = machine.begin("sleeper", "the wait begins")
        status, answer = machine.refused("idle")
        self.assertEqual((status, answer["code"]), (5, "busy"))
        self.assertIn(task["attempt"], answer["error"])
        self.assertEqual(machine.status(task["attempt"])["state"], "running", "a look disturbs nothing")
        machine.ok("cancel", "--attempt", task["attempt"])
        self.assertEqual(machine.ok("idle"), {"idle": True})

    def test_a_machine_is_not_idle_while_something_begins_there(self):
        machine = self.machine()
        holder = files.lock(machine.state("start.lock"))  # as a start has it that was not seen yet
        try:
            status, answer = machine.refused("idle")
            self.assertEqual((status, answer["code"]), (5, "busy"))
        finally:
            os.close(holder)
        self.assertEqual(machine.ok("idle"), {"idle": True})

    def test_a_look_whether_a_machine_is_idle_leaves_nothing_on_a_bare_one(self):
        root = tempfile.mkdtemp(dir=self.shared.directory, prefix="b.")
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        bare = Builder(self.shared, root, image=False)
        self.assertEqual(bare.ok("idle"), {"idle": True})
        self.assertFalse(os.path.lexists(bare.state()), "no directory is made")
        os.makedirs(bare.state("attempts"))
        self.assertEqual(bare.ok("idle"), {"idle": True})
        self.assertEqual(os.listdir(bare.state()), ["attempts"])

    def test_a_baseline_that_is_none_is_refused_and_changes_nothing(self):
        machine = self.machine()
        machine.write("var/lib/verdigris/attempts/stray", "x")
        good = machine.baseline
        for wrong in (b"", b"{}", b"[1]", b"null", json.dumps({**good, "format": 2}).encode(), json.dumps({**good, "fingerprint": {}}).encode(),
                      json.dumps({**good, "fingerprint": {"etc": "x"}}).encode(), json.dumps({**good, "details": None}).encode()):
            with self.subTest(wrong=wrong[:40]):
                status, answer = machine.refused("renew", "--baseline", "-", data=wrong)
                self.assertEqual((status, answer["code"]), (2, "usage"))
        self.assertTrue(os.path.exists(machine.state("attempts/stray")))

    def test_a_lying_file_of_details_is_not_believed(self):
        """Who has changed the machine and the details has not changed what the controller keeps."""
        machine = self.machine()
        machine.write("etc/cron.d/job", "x")
        with open(machine.state("baseline.json"), "r+", encoding="ascii") as file:
            parts = json.load(file)
            parts["etc"]["/etc/cron.d/job"] = "kind=regular-file"
            file.seek(0)
            json.dump(parts, file)
        status, answer = machine.renew()
        self.assertEqual((status, sorted({entry["part"] for entry in answer["differences"]})), (7, ["details", "etc"]), answer["differences"])


class Judging(unittest.TestCase):
    """The comparison itself, without a machine."""

    def judge(self, before, now, part="etc", **more):
        """Differences as text, for one part."""
        before, now = {part: before}, {part: now}
        _, found = fingerprint.judge(more.get("expected", fingerprint.digests(before)), None if more.get("lost") else before, now)
        return ["%(part)s %(what)s %(how)s" % entry for entry in found]

    def test_new_gone_and_changed_items(self):
        for before, now, part, wanted in (
                ({"a": "x=1"}, {"a": "x=1"}, "etc", []),
                ({"a": "x=1"}, {"a": "x=1", "b": "x=2"}, "etc", ["etc b is new: x=2"]),
                ({"a": "x=1"}, {}, "etc", ["etc a is gone"]),
                ({"a": "x=1 y=2"}, {"a": "x=3 z=1"}, "etc", ["etc a has changed: x: 1 -> 3, y: 2 -> nothing, z: nothing -> 1"]),
                ({"a": "x=1"}, {}, "processes", []),
                ({"a": "x=1"}, {"b": "x=1"}, "processes", ["processes b is new: x=1"]),
                ({"a": "x=1"}, {"a": "x=2"}, "devices", ["devices a has changed: x: 1 -> 2"])):
            with self.subTest(before=before, now=now, part=part):
                self.assertEqual(self.judge(before, now, part), wanted)

    def test_parts_that_only_one_side_has_and_details_that_are_lost(self):
        digest = inventory.digest({"a": "x=1"})
        self.assertEqual(self.judge({"a": "x=1"}, {"a": "x=1"}, expected={}), ["etc etc is not in the baseline"])
        self.assertEqual(self.judge({"a": "x=1"}, {"a": "x=1"}, expected={"etc": digest, "more": digest}), ["more more is in the baseline only"])
        self.assertEqual(self.judge({"a": "x=1"}, {"a": "x=2"}, expected={"etc": digest}, lost=True)[1:], ["etc etc differs from the baseline"])

    def test_lists_are_bounded_and_printable(self):
        found = self.judge({}, {"%04d\n\udcff%s" % (number, "x" * 5000): "x=1" for number in range(1000)})
        self.assertEqual((len(found), found[-1]), (fingerprint.MOST_OF_PART + 1, "etc and %d more not listed" % (1000 - fingerprint.MOST_OF_PART)))
        self.assertTrue(found[0].startswith("etc 0000??xxx") and len(found[0]) < 700, found[0])

    def test_order_and_borders_of_items_do_not_deceive_the_digest(self):
        self.assertEqual(inventory.digest({"a": "1", "b": "2"}), inventory.digest({"b": "2", "a": "1"}))
        self.assertNotEqual(inventory.digest({"a": "1\nb\0002"}), inventory.digest({"a": "1", "b": "2"}))


if __name__ == "__main__":
    unittest.main()
