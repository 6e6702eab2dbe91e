"""The mock driver: writes a configuration for the attempt, runs mock as an ordinary user of the group "mock", maps its exit codes.

mock refuses plain root, so it runs through `runuser` as the build user the provisioner made. What it leaves in its result directory was written
by a user hostile code may have influenced, so it is collected like everything else.
"""

import collections
import grp
import os
import pwd
import re
import shutil

from . import build as builds
from . import chroots, command, dnf, evidence, fetching, files, measured, paths, verdicts
from .errors import BuildStop, infrastructure_fault, package_fault, service_fault
from .repositories import Repositories

LOGS = ("build.log", "root.log", "state.log", "hw_info.log", "installed_pkgs.log")
# mock's documented exit codes that say at once whose fault it is; 1, 10, 30 and 40 need a look into the logs.
INFRASTRUCTURE = {20: "the chroot is invalid or cannot be set up", 25: "the chroot cannot be set up", 50: "a command of mock failed",
                  60: "the build root is locked by another process", 65: "the build root is locked by another process",
                  70: "the result directory cannot be made", 80: "mock could not leave its namespaces", 90: "the bootstrap chroot failed",
                  129: "mock was ended by SIGHUP", 137: "mock was killed", 141: "mock was ended by SIGPIPE", 143: "mock was ended by SIGTERM"}
SERVICE = {2: "mock was run without its wrapper", 3: "mock refuses its configuration", 5: "mock refuses its command line",
           6: "mock refuses the user it was run as", 110: "mock lost count of its own states"}
# What a 32-bit chroot can be built on; every other one is built on its own kind.
LEGAL_HOSTS = {"i686": ("i386", "i586", "i686", "x86_64"), "i586": ("i586", "i686", "x86_64"),
               "armv7hl": ("armv7l", "armv8l", "aarch64")}
MAIN = """[main]
keepcache=1
reposdir=/dev/null
logfile=/var/log/dnf.log
debuglevel=2
retries=3
obsoletes=1
gpgcheck=0
assumeyes=1
install_weak_deps=0
metadata_expire=0
best=1
protected_packages=
plugins=1
"""
UNPACK_SPEC = 'cd "$1" && rpm2cpio "$2" | cpio --extract --quiet --no-absolute-filenames "*.spec"'
SKIPPED = re.compile(r"(?:Architecture is (?:not included|excluded)|No compatible architectures found for build|"
                     r"is excluded by|no matching ExclusiveArch)", re.IGNORECASE)


def problems(chroot):
    """Why mock cannot be used for this chroot here; an empty list when it can."""
    found = []
    if shutil.which("mock", path=mock_path()) is None:
        found.append("mock is not installed")
    if not chroot["base"] and not os.path.isfile(site_configuration(chroot["name"])):
        found.append("there is no %s" % site_configuration(chroot["name"]))
    return found + membership()


def membership():
    """What is wrong with mock's user and group on this machine."""
    user, group = known(pwd.getpwnam, paths.MOCK_USER), known(grp.getgrnam, paths.MOCK_GROUP)
    lacking = ["the %s %s does not exist" % item for item, entry in ((("user", paths.MOCK_USER), user), (("group", paths.MOCK_GROUP), group)) if not entry]
    if not lacking and paths.MOCK_USER not in group.gr_mem and user.pw_gid != group.gr_gid:
        return ["the user %s is not in the group %s" % (paths.MOCK_USER, paths.MOCK_GROUP)]
    return lacking


def known(look, name):
    """The entry of a user or group, or None where the machine has none."""
    try:
        return look(name)
    except KeyError:
        return None


def only_mock(chroot, why):
    """The sentence for a chroot that nothing here can build for."""
    return "the chroot %s has no repositories, so only mock could build for it: %s" % (chroot["name"], "; ".join(why))


def mock_path():
    """Where mock is looked for."""
    return os.environ.get("VERDIGRIS_MOCK_PATH", command.ENVIRONMENT["PATH"])


def site_configuration(chroot):
    """The distribution's own configuration of a chroot that mock knows by its name (from mock-core-configs)."""
    return os.path.join(paths.MOCK_CONFIGS, chroot + ".cfg")


