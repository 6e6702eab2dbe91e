"""What both drivers share: the build's context, staging of the source, the hardware note, results.json."""

import hashlib
import json
import os
import struct
import subprocess

from . import collect, command, dnf, files, paths, wording
from .errors import service_fault
from .livelog import BuildLog

HARDWARE = ("uname -a", "lscpu", "free -m", "df -h .")
# Every line is whole by itself: for a file that rpm cannot read there is none. The last column ends the file's name.
QUERY = ("%{NAME}\\t%{EPOCH}\\t%{VERSION}\\t%{RELEASE}\\t%|SOURCEPACKAGE?{src}:{%{ARCH}}|\\t"
         "%|SOURCEPACKAGE?{%|NOSOURCE?{nosrc}:{%|NOPATCH?{nosrc}:{src}|}|}:{%{ARCH}}|\\n")


class Build:
    """One attempt inside the driver process."""

    def __init__(self, attempt, task, chroot):
        self.attempt, self.task, self.chroot = attempt, task, chroot
        self.log = BuildLog(attempt.results, task["limits"]["log_bytes"])
        self.phase = "staging"
        self.collector = collect.Collector(attempt.results, task["limits"])
        self.background = []

    def enter(self, phase, what):
        """Begin a phase: people see it in the logs, `status` in the phase file."""
        self.phase = phase
        self.attempt.write_phase(phase)
        self.log.state("Start: %s" % what)

    def background_output(self, argv, name, environment=None):
        """Run a harmless program beside the build, its output becomes a result file."""
        with open(os.path.join(self.attempt.results, name), "wb") as file:
            self.background.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                                                    env={**command.ENVIRONMENT, **(environment or {})}, cwd=paths.STATE))

    def join_background(self):
        """Wait for those programs; they end by themselves in milliseconds."""
        for process in self.background:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
        self.background.clear()

    def stage(self):
        """Greet, note the hardware, check that the source is what the task announced. Returns the SRPM's path."""
        self.enter("staging", "staging of build %d of %s/%s for %s" % (
            self.task["build"], self.task["project"]["owner"], self.task["project"]["name"], self.chroot["name"]))
        script = "".join("echo 'CMD: %s'; %s; echo; " % (line, line) for line in HARDWARE)
        self.background_output(["sh", "-c", script], "hw_info.log")
        source = self.task["source"]
        path = announced(self.attempt.input, source)
        self.log.say("%s (%d bytes, SHA-256 %s)" % (source["file"], source["size"], source["sha256"]))
        return path

    def write_results_json(self):
        """results.json as Copr's clients know it, from the headers of the collected packages."""
        found = []
        for row in self.rows(self.settle()):
            epoch = int(row[1]) if row[1].isdigit() else None
            found.append({"name": row[0], "epoch": epoch, "version": row[2], "release": row[3], "arch": row[4]})
        data = json.dumps({"packages": found}, indent=4).encode() + b"\n"
        files.write_atomically(os.path.join(self.attempt.results, "results.json"), data)

    def settle(self):
        """Pass over what rpmbuild cannot have written: a package whose file has another name than its header says. The names left.

        A package that this machine's rpm cannot read stays: the worker decides about it.
        """
        packages = sorted(name for name in os.listdir(self.attempt.results) if name.endswith(".rpm"))
        right = {file_name(row) for row in self.rows(packages)}
        for name in [name for name in packages if name not in right]:
            rows = self.rows([name])
            if rows:
                self.collector.drop(name, "it holds the package %s" % collect.shown(file_name(rows[0])))
                packages.remove(name)
        return packages

    def rows(self, packages):
        """What the headers of results say, in the columns of QUERY: a row for each that can be read."""
        if not packages:
            return []
        arguments = ["rpm", "-qp", "--nosignature", "--nodigest", "--qf", QUERY, *[os.path.join(self.attempt.results, name) for name in packages]]
        _, text = command.output(arguments, {"HOME": dnf.rpm_home(self.chroot["dbpath"])})
        return [line.split("\t") for line in text.splitlines() if line.count("\t") == 5]

    def note(self, readings):
        """Keep what was measured, for people who doubt the verdict."""
        self.log.say("=== Measured: %s" % json.dumps(readings))

    def close(self):
        """Write down what was left behind and close the logs."""
        self.join_background()
        refused, passed_over = self.collector.refused, self.collector.passed_over
        for entry in refused:
            self.log.say("Refused result %s: %s" % (entry["name"], entry["why"]))
        for entry in passed_over:
            self.log.say("Passed over %s: %s" % (entry["name"], entry["reason"]))
        if refused or passed_over:
            files.write_json(self.attempt.left, {"refused": refused, "passed_over": passed_over})
        self.log.close()
        self.collector.close()


def announced(place, source):
    """The path of the source package in that directory, which has to be what the task announced."""
    digest = hashlib.sha256()
    try:
        directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = files.open_regular(source["file"], directory)
        finally:
            os.close(directory)
        with os.fdopen(descriptor, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise service_fault("source", "the SRPM cannot be read on the builder: %s" % wording.of(error)) from error
    if digest.hexdigest() != source["sha256"]:
        raise service_fault("source", "the SRPM on the builder has another SHA-256 than the task says")
    return os.path.join(place, source["file"])


def package_format(path):
    """The format of an RPM package's file: what its header says in RPMFORMAT (tag 5114), else 4, also for a file that is damaged."""
    try:
        return _format(path)
    except struct.error:
        return 4


def _format(path):
    with open(path, "rb") as file:
        def header(at):
            file.seek(at)
            count, size = struct.unpack(">8xII", file.read(16))
            return at + 16, count, at + 16 + 16 * count + size

        _, _, end = header(96)
        index, count, _ = header(end + -end % 8)
        for tag, kind, offset, _ in struct.iter_unpack(">IIII", file.read(16 * count)):
            if (tag, kind) == (5114, 4):
                file.seek(index + 16 * count + offset)
                return struct.unpack(">I", file.read(4))[0]
    return 4


def file_name(row):
    """The name under which rpmbuild writes the package of a row of QUERY."""
    return "%s-%s-%s.%s.rpm" % (row[0], row[2], row[3], row[5])


def stray(name, source=False):
    """Why an entry of RPMS or SRPMS is no result, by its name, or None."""
    if not name.endswith(".rpm"):
        return "it is no package"
    if name.endswith((".src.rpm", ".nosrc.rpm")) != source:
        return "it is no source package" if source else "it is a source package"
    return None


def no_spec(name):
    """Why an entry of a directory with the spec file is no result, by its name, or None."""
    return None if name.endswith(".spec") else "it is no spec file"
