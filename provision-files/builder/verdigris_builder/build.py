"""What both drivers share: the build's context, staging of the source, the hardware note, results.json."""

import hashlib
import json
import os
import platform
import subprocess

from . import collect, command, dnf, files, paths
from .errors import service_fault
from .livelog import BuildLog

HARDWARE = ("uname -a", "lscpu", "free -m", "df -h .")
# Every line is whole by itself: for a file that rpm cannot read there is none.
QUERY = "%{NAME}\\t%{EPOCH}\\t%{VERSION}\\t%{RELEASE}\\t%|SOURCEPACKAGE?{src}:{%{ARCH}}|\\n"


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
        path = os.path.join(self.attempt.input, source["file"])
        digest = hashlib.sha256()
        try:
            directory = os.open(self.attempt.input, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            descriptor = files.open_regular(source["file"], directory)
            os.close(directory)
            with os.fdopen(descriptor, "rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
        except OSError as error:
            raise service_fault("source", "the SRPM cannot be read on the builder: %s" % error) from error
        if digest.hexdigest() != source["sha256"]:
            raise service_fault("source", "the SRPM on the builder has another SHA-256 than the task says")
        self.log.say("%s (%d bytes, SHA-256 %s)" % (source["file"], source["size"], source["sha256"]))
        return path

    def write_results_json(self):
        """results.json as Copr's clients know it, from the headers of the collected packages."""
        packages = sorted(name for name in os.listdir(self.attempt.results) if name.endswith(".rpm"))
        found = []
        if packages:
            arguments = ["rpm", "-qp", "--nosignature", "--nodigest", "--qf", QUERY,
                         *[os.path.join(self.attempt.results, name) for name in packages]]
            _, text = command.output(arguments, {"HOME": dnf.rpm_home(self.chroot["dbpath"])})
            for row in [line.split("\t") for line in text.splitlines() if line.count("\t") == 4]:
                epoch = int(row[1]) if row[1].isdigit() else None
                found.append({"name": row[0], "epoch": epoch, "version": row[2], "release": row[3], "arch": row[4]})
        data = json.dumps({"packages": found}, indent=4).encode() + b"\n"
        files.write_atomically(os.path.join(self.attempt.results, "results.json"), data)

    def close(self):
        """Write down what was refused and close the logs."""
        self.join_background()
        if self.collector.refused:
            for entry in self.collector.refused:
                self.log.say("Refused result %s: %s" % (entry["name"], entry["why"]))
            files.write_json(self.attempt.refused, self.collector.refused)
        self.log.close()
        self.collector.close()


def rpm_arch(chroot):
    """The architecture as rpmbuild's --target wants it."""
    return {"i386": "i686"}.get(chroot["arch"], chroot["arch"])


def other_personality(chroot):
    """Whether the chroot is a 32-bit one on a 64-bit machine."""
    return chroot["arch"] in ("i386", "i586", "i686", "armhfp", "armv7hl") and platform.machine() in ("x86_64", "aarch64")