def configuration(task, chroot, directory):
    """The text of the attempt's mock configuration. Every value from outside is a Python literal made by repr().

    A chroot without repositories is one that mock knows by its name. Armored keys become files in the directory.
    """
    known = site_configuration(chroot["name"])
    lines = definition(chroot) if chroot["base"] else ["include(%r)" % known]
    # Without a terminal mock keeps rpmbuild's output to itself, and people want to follow it. "default" is whatever mock finds on this
    # machine; the runner has to know which one it is.
    isolation = "nspawn" if task["isolation"] == "nspawn" else "simple"
    lines += ["config_opts['root'] = %r" % chroot["name"], "config_opts['print_main_output'] = True", "config_opts['isolation'] = %r" % isolation,
              "config_opts['rpmbuild_networking'] = %r" % task["enable_net"], "config_opts['use_host_resolv'] = %r" % task["enable_net"],
              "config_opts['cleanup_on_success'] = True", "config_opts['cleanup_on_failure'] = True"]
    packages = task["buildroot_packages"] or chroot["buildroot_packages"]
    if packages:
        lines.append("config_opts['chroot_setup_cmd'] = %r" % ("install " + " ".join(packages)))
    if task["additional_packages"]:
        lines.append("config_opts['chroot_additional_packages'] = %r" % " ".join(task["additional_packages"]))
    for macro, value in {**chroot["macros"], **task["macros"]}.items():
        lines.append("config_opts['macros'][%r] = %r" % ("%" + macro, value))
    lines.append("_verdigris = 'dnf.conf' if 'dnf.conf' in config_opts else 'yum.conf'")
    for index, entry in enumerate(chroot["base"] + task["repositories"]):
        lines.append("config_opts[_verdigris] += %r" % section(entry, entry in chroot["base"], index, directory))
    return "\n".join(lines) + "\n"


def definition(chroot):
    """What a configuration of mock-core-configs would say, for a chroot of our own definition; its repositories are added later."""
    target = chroots.rpm_arch(chroot)
    manager = "dnf5" if dnf.manager() == "dnf5" else "dnf"
    options = {"target_arch": target, "legal_host_arches": LEGAL_HOSTS.get(target, (target,)), "dist": chroot["release"],
               "releasever": chroot["release"], "package_manager": manager, "dnf.conf": MAIN}
    return ["config_opts[%r] = %r" % item for item in options.items()]


def section(entry, base, index, directory):
    """One repository of dnf.conf."""
    lines = ["", "[%s]" % entry["id"], "name=" + entry["name"], "baseurl=" + fetching.whole(entry["baseurl"]), "enabled=1", "skip_if_unavailable=0",
             "metadata_expire=0", "cost=%d" % (1000 if base else 1), "best=1", "gpgcheck=%d" % entry["gpgcheck"]]
    if entry["gpgkey"]:
        lines.append("gpgkey=" + dnf.key_address(entry["gpgkey"], directory, index))
    if entry["priority"]:
        lines.append("priority=%d" % entry["priority"])
    return "\n".join(lines) + "\n"


