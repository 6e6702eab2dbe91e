"""Builds the cases of `cases.py` with the real builder program and keeps their logs, shortened, in `recorded/`.

Run as root: `python3 provision-files/builder/tests/failures/record.py TOOLS [NAME...]`, where TOOLS is a package `kit-tools` for the
micro-distribution with g++, python3, cmake, meson, autoconf and automake, made of the packages of Debian that have them.
"""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import support  # noqa: E402
from failures import cases, replay  # noqa: E402
from verdigris_builder import processes  # noqa: E402

KEPT = 200  # lines at each end of a log
LONGEST = 400  # bytes of a line
MEMORY = "/sys/fs/cgroup/memory/verdigris-failures"
HEAD = "Name: %s\nVersion: 1\nRelease: 1\nSummary: x\nLicense: CC0-1.0\nBuildArch: noarch\nAutoReqProv: no\n%s\n%%description\nx\n%s\n"
FILE = "%%install\nmkdir -p %%{buildroot}%s\necho %s > %%{buildroot}%s\n%%files\n%s"
HELPERS = {
    "kit-extra": ("", FILE % ("/usr/share", "x", "/usr/share/kit-extra", "/usr/share/kit-extra")),
    "kit-needs": ("Requires: absent-below", "%files"),
    "kit-hates-bash": ("Conflicts: bash", "%files"),
    "kit-conflict": ("", FILE % ("/usr/bin", "x", "/usr/bin/bash", "/usr/bin/bash")),
    "kit-one": ("", FILE % ("/usr/share", "one", "/usr/share/kit-same", "/usr/share/kit-same")),
    "kit-two": ("", FILE % ("/usr/share", "two", "/usr/share/kit-same", "/usr/share/kit-same")),
    "kit-badpre": ("", "%pre\necho 'KIT: this package refuses to be installed' >&2\nexit 9\n%files"),
    "kit-endless": ("", "%pre\nsleep 97536\n%files"),
    "kit-badpretrans": ("", "%pretrans -p <lua>\nerror('KIT: never')\n%files"),
}


