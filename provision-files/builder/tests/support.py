"""What every test needs: a builder under a temporary root, repositories over HTTP, SRPMs from the specs beside this file.

How to run: `python3 -m unittest discover -s provision-files/builder/tests` as root, with rpm, dnf, createrepo_c, gpg, iproute2, nftables and util-linux installed
(`cargo xtask setup` installs them). The micro-distribution is taken from `VERDIGRIS_MICRODISTRO` or
`~/.cache/verdigris/microdistro/current/repo` (`cargo xtask microdistro` makes it).

The base root is made once for all tests and used by each as the image's root would be, so a test costs about what its build does.
"""

import atexit
import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
ENTRY = os.path.join(os.path.dirname(HERE), "verdigris-builder")
SPECS = os.path.join(HERE, "specs")
sys.path.insert(0, os.path.dirname(HERE))
CHROOT = "microdistro-1-x86_64"
DEADLINE = 120


def require(condition, what):
    """Fail (never skip) when the machine lacks something."""
    if not condition:
        raise AssertionError("%s; run `cargo xtask setup` (and the tests as root)" % what)


def microdistro():
    """The directory of the micro-distribution's repository."""
    for path in (os.environ.get("VERDIGRIS_MICRODISTRO"), os.path.expanduser("~/.cache/verdigris/microdistro/current/repo")):
        if path and os.path.exists(os.path.join(path, "repodata", "repomd.xml")):
            return path
    raise AssertionError("no micro-distribution; run `cargo xtask microdistro`, or set VERDIGRIS_MICRODISTRO to its repository")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that does not print."""

    def log_message(self, *_):
        """Say nothing."""


def serve(directory):
    """(address, server) of a file server on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop = server.shutdown

    def shutdown():
        stop()
        server.server_close()
    server.shutdown = shutdown
    return "http://127.0.0.1:%d/" % server.server_port, server


class Shared:
    """Made once per test run: temporary directory, base repository's server, base root, SRPMs."""

    _instance = None

    @classmethod
    def get(cls):
        """The one instance."""
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def __init__(self):
        require(os.geteuid() == 0, "these tests need root")
        for tool in ("rpmbuild", "dnf", "createrepo_c", "ip", "unshare"):
            require(shutil.which(tool), "the program %s is missing" % tool)
        self.directory = tempfile.mkdtemp(prefix="verdigris-builder-tests.")
        os.chmod(self.directory, 0o711)  # the ordinary user of the mock tests passes here
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        self.base_url, self.server = serve(microdistro())
        self.srpms = {}
        self.image = self.make_image()

    def make_image(self):
        """Let a first build make the base root; every builder gets a link to it as its image's root."""
        first = Builder(self, os.path.join(self.directory, "first"), image=False)
        _, status = first.build("elsewhere")
        assert status["state"] == "finished", status
        root = first.ok("ready", "--chroot", CHROOT)["base_root"]
        assert root["fresh"], root
        return root["path"]

    def srpm(self, name, files=()):
        """The path of the SRPM of a spec file beside the tests."""
        if name not in self.srpms:
            top = os.path.join(self.directory, "srpm-" + name)
            os.makedirs(os.path.join(top, "SOURCES"))
            for file, text in dict(files).items():
                with open(os.path.join(top, "SOURCES", file), "w", encoding="utf-8") as handle:
                    handle.write(text)
            subprocess.run(["rpmbuild", "-bs", "--nodeps", "--define", "_topdir " + top, "--define", "dist %{nil}",
                            os.path.join(SPECS, name + ".spec")], check=True, capture_output=True)
            built = os.listdir(os.path.join(top, "SRPMS"))
            self.srpms[name] = os.path.join(top, "SRPMS", built[0])
        return self.srpms[name]