class MockDriver:
    """Runs one Build to its end; raises BuildStop for every end but success."""

    def __init__(self, build):
        self.build, self.task, self.chroot, self.log = build, build.task, build.chroot, build.log
        self.status = self.measure = None
        self.directory = os.path.join(build.attempt.directory, "mock")

    def run(self):
        """The whole build."""
        source = self.build.stage()
        self.build.join_background()
        os.unlink(os.path.join(self.build.attempt.results, "hw_info.log"))  # mock writes its own
        user = known(pwd.getpwnam, paths.MOCK_USER)
        if user is None:
            raise infrastructure_fault("mock", "the builder has no user %s" % paths.MOCK_USER)
        results = os.path.join(self.directory, "results")
        os.makedirs(results, mode=0o755)
        os.chmod(self.directory, 0o711)
        config = os.path.join(self.directory, self.chroot["name"] + ".cfg")
        files.write_atomically(config, configuration(self.task, self.chroot, self.directory).encode())
        readable = os.path.join(self.directory, self.task["source"]["file"])
        os.link(source, readable)
        os.chmod(readable, 0o644)
        os.chown(results, user.pw_uid, user.pw_gid)
        self.measure = measured.Measured(self.directory, self.build.attempt.cgroup())
        self.build.enter("build", "mock")
        environment = {"PATH": mock_path(), "HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
        self.status = command.program(self.argv(config, readable, results), self.log.sink("mock.log"), environment)
        self.log.state("Finish: mock (exit status %d)" % self.status)
        self.build.enter("collect", "collecting results")
        self.collect(results)
        self.collect_spec(readable)
        if self.status != 0:
            self.build.settle()
            raise self.verdict()
        self.build.write_results_json()

    def argv(self, config, source, results):
        """The command line of mock."""
        argv = ["runuser", "-u", paths.MOCK_USER, "--", "mock", "-r", config, "--rebuild", source, "--resultdir", results,
                "--rpmbuild-opts=--noclean", "--verbose"]
        for name in self.task["with"]:
            argv += ["--with", name]
        for name in self.task["without"]:
            argv += ["--without", name]
        return argv

    def collect(self, results):
        """Packages and logs. mock's state.log takes the place of ours, whose lines are in the live log too."""
        self.log.close()
        directory = files.open_directory(results)
        if files.is_regular("state.log", directory):
            os.unlink(os.path.join(self.build.attempt.results, "state.log"))
        try:
            self.build.collector.take(directory, self.stray)
        finally:
            os.close(directory)

    def collect_spec(self, source):
        """The spec file out of the source package, which mock leaves in a root that it removes. A build is not judged by it."""
        user = pwd.getpwnam(paths.MOCK_USER)
        specs = os.path.join(self.directory, "specs")
        os.mkdir(specs, mode=0o700)
        os.chown(specs, user.pw_uid, user.pw_gid)
        command.output(["runuser", "-u", paths.MOCK_USER, "--", "sh", "-c", UNPACK_SPEC, "sh", specs, source])
        directory = files.open_directory(specs)
        try:
            self.build.collector.take(directory, builds.no_spec)
        finally:
            os.close(directory)

    def stray(self, name):
        """Why an entry of mock's result directory is no result, by its name, or None."""
        if name in LOGS or name.endswith((".src.rpm", ".nosrc.rpm")):
            return None
        if not name.endswith(".rpm"):
            return "it is no result of mock"
        return None if self.status == 0 else "the build failed"

    def verdict(self):
        """What mock's exit code says, and for the codes that leave it open what was measured and what the logs say."""
        results, status = self.build.attempt.results, self.status
        readings = self.measure.document()
        self.build.note(readings)
        full = evidence.search(results, "build.log").full or evidence.search(results, "root.log").full
        if verdicts.is_full(full, readings):
            return infrastructure_fault("disk", "no space left on device on the builder (in mock)", exit=status, evidence=full)
        if status in SERVICE:
            return service_fault("mock", SERVICE[status], exit=status, find=("mock.log", "ERROR"))
        if status in INFRASTRUCTURE:
            return infrastructure_fault("mock", "mock failed: " + INFRASTRUCTURE[status], exit=status, find=("mock.log", "ERROR"))
        if status == 11:
            return package_fault("timeout", "mock ended a command that took too long", exit=status)
        for log in ("build.log", "mock.log", "root.log"):
            for number, line in evidence.lines(results, log):
                if SKIPPED.search(line):
                    return BuildStop("skipped", "package", "architecture", "the package is not made for %s: %s" % (self.chroot["arch"], line.strip()),
                                     exit=status, evidence=evidence.shown(log, (number, line)))
        if status in (30, 31) or not evidence.search(results).evidence:
            used = Repositories(self.chroot, self.task["repositories"])
            stop = dnf.classify(tail(results, "root.log") + tail(results, "mock.log"), "the build requirements cannot be installed", used,
                                free=readings["least_free_bytes"])
            stop.more["exit"] = status
            return stop
        return verdicts.of_rpmbuild(results, status, "build", self.chroot["arch"], readings, None)


def tail(results, log, count=400):
    """The last lines of a log as text."""
    kept = collections.deque((line for _, line in evidence.lines(results, log)), count)
    return "\n".join(kept) + "\n"
