"""Real builds through the chroot driver: results, logs, requirements, blame."""

import json
import os
import subprocess
import unittest

from support import BuilderTest, package_repository, serve

LOGS = ["build.log", "builder-live.log", "hw_info.log", "installed_pkgs.log", "results.json", "root.log", "state.log", "success"]


class Succeeding(BuilderTest):
    """Builds that end well."""

    def test_hello_builds_and_leaves_the_result_files_of_mock(self):
        task, status = self.builder.build("hello")
        self.assert_verdict(status, result="succeeded", blame=None, kind="ok", exit=0)
        self.assertEqual((status["state"], status["phase"]), ("finished", "done"))
        attempt = task["attempt"]
        made = ["hello-1.0-1.md1.src.rpm", "hello-1.0-1.md1.x86_64.rpm", "hello.spec"]
        self.assertEqual(sorted(self.builder.names(attempt)), sorted(LOGS + made))
        self.assertIn(b"Name: ", self.builder.result(attempt, "hello.spec"))
        packages = json.loads(self.builder.result(attempt, "results.json"))["packages"]
        want = {"name": "hello", "epoch": None, "version": "1.0", "release": "1.md1"}
        self.assertEqual(packages, [{**want, "arch": "src"}, {**want, "arch": "x86_64"}])
        self.assertIn(b"hello from verdigris", self.builder.result(attempt, "build.log"))
        self.assertRegex(self.builder.result(attempt, "installed_pkgs.log").decode(), r"(?m)^gcc-\S+ \d+ \d+ [0-9a-f]{32} installed$")
        self.assertIn(b"CMD: lscpu", self.builder.result(attempt, "hw_info.log"))
        log = self.builder.log(attempt)
        for text in ("Start: rpmbuild", "hello from verdigris", "Verdict: succeeded"):
            self.assertIn(text, log)
        self.assertEqual(status["log_size"], len(self.builder.result(attempt, "builder-live.log")))

    def test_a_program_builds_against_a_library_of_the_projects_own_repository(self):
        library, status = self.builder.build("libgreet")
        self.assert_verdict(status, result="succeeded")
        repository, server = package_repository(self.shared, self.builder, [library["attempt"]], "project")
        self.addCleanup(server.shutdown)
        task, status = self.builder.build("greeter", repositories=[repository])
        self.assert_verdict(status, result="succeeded")
        self.assertIn(b"good day, zlib", self.builder.result(task["attempt"], "build.log"))
        self.assertIn(b"libgreet-devel-2.1-1.md1", self.builder.result(task["attempt"], "installed_pkgs.log"))

    def test_a_newer_package_of_the_projects_repository_replaces_the_base_roots(self):
        # The comma is one of dnf's signs between two addresses.
        directory = os.path.join(self.builder.root, "served", "newer,er")
        spec = os.path.join(self.builder.root, "hostname.spec")
        with open(spec, "w", encoding="utf-8") as file:
            file.write("Name: hostname\nVersion: 99\nRelease: 1\nSummary: newer\nLicense: CC0-1.0\n%description\nnewer\n%files\n")
        subprocess.run(["rpmbuild", "-bb", "--target", "x86_64", "--define", "_rpmdir " + directory, "--define", "_topdir " + directory, spec],
                       check=True, capture_output=True)
        subprocess.run(["createrepo_c", "-q", directory], check=True, capture_output=True)
        address, server = serve(os.path.dirname(directory))
        self.addCleanup(server.shutdown)
        task, status = self.builder.build("hello", repositories=[{"id": "newer", "name": "n", "baseurl": address + "newer,er/", "gpgcheck": False}])
        self.assert_verdict(status, result="succeeded")
        self.assertIn(b"hostname-99-1.", self.builder.result(task["attempt"], "installed_pkgs.log"))

    def test_an_empty_project_repository_costs_no_dnf_run(self):
        directory = os.path.join(self.builder.root, "empty")
        os.makedirs(directory)
        subprocess.run(["createrepo_c", "-q", directory], check=True, capture_output=True)
        address, server = serve(directory)
        self.addCleanup(server.shutdown)
        task, status = self.builder.build("hello", repositories=[{"id": "mine", "name": "mine", "baseurl": address, "gpgcheck": False}])
        self.assert_verdict(status, result="succeeded")
        self.assertNotIn(b"Dependencies resolved", self.builder.result(task["attempt"], "root.log"))

    def test_conditionals_macros_and_additional_packages_reach_the_build(self):
        task, status = self.builder.build("conditional", **{"with": ["extra"], "without": ["usual"], "macros": {"%farm_color": "green; rm"},
                                                           "additional_packages": ["m4"]})
        self.assert_verdict(status, result="succeeded")
        self.assertIn(b"extra=1 usual=0 color=green; rm m4=/usr/bin/m4", self.builder.result(task["attempt"], "build.log"))

    def test_generated_build_requirements_are_installed(self):
        """Two rounds: what the second one generates is told by a tool of the first, and is a package of the project."""
        library, status = self.builder.build("libgreet")
        self.assert_verdict(status, result="succeeded")
        repository, server = package_repository(self.shared, self.builder, [library["attempt"]], "project")
        self.addCleanup(server.shutdown)
        task, status = self.builder.build("dynamic", repositories=[repository])
        self.assert_verdict(status, result="succeeded")
        root_log = self.builder.result(task["attempt"], "root.log")
        self.assertIn(b"Build requirements to install: (m4 if bash), m4\n", root_log)
        self.assertIn(b"Build requirements to install: (libgreet-devel >= 2 with libgreet-devel < 3)\n", root_log)
        document = self.builder.ok("manifest", "--attempt", task["attempt"])
        rpms = [entry["name"] for entry in document["files"] if entry["name"].endswith(".rpm")]
        self.assertEqual(rpms, ["dynamic-1-1.md1.src.rpm", "dynamic-1-1.md1.x86_64.rpm"])
        self.assertEqual(document["refused"], [])
        self.assertEqual(document["passed_over"], [{"name": "dynamic-1-1.md1.buildreqs.nosrc.rpm",
                                                    "reason": "it is not the source package of this build"}])

    def test_a_long_line_is_split_in_the_log(self):
        task, status = self.builder.build("longline")
        self.assert_verdict(status, result="succeeded")
        log = self.builder.result(task["attempt"], "builder-live.log")
        self.assertLessEqual(max(map(len, log.split(b"\n"))), 16384)
        self.assertEqual(log.count(b"x" * 1000 + b"\n") > 0, True)
        self.assertGreaterEqual(log.count(b"x"), 100000)