class Builder:
    """One builder: a root prefix and the commands on it."""

    def __init__(self, shared, root, image=True):
        self.shared, self.root = shared, root
        self.environment = {**os.environ, "VERDIGRIS_ROOT": root, "PYTHONDONTWRITEBYTECODE": "1"}
        self.wrapper = []
        chroots = os.path.join(root, "etc/verdigris/chroots")
        os.makedirs(chroots)
        self.definition = {
            "name": CHROOT, "os": "microdistro", "release": "1", "arch": "x86_64", "buildroot_packages": ["microdistro-buildroot"], "macros": {},
            "base": [{"id": "base", "name": "Microdistro", "baseurl": shared.base_url, "gpgcheck": False, "gpgkey": None}]}
        self.define()
        if image:
            os.makedirs(os.path.join(root, "usr/lib/verdigris/roots"))
            os.symlink(shared.image, os.path.join(root, "usr/lib/verdigris/roots", CHROOT))

    def define(self, **changes):
        """Write the chroot definition, changed."""
        with open(os.path.join(self.root, "etc/verdigris/chroots", CHROOT + ".json"), "w", encoding="utf-8") as file:
            json.dump({**self.definition, **changes}, file)

    def state(self, *parts):
        """A path below the builder's state directory."""
        return os.path.join(self.root, "var/lib/verdigris", *parts)

    def run(self, *arguments, data=b"", timeout=60):
        """One command; the finished process, its output as bytes."""
        return subprocess.run([*self.wrapper, sys.executable, ENTRY, *arguments], input=data, capture_output=True,
                              env=self.environment, timeout=timeout, check=False)

    def ok(self, *arguments, data=b""):
        """One command that must succeed; its document."""
        done = self.run(*arguments, data=data, timeout=DEADLINE)
        assert done.returncode == 0, (arguments, done.returncode, done.stdout[-3000:], done.stderr[-3000:])
        return json.loads(done.stdout)

    def refused(self, *arguments, data=b""):
        """One command that must fail; (exit status, document)."""
        done = self.run(*arguments, data=data)
        assert done.returncode != 0, (arguments, done.stdout)
        return done.returncode, json.loads(done.stdout or done.stderr)

    def task(self, srpm, **changes):
        """A task for that SRPM with a new attempt id."""
        with open(srpm, "rb") as file:
            data = file.read()
        source = {"file": os.path.basename(srpm), "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        return {"schema_version": 1, "attempt": str(uuid.uuid4()), "epoch": 1, "build": 7, "project": {"owner": "alice", "name": "tools"},
                "chroot": CHROOT, "source": source, "timeout_seconds": 100, "driver": "chroot",
                "limits": {"log_bytes": 4 << 20, "result_bytes": 1 << 30, "result_files": 100}, **changes}

    def upload(self, task, srpm):
        """Put the SRPM where the task says, as the worker does over SSH."""
        target = self.state("attempts", task["attempt"], "input")
        os.makedirs(target)
        shutil.copyfile(srpm, os.path.join(target, task["source"]["file"]))

    def start(self, task):
        """Start it; the answer."""
        return self.ok("start", "--attempt", task["attempt"], "--epoch", str(task["epoch"]), data=json.dumps(task).encode())

    def status(self, attempt):
        """The status document."""
        return self.ok("status", "--attempt", attempt)

    def wait(self, attempt, seconds=DEADLINE):
        """Wait until it does not run any more; the status."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = self.status(attempt)
            if status["state"] != "running":
                return status
            time.sleep(0.02)
        raise AssertionError("attempt %s still runs: %r" % (attempt, self.log(attempt)[-3000:]))

    def log(self, attempt):
        """The live log as text."""
        return self.run("log", "--attempt", attempt).stdout.decode("utf-8", "replace")

    def result(self, attempt, name):
        """One result's bytes, of a file that the manifest lists."""
        with open(self.state("attempts", attempt, "results", name), "rb") as file:
            return file.read()

    def build(self, name, **changes):
        """Upload, start, wait for the end of a spec's build; (task, status)."""
        srpm = self.shared.srpm(name)
        task = self.task(srpm, **changes)
        self.upload(task, srpm)
        self.start(task)
        return task, self.wait(task["attempt"])

    def begin(self, name, line, **changes):
        """Upload and start a build, wait until its log holds the line; (task, answer of start)."""
        srpm = self.shared.srpm(name)
        task = self.task(srpm, **changes)
        self.upload(task, srpm)
        answer = self.start(task)
        until_true(lambda: line in self.log(task["attempt"]), "the line %r in the log" % line)
        return task, answer

    def names(self, attempt):
        """Names in the manifest."""
        return [entry["name"] for entry in self.ok("manifest", "--attempt", attempt)["files"]]


def until_true(condition, what, seconds=DEADLINE):
    """Poll until the condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.01)


def processes_with(word):
    """Processes whose command line holds the word: pid to command line."""
    found = {}
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if word in line:
                found[int(pid)] = line
    return found


class BuilderTest(unittest.TestCase):
    """A test with a builder of its own; afterwards nothing of it may be left."""

    @classmethod
    def setUpClass(cls):
        cls.shared = Shared.get()

    def setUp(self):
        root = tempfile.mkdtemp(dir=self.shared.directory, prefix="b.")
        os.chmod(root, 0o711)
        self.builder = Builder(self.shared, root)
        self.addCleanup(self.leave_nothing)

    def leave_nothing(self):
        """clean, then look: no process, no mount, no control group, no attempt."""
        builder = self.builder
        answer = builder.ok("clean")
        self.assertEqual(answer["kept"], [])
        self.assertEqual(os.listdir(builder.state("attempts")) if os.path.isdir(builder.state("attempts")) else [], [])
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            self.assertNotIn(builder.root, file.read())
        for group in answer["removed"]:
            for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                self.assertFalse(os.path.exists(os.path.join(top, "verdigris." + group)))
        subprocess.run(["rm", "-rf", builder.root], check=True)

    def assert_verdict(self, status, **wanted):
        """Fields of the verdict; the log is shown when they differ."""
        verdict = status.get("verdict") or {}
        got = {key: verdict.get(key) for key in wanted}
        self.assertEqual(got, wanted, (status, self.builder.log(status["attempt"])[-4000:]))
        return verdict


def package_repository(shared, builder, attempts, name):
    """A repository of the packages that those attempts built, served; its entry for a task."""
    directory = os.path.join(builder.root, "repository-" + name)
    os.makedirs(directory)
    for attempt in attempts:
        for file in builder.names(attempt):
            if file.endswith(".rpm") and not file.endswith(".src.rpm"):
                with open(os.path.join(directory, file), "wb") as target:
                    target.write(builder.result(attempt, file))
    subprocess.run(["createrepo_c", "-q", directory], check=True, capture_output=True)
    address, server = serve(directory)
    return {"id": name, "name": "Packages of " + name, "baseurl": address, "gpgcheck": False}, server
