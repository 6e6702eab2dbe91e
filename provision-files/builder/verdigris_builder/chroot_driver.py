"""Our own driver: an overlay over a base root, dnf for the requirements, rpmbuild in the sandbox. Same result files as mock.

Order: what the driver writes into the root as root is written before any hostile code has run there; afterwards it only reads the overlay's
upper layer, component by component, without following links, when nothing of the build runs any more.
"""

import errno
import os
import re
import shutil

from . import build as builds
from . import chroots, dnf, evidence, fetching, files, measured, mounting, paths, roots, sandbox, verdicts, wording
from .errors import infrastructure_fault, package_fault

TREE = "builddir/build"
UNMET = re.compile(r"^\s*(\S.*?) is needed by \S+$", re.MULTILINE)
UNMET_BEGIN = "error: Failed build dependencies:"
MISSING_STATUS = 11
CONFLICT = re.compile(r"^\s*(\S.*?) conflicts with \S+$", re.MULTILINE)
UNPACK = """cd /builddir/build
rpm -i --nosignature /builddir/in.src.rpm || exit 100
set -- "$@" SPECS/*.spec
for last; do :; done
[ -f "$last" ] || exit 101
[ "$(ls SPECS | wc -l)" = 1 ] || exit 101
"""
SOURCE_SCRIPT = UNPACK + 'exec rpmbuild -bs --nodeps "$@"'
SPEC_SCRIPT = 'cd /builddir/build; how=$1 spec=$2; shift 2; exec rpmbuild $how "$@" "SPECS/$spec"'
STARTED = (b"Executing(", b"Processing files:")
ROUNDS = 12