class Failing(BuilderTest):
    """Builds that end badly: who is to blame, and why."""

    def test_a_compiler_error_is_the_packages_fault_with_its_line(self):
        task, status = self.builder.build("broken")
        verdict = self.assert_verdict(status, result="failed", blame="package", kind="build", phase="build", exit=1)
        self.assertIn("%build", verdict["reason"])
        evidence = verdict["evidence"]
        self.assertEqual(evidence["log"], "build.log")
        lines = self.builder.result(task["attempt"], "build.log").decode().split("\n")
        self.assertIn("undeclared", lines[evidence["line"] - 1])
        self.assertIn("error:", evidence["text"])
        names = self.builder.names(task["attempt"])
        self.assertNotIn("success", names)
        self.assertIn("broken-1-1.md1.src.rpm", names)

    def test_missing_build_requirements_are_named(self):
        _, status = self.builder.build("unmet")
        verdict = self.assert_verdict(status, result="failed", blame="package", kind="dependencies", phase="dependencies")
        self.assertEqual(sorted(verdict["missing"]), ["nonesuch-devel >= 3", "pkgconfig(imaginary)"])
        self.assertIn("nonesuch-devel", verdict["reason"])
        self.assertEqual(verdict["evidence"]["log"], "root.log")
        self.assertIn("nonesuch-devel", verdict["evidence"]["text"])

    def test_a_rich_requirement_that_cannot_be_met_is_named(self):
        """dnf 4.14 names bash alone, which is installed."""
        _, status = self.builder.build("rich")
        verdict = self.assert_verdict(status, result="failed", blame="package", kind="dependencies", phase="dependencies")
        self.assertIn("(nonesuch if bash)", verdict["reason"])

    def test_what_rpmbuild_says_of_other_packages_decides_nothing_when_a_stage_prints_it(self):
        """As the test suites of rpm, mock and rpmlint do. The last output has no end of a line: rpmbuild 4.18 says its own right behind it."""
        _, status = self.builder.build("words")
        verdict = self.assert_verdict(status, result="failed", blame="package", kind="build", phase="build", exit=1, missing=[])
        self.assertEqual(verdict["reason"], "the %build stage failed: error: Failed build dependencies: bash conflicts with words-1-1.noarch")

    def with_requirement(self, requirement, name, **more):
        """The end of a build of a package with a requirement of the same project."""
        library, status = self.builder.build(requirement)
        self.assert_verdict(status, result="succeeded")
        repository, server = package_repository(self.shared, self.builder, [library["attempt"]], "project")
        self.addCleanup(server.shutdown)
        return self.builder.build(name, repositories=[repository], **more)[1]

    def test_a_requirement_that_spoils_the_build_root_is_the_packages_fault(self):
        verdict = self.assert_verdict(self.with_requirement("saboteur", "spoiled"), result="failed", blame="package", kind="build")
        self.assertIn("spoiled", verdict["reason"])

    def test_a_requirement_whose_scriptlet_never_ends_is_the_packages_fault_and_named(self):
        status = self.with_requirement("sleepy", "delayed", timeout_seconds=12)
        verdict = self.assert_verdict(status, result="failed", blame="package", kind="timeout", phase="dependencies")
        self.assertIn("a scriptlet of the build requirement sleepy-1-1", verdict["reason"])
        self.assertIn("scriptlet: sleepy-1-1", verdict["evidence"]["text"])

    def test_an_unpackaged_file_is_the_evidence(self):
        _, status = self.builder.build("unpackaged")
        verdict = self.assert_verdict(status, result="failed", blame="package")
        self.assertIn("/usr/share/forgotten-file", verdict["evidence"]["text"])

    def test_another_architecture_is_skipped(self):
        _, status = self.builder.build("elsewhere")
        self.assert_verdict(status, result="skipped", blame="package", kind="architecture")

    def test_a_damaged_srpm_is_the_packages_fault(self):
        bad = os.path.join(self.builder.root, "bad-1-1.src.rpm")
        with open(self.shared.srpm("hello"), "rb") as good, open(bad, "wb") as file:
            file.write(good.read()[:3000])
        task = self.builder.task(bad)
        self.builder.upload(task, bad)
        self.builder.start(task)
        self.assert_verdict(self.builder.wait(task["attempt"]), result="failed", blame="package", kind="source")

    def test_an_srpm_changed_after_the_upload_is_the_services_fault(self):
        srpm = self.shared.srpm("hello")
        task = self.builder.task(srpm)
        self.builder.upload(task, srpm)
        with open(self.builder.state("attempts", task["attempt"], "input", task["source"]["file"]), "r+b") as file:
            file.write(b"other")
        self.builder.start(task)
        self.assert_verdict(self.builder.wait(task["attempt"]), result="failed", blame="service", kind="source")

    def test_an_unreachable_base_repository_is_the_infrastructures_fault(self):
        base = [{**self.builder.definition["base"][0], "baseurl": "http://127.0.0.1:1/"}]
        self.builder.define(base=base)
        _, status = self.builder.build("hello")
        verdict = self.assert_verdict(status, result="failed", blame="infrastructure", kind="repository", phase="root")
        self.assertIn("http://127.0.0.1:1/", verdict["reason"])

    def test_an_unreachable_project_repository_is_the_infrastructures_fault(self):
        gone = {"id": "gone", "name": "gone", "baseurl": "http://127.0.0.1:1/", "gpgcheck": False}
        _, status = self.builder.build("hello", repositories=[gone])
        self.assert_verdict(status, result="failed", blame="infrastructure", kind="repository", phase="dependencies")

    def test_an_additional_repository_that_cannot_be_read_is_the_packages_fault(self):
        said = {"http://127.0.0.1:1/x/": "Curl error (7): ", self.shared.base_url + "nonesuch/": "Status code: 404 for "}
        for address, words in said.items():
            with self.subTest(address=address):
                named = {"id": "additional_0", "name": address + "?priority=5", "baseurl": address, "gpgcheck": False}
                task, status = self.builder.build("hello", repositories=[named])
                verdict = self.assert_verdict(status, result="failed", blame="package", kind="repository", phase="dependencies")
                self.assertIn("the additional repository %s?priority=5 cannot be read: %s" % (address, words), verdict["reason"])
                self.assertEqual(verdict["evidence"]["log"], "root.log")
                self.assertIn(address + "repodata/repomd.xml", verdict["evidence"]["text"])
                self.assertIn(words, self.builder.result(task["attempt"], "root.log").decode())

    def test_a_build_that_is_killed_with_all_its_processes_says_so(self):
        _, status = self.builder.build("killed")
        verdict = self.assert_verdict(status, result="failed", blame="package", kind="build", phase="build", exit=137)
        self.assertEqual(verdict["reason"], "the build was killed by SIGKILL")

    def test_a_build_tree_replaced_by_a_link_gives_nothing_of_the_host(self):
        task, status = self.builder.build("vanish")
        self.assert_verdict(status, result="failed", blame="package")
        self.assertEqual([name for name in self.builder.names(task["attempt"]) if name.endswith(".rpm")], [])