class Recorder:
    """Builds cases, each on a builder of its own."""

    def __init__(self, tools):
        self.shared = support.Shared.get()
        self.directory = os.path.join(self.shared.directory, "kit")
        os.makedirs(self.directory)
        for name, (head, rest) in HELPERS.items():
            self.rpmbuild("-bb", name, HEAD % (name, head, rest))
        self.kit = self.repository("kit", glob.glob(self.directory + "/RPMS/*/*.rpm") + [tools])

    def rpmbuild(self, how, name, text):
        """rpmbuild of a spec file's text on this machine."""
        spec = os.path.join(self.directory, name + ".spec")
        with open(spec, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(["rpmbuild", how, "--nodeps", "--define", "_topdir " + self.directory, "--define", "dist %{nil}", "--define", "recording 1", spec], check=True, capture_output=True)

    def repository(self, name, packages):
        """A served repository of those packages: its entry for a task."""
        directory = os.path.join(self.directory, name)
        os.makedirs(directory)
        for package in packages:
            shutil.copy(package, directory)
        subprocess.run(["createrepo_c", "-q", directory], check=True, capture_output=True)
        address, _ = support.serve(directory)
        return {"id": name, "name": name, "baseurl": address, "gpgcheck": False}

    def srpm(self, case):
        """The case's source package."""
        os.makedirs(self.directory + "/SOURCES", exist_ok=True)
        for name, text in case.sources.items():
            with open(os.path.join(self.directory, "SOURCES", name), "w", encoding="utf-8") as file:
                file.write(text)
        self.rpmbuild("-bs", case.name, case.spec())
        return os.path.join(self.directory, "SRPMS", case.name + "-1-1.src.rpm")

    def record(self, case):
        """Build it; the document that is kept."""
        root = tempfile.mkdtemp(dir=self.shared.directory, prefix="f.")
        os.chmod(root, 0o711)
        builder = support.Builder(self.shared, root)
        srpm = self.srpm(case)
        repositories = [self.kit] if "kit-" in case.requires else []
        what, _, where = case.trouble.partition(":")
        undo = []
        try:
            srpm, repositories = self.prepare(builder, what, where, srpm, repositories, undo)
            task = builder.task(srpm, repositories=repositories, **case.task)
            builder.upload(task, srpm)
            if what == "changed":
                with open(builder.state("attempts", task["attempt"], "input", task["source"]["file"]), "r+b") as file:
                    file.write(b"other")
            started = builder.start(task)
            if what == "kill":
                kill(started["pid"], where)
            if what == "stop":
                support.until_true(lambda: "+ sleep" in builder.log(task["attempt"]), "the build")
                os.kill(started["pid"], signal.SIGTERM)
            status = builder.wait(task["attempt"])
            return self.keep(case, builder, task, status)
        finally:
            builder.run("clean")
            for step in undo:
                step()
            subprocess.run(["rm", "-rf", root], check=False)

    def prepare(self, builder, what, where, srpm, repositories, undo):
        """Bring about the case's trouble; (source package, repositories)."""
        base = builder.definition["base"][0]
        if what == "disk":
            attempts = builder.state("attempts")
            os.makedirs(attempts)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", attempts], check=True)
            undo.append(lambda: subprocess.run(["umount", attempts], check=False))
        elif what == "memory":
            os.makedirs(MEMORY, exist_ok=True)
            with open(MEMORY + "/memory.limit_in_bytes", "w", encoding="ascii") as file:
                file.write("400M")
            builder.wrapper = ["sh", "-c", "echo $$ > %s/tasks; exec \"$@\"" % MEMORY, "sh"]
            undo.append(lambda: setattr(builder, "wrapper", []))
        elif what in ("damage", "cut"):
            link = os.path.join(builder.root, "usr/lib/verdigris/roots", support.CHROOT)
            os.unlink(link)
            subprocess.run(["cp", "-a", self.shared.image, link], check=True)
            path = os.path.join(link, where)
            with open(path, "r+b") as file:
                file.truncate(100 if what == "cut" else 0)
                if what == "damage":
                    file.write(b"\x01damaged\n")
        elif what == "unsigned":
            builder.define(base=[{**base, "gpgcheck": True, "gpgkey": public_key(self.directory)}])
        elif what == "base":
            builder.define(base=[{**base, "baseurl": where if "://" in where else base["baseurl"] + where}])
        elif what == "other":
            name, _, address = where.partition(":")
            repositories = [{"id": name, "name": name, "baseurl": address if "://" in address else base["baseurl"] + address, "gpgcheck": False}]
        elif what == "silent":
            # The kernel takes connections, and nobody answers them.
            server = socket.create_server(("127.0.0.1", 0))
            undo.append(server.close)
            address = "http://127.0.0.1:%d/" % server.getsockname()[1]
            if where == "base":
                builder.define(base=[{**base, "baseurl": address}])
            else:
                repositories = [{"id": where, "name": where, "baseurl": address, "gpgcheck": False}]
        elif what == "repo":
            repositories = [self.spoiled(where)]
        elif what == "srpm":
            short = os.path.join(builder.root, os.path.basename(srpm))
            with open(srpm, "rb") as good, open(short, "wb") as file:
                file.write(good.read()[:3000])
            srpm = short
        return srpm, repositories

    def spoiled(self, how):
        """A repository in which something is not what its metadata say."""
        entry = self.repository("spoiled-" + how, glob.glob(self.directory + "/RPMS/noarch/kit-extra-*.rpm"))
        directory = os.path.join(self.directory, "spoiled-" + how)
        target = {"gone": "*.rpm", "changed": "*.rpm", "primary": "repodata/*primary.xml*", "repomd": "repodata/repomd.xml"}[how]
        path = glob.glob(os.path.join(directory, target))[0]
        if how == "gone":
            os.unlink(path)
        else:
            with open(path, "r+b") as file:
                file.seek(os.path.getsize(path) // 2)
                file.write(b"something else")
        return {**entry, "id": "verdigris_project"}

    def keep(self, case, builder, task, status):
        """Write the logs down; what else a replay needs."""
        attempt, verdict = task["attempt"], status["verdict"]
        live = builder.log(attempt)
        readings = [line for line in live.splitlines() if line.startswith("=== Measured: ")]
        directory = os.path.join(HERE, "recorded", case.name)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        for name in ("build.log", "root.log"):
            try:
                data = builder.result(attempt, name)
            except FileNotFoundError:
                continue
            with open(os.path.join(directory, name), "wb") as file:
                file.write(shortened(data.replace(self.shared.directory.encode(), b"/tests")))
        prefix = "the build root is damaged: "
        damaged = verdict["reason"][len(prefix):].split(", ") if verdict["reason"].startswith(prefix) else []
        measured = json.loads(readings[-1][14:]) if readings else None
        repositories = [{"gpgkey": None, "priority": None, **entry} for entry in task["repositories"]]
        print(case.name, verdict["blame"], verdict["kind"], (verdict["evidence"] or {}).get("text", "-")[:100], flush=True)
        return {"end": replay.end_of(case, verdict, measured, repositories), "measured": measured, "damaged": damaged}


def shortened(data):
    """The ends of a log; as all files here without spaces at the ends of lines."""
    lines = [line.rstrip(b" \t") for line in data.rstrip(b"\n").split(b"\n")]
    if len(lines) > 2 * KEPT:
        lines = lines[:KEPT] + lines[-KEPT:]
    return b"\n".join(line[:LONGEST] for line in lines) + b"\n"


def kill(supervisor, word):
    """Kill the first process of the build that has the word in its command line."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for pid in processes.descendants(supervisor):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            except OSError:
                continue
            wanted = line.startswith("rpmbuild -bb") and support.processes_with("sleep 97533") if word == "rpmbuild" else word in line and "bash -c" not in line and "/bin/sh" not in line
            if wanted:
                os.kill(pid, signal.SIGKILL)
                return
        time.sleep(0.02)
    raise AssertionError("no process %s" % word)


def public_key(directory):
    """An armored public key that has signed nothing."""
    home = os.path.join(directory, "gpg")
    os.makedirs(home, mode=0o700, exist_ok=True)
    options = ["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*options, "--quick-gen-key", "nobody@example.org", "rsa2048", "sign", "never"], check=True, capture_output=True)
    return subprocess.run([*options, "--armor", "--export"], check=True, capture_output=True, text=True).stdout


def main():
    """Record the named cases, or all."""
    tools, names = sys.argv[1], sys.argv[2:]
    recorder = Recorder(tools)
    path = os.path.join(HERE, "recorded.json")
    known = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
    for case in cases.CASES:
        if names and case.name not in names:
            continue
        try:
            known[case.name] = recorder.record(case)
        except Exception as error:
            print(case.name, "NOT RECORDED:", repr(error)[:300], getattr(error, "stderr", b"")[-300:], flush=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(dict(sorted(known.items())), file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