class ChrootDriver:
    """Runs one Build to its end; raises BuildStop for every end but success."""

    def __init__(self, build):
        self.build, self.task, self.chroot, self.log = build, build.task, build.chroot, build.log
        self.scratch = build.attempt.scratch
        self.root = os.path.join(self.scratch, "root")
        self.upper = os.path.join(self.scratch, "upper")
        self.status = None
        self.sources = []
        self.spec = None  # its name, once the source package is made
        self.measure = None
        self.installed_with = ""  # what dnf said when it last installed build requirements

    def run(self):
        """The whole build; the exit status of rpmbuild is in `status`."""
        source = self.build.stage()
        self.enter_root(source)
        try:
            self.make_source()
            self.requirements()
            self.binary()
        finally:
            self.build.join_background()  # the list of installed packages is read from the root that goes away now
            mounting.unmount_below(self.root)
            self.collect_source()
        self.build.enter("collect", "collecting results")
        self.collect_packages()
        self.build.write_results_json()

    def enter_root(self, source):
        """Base root, overlay, /proc and /dev, the build user, macros, the SRPM."""
        self.build.enter("root", "build root")
        packages = self.task["buildroot_packages"] or self.chroot["buildroot_packages"]
        base, made = roots.obtain(self.chroot, packages, self.log)
        self.log.write("root.log", ("Base root %s (%s)\n" % (base, "made now" if made else "there already")).encode())
        for name in ("root", "upper", "work"):
            os.makedirs(os.path.join(self.scratch, name))
        mounting.overlay(base, self.upper, os.path.join(self.scratch, "work"), self.root)
        mounting.api_filesystems(self.root)
        self.manager = dnf.Dnf(self.chroot, self.task["repositories"], os.path.join(self.scratch, "dnf"), self.log)
        self.measure = measured.Measured(self.scratch, self.build.attempt.cgroup())
        self.make_user()
        self.make_tree(source)

    def make_user(self):
        """passwd, group, hosts (or rpmbuild cannot name its host), resolv.conf only with network."""
        etc = os.path.join(self.root, "etc")
        entries = {"passwd": "%s:x:%d:%d::/builddir:/bin/bash\n" % (paths.BUILD_USER, paths.BUILD_UID, paths.BUILD_UID),
                   "group": "%s:x:%d:\n" % (paths.BUILD_USER, paths.BUILD_UID)}
        for name, entry in entries.items():
            path = os.path.join(etc, name)
            text = files_text(path)
            if not text.endswith("\n") and text:
                text += "\n"
            write_inside(path, text + entry)
        write_inside(os.path.join(etc, "hosts"), "127.0.0.1 localhost localhost.localdomain %s\n::1 localhost\n" % sandbox.HOST_NAME)
        resolver = files_text("/etc/resolv.conf") if self.task["enable_net"] else ""
        write_inside(os.path.join(etc, "resolv.conf"), resolver)

    def make_tree(self, source):
        """/builddir with rpmbuild's directories, the macros and the SRPM (a hard link where possible)."""
        home = os.path.join(self.root, "builddir")
        os.makedirs(home, exist_ok=True)
        os.makedirs(os.path.join(home, "build"))
        for name in ("BUILD", "BUILDROOT", "RPMS", "SOURCES", "SPECS", "SRPMS"):
            os.mkdir(os.path.join(home, "build", name))
            os.chown(os.path.join(home, "build", name), paths.BUILD_UID, paths.BUILD_UID)
        for path in (home, os.path.join(home, "build")):
            os.chown(path, paths.BUILD_UID, paths.BUILD_UID)
        macros = {"_topdir": "/builddir/build",
                  **self.chroot["macros"], **self.task["macros"]}
        write_inside(os.path.join(home, ".rpmmacros"), "".join("%%%s %s\n" % item for item in macros.items()))
        inside = os.path.join(home, "in.src.rpm")
        shutil.copyfile(source, inside)
        os.chmod(inside, 0o644)

    def options(self):
        """rpmbuild's options for this task."""
        found = ["--target", chroots.rpm_arch(self.chroot)]
        for name in self.task["with"]:
            found += ["--with", name]
        for name in self.task["without"]:
            found += ["--without", name]
        return found

    def inside(self, script, arguments, sink, network=False):
        """Run a shell script of ours in the sandbox; the arguments are its positional parameters."""
        argv = ["/bin/bash", "-c", script, "sh", *arguments]
        personality = chroots.personality(self.chroot)
        if personality:
            argv = ["/usr/bin/setarch", personality, *argv]
        return sandbox.run(self.root, argv, sink, self.measure, network)

    def make_source(self):
        """Unpack the SRPM and build it again inside, so that its requirements are those of this chroot."""
        self.build.enter("source", "source package")
        status = self.inside(SOURCE_SCRIPT, self.options(), self.log.sink("build.log"))
        self.status = status
        if status in (100, 101):
            number = builds.package_format(os.path.join(self.build.attempt.input, self.task["source"]["file"]))
            raise not_unpacked(status, number, self.build.attempt.results)
        if status != 0:
            self.failed("spec", status)
        self.sources = self.in_tree("SRPMS", lambda directory: [name for name in os.listdir(directory) if builds.stray(name, source=True) is None])
        self.spec = next((name for name in self.in_tree("SPECS", os.listdir) if name.endswith(".spec")), None)
        if not self.sources or not self.spec:
            raise package_fault("source", "rpmbuild made no source package")

    def failed(self, kind, status):
        """Raise the verdict of an rpmbuild that failed; never returns."""
        results = self.build.attempt.results
        if status == 125:
            raise infrastructure_fault("mount", "the sandbox of the build cannot be made", exit=status, find=("build.log", "verdigris sandbox"))
        readings = self.measure.document()
        self.build.note(readings)
        raise verdicts.of_rpmbuild(results, status, kind, self.chroot["arch"], readings, self.damaged)

    def damaged(self):
        """Files of the base root that are not as their packages say. What this build has changed lies in the upper layer: only scriptlets of
        its requirements can have done that, and would do it on any builder."""
        names = measured.damaged_files(self.root, self.chroot["dbpath"])
        return [name for name in names if not os.path.lexists(self.upper + name)]

    def requirements(self):
        """What has to be there before rpmbuild is asked: newer packages that the project offers, and the task's own wishes."""
        self.build.enter("dependencies", "build requirements")
        self.offered_upgrades()
        if self.task["additional_packages"]:
            self.manager.additional(self.root, self.task["additional_packages"])

    def offered_upgrades(self):
        """Repositories of the project may replace packages of the base root; an empty or disjoint one costs no dnf run."""
        if not self.task["repositories"]:
            return
        _, text = dnf.rpm_query(self.root, self.chroot["dbpath"], "-qa", "--qf", "%{NAME}\\n")
        installed = set(text.split())
        for entry in self.task["repositories"]:
            names = fetching.package_names(entry, self.chroot)
            if names is None or names & installed:
                self.manager.upgrade(self.root)
                return

    def in_tree(self, where, look):
        """What `look` makes of a descriptor of SRPMS or SPECS, which the build user may have replaced by anything."""
        try:
            upper = os.open(self.upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                directory = files.open_directory(TREE + "/" + where, upper)
            finally:
                os.close(upper)
            try:
                return look(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise package_fault("source", "the source package made inside cannot be read: %s" % wording.of(error)) from error

    def source_package(self):
        """A private name for the package whose requirements are to be installed: the one that rpmbuild leaves for those that were
        generated, else the source package."""
        target = os.path.join(self.scratch, "requirements.src.rpm")

        def link(directory):
            generated = [name for name in sorted(os.listdir(directory)) if name.endswith(".buildreqs.nosrc.rpm") and name not in self.sources]
            name = (generated or self.sources)[0]
            os.close(files.open_regular(name, directory))
            if os.path.lexists(target):
                os.unlink(target)
            os.link(name, target, src_dir_fd=directory, follow_symlinks=False)
        self.in_tree("SRPMS", link)
        return target

    def binary(self):
        """rpmbuild -bb in the sandbox. It says itself what is missing, so dnf (a third of a second and more) runs only then; the same
        loop serves %generate_buildrequires, whose needs are known only after each round."""
        earlier = None
        for _ in range(ROUNDS):
            # The spec file is read before the first stage begins, and runs what it names in %(): that is the package's own time already.
            self.build.enter("spec", "spec file")
            gate = Gate(self)
            status = self.inside(SPEC_SCRIPT, ["-bb --noclean", self.spec, *self.options()], gate.write, self.task["enable_net"])
            self.status = status
            missing = gate.missing(status)
            if not missing or missing == earlier:
                break
            earlier = missing
            self.build.enter("dependencies", "generated build requirements" if gate.opened else "missing build requirements")
            self.log.write("root.log", ("Build requirements to install: %s\n" % ", ".join(missing[:200])).encode())
            self.installed_with = self.manager.build_requirements(self.root, self.source_package(), missing)
        gate.open()
        self.log.state("Finish: rpmbuild (exit status %d)" % status)
        if missing:
            raise unmet(missing, status, self.installed_with)
        if status != 0:
            self.failed("build", status)

    def collect_source(self):
        """The rebuilt source package and the spec file are results of failed builds too; what is wrong with them shows elsewhere."""
        def stray(name):
            why = builds.stray(name, source=True)
            return why or (None if name in self.sources else "it is not the source package of this build")
        def no_spec(name):
            return builds.no_spec(name) or (None if self.spec in (None, name) else "it is not the spec file of this build")
        for where, why_not in (("SRPMS", stray), ("SPECS", no_spec)):
            try:
                self.take(where, why_not)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise

    def collect_packages(self):
        """Every package under RPMS and its architectures' directories."""
        try:
            for name in self.take("RPMS", builds.stray):
                self.take("RPMS/" + name, builds.stray)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            self.build.collector.refuse("RPMS", "it is no plain directory any more")

    def take(self, where, stray):
        """Collect one directory of the build tree's upper layer; names of its subdirectories."""
        upper = os.open(self.upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            directory = files.open_directory(TREE + "/" + where, upper)
        finally:
            os.close(upper)
        try:
            self.build.collector.take(directory, stray)
            return [entry.name for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
        finally:
            os.close(directory)


class Gate:
    """Holds back what rpmbuild says until its first stage begins: a run that only finds requirements missing leaves no trace in build.log."""

    def __init__(self, driver):
        self.driver, self.held, self.tail, self.opened = driver, [], dnf.Tail(64 << 10), False

    def write(self, data):
        """The sink of the run."""
        self.tail.add(data)
        if self.opened:
            self.driver.log.write("build.log", data)
            return
        self.held.append(data)
        if any(word in self.tail.data for word in STARTED) or len(self.held) > 1000:
            self.open()

    def open(self):
        """The build proper begins: the phase changes, the packages it builds with are noted, what was held back is shown."""
        if self.opened:
            return
        self.opened = True
        driver = self.driver
        driver.build.enter("build", "rpmbuild")
        query = ["rpm", "--root", driver.root, "-qa", "--qf", "%{nevra} %{buildtime} %{size} %{pkgid} installed\\n"]
        driver.build.background_output(query, "installed_pkgs.log", {"HOME": dnf.rpm_home(driver.chroot["dbpath"])})
        for data in self.held:
            driver.log.write("build.log", data)

    def missing(self, status):
        """Requirements that ended the run, and conflicts as the whole line."""
        return missing_of(self.tail.text(), status, self.opened)


def missing_of(said, status, opened):
    """Requirements that ended an rpmbuild, and conflicts as the whole line, by its output; `opened` says that a stage had begun.

    rpm has status 11 for that since 4.15, which is also the first that finds requirements after a stage has begun; before, only the text
    tells, and from then on a stage may print the same.
    """
    before, found, text = said.rpartition(UNMET_BEGIN)
    if status == 0 or not found or (opened and status != MISSING_STATUS) or (before and not before.endswith("\n")):
        return []
    return UNMET.findall(text) + [found.group(0).strip() for found in CONFLICT.finditer(text)]


def unmet(missing, status, said):
    """The BuildStop of requirements that are not there though dnf, which said that much, did what it was asked."""
    failed = dnf.SCRIPTLET.search(said)
    if failed:
        line = failed.group(0).strip()
        return package_fault("dependencies", "a build requirement cannot be installed: " + line, exit=status, missing=missing, find=("root.log", line))
    conflicts = [name for name in missing if CONFLICT.match(name)]
    what = "the build requirements conflict" if conflicts else "the build requirements are not met"
    return package_fault("dependencies", "%s: %s" % (what, ", ".join((conflicts or missing)[:20])), exit=status,
                         missing=[name for name in missing if name not in conflicts], find=("build.log", (conflicts or missing)[0]))


def not_unpacked(status, number, results):
    """The BuildStop of a source package, of that format, that the script has not unpacked."""
    what = "cannot be unpacked" if status == 100 else "does not hold exactly one spec file"
    if status == 100 and number > 4:  # every rpm reads format 4
        what = "has the package format %d, and the rpm of the chroot cannot unpack it" % number
    return package_fault("source", "the SRPM %s" % what, exit=status, evidence=evidence.search(results).evidence)


def files_text(path):
    """A small text file, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def write_inside(path, text):
    """Replace a file in the root; a link of that name is removed, not followed."""
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