class Roots(BuilderTest):
    """The base root: taken from the image, made, replaced."""

    def test_a_root_that_does_not_fit_the_repository_is_replaced_by_an_own_one(self):
        link = os.path.join(self.builder.root, "usr/lib/verdigris/roots/microdistro-1-x86_64")
        os.unlink(link)
        os.makedirs(link)
        with open(os.path.join(link, ".verdigris-root.json"), "w", encoding="utf-8") as file:
            json.dump({"chroot": "microdistro-1-x86_64", "repomd_sha256": "0" * 64, "packages": ["microdistro-buildroot"]}, file)
        stale = self.builder.state("roots", "microdistro-1-x86_64-0123456789ab")
        os.makedirs(stale)
        self.assertFalse(self.builder.ok("ready", "--chroot", "microdistro-1-x86_64")["base_root"]["fresh"])
        task, status = self.builder.build("hello")
        self.assert_verdict(status, result="succeeded")
        self.assertIn(b"(made now)", self.builder.result(task["attempt"], "root.log"))
        self.assertFalse(os.path.exists(stale))
        ready = self.builder.ok("ready", "--chroot", "microdistro-1-x86_64")
        self.assertEqual((ready["ready"], ready["problems"], ready["base_root"]["fresh"]), (True, [], True))
        task, status = self.builder.build("hello")
        self.assertIn(b"(there already)", self.builder.result(task["attempt"], "root.log"))

    def test_buildroot_packages_that_do_not_exist_are_not_the_packages_fault(self):
        _, status = self.builder.build("hello", buildroot_packages=["no-such-buildroot"])
        verdict = self.assert_verdict(status, result="failed", blame="infrastructure", kind="root", phase="root")
        self.assertEqual(verdict["missing"], ["no-such-buildroot"])

    def test_ready_says_what_is_wrong(self):
        status, document = self.builder.refused("ready", "--chroot", "fedora-99-x86_64")
        self.assertEqual((status, document["ready"]), (1, False))
        self.assertIn("fedora-99-x86_64", " ".join(document["problems"]))


if __name__ == "__main__":
    unittest.main()
