"""The mock driver against a STUB of mock: a script that records its arguments and leaves mock's files. mock itself cannot be installed where
these tests run, so they prove our side only: the configuration, the user, the mapping of exit codes, the collection. Like mock, the stub keeps
what the build prints to itself unless it is told otherwise or has a terminal.
"""

import json
import os
import unittest

from support import CHROOT, BuilderTest, processes_with

from verdigris_builder import mock_driver

STUB = r"""#!/bin/bash
here=$(dirname "$0")
while [ $# -gt 0 ]; do
    case $1 in
        --resultdir) results=$2 ;;
        --rebuild) source=$2 ;;
        -r) config=$2 ;;
    esac
    all+=("$1"); shift
done
printf '%s\n' "${all[@]}" > "$results/arguments.txt"
echo "user $(id -un)" > "$results/state.log"
cp "$config" "$results/hw_info.log"
echo "installed" > "$results/installed_pkgs.log"
echo "stub mock speaks"
grep -qF "config_opts['print_main_output'] = True" "$config" || [ -t 2 ] || exec >/dev/null
. "$here/behaviour"
"""


class StubMock(BuilderTest):
    """The stub runs as nobody, whose group stands for the group mock."""

    def setUp(self):
        super().setUp()
        self.tools = os.path.join(self.builder.root, "tools")
        os.makedirs(self.tools)
        with open(os.path.join(self.tools, "mock"), "w", encoding="utf-8") as file:
            file.write(STUB)
        os.chmod(os.path.join(self.tools, "mock"), 0o755)
        self.builder.environment.update(VERDIGRIS_MOCK_USER="nobody", VERDIGRIS_MOCK_GROUP="nogroup",
                                        VERDIGRIS_MOCK_PATH=self.tools + ":/usr/sbin:/usr/bin:/sbin:/bin")

    def mock(self, behaviour, name="hello", **changes):
        """One build with the stub doing that; (task, status)."""
        with open(os.path.join(self.tools, "behaviour"), "w", encoding="utf-8") as file:
            file.write(behaviour)
        return self.builder.build(name, **{"driver": "auto", **changes})

    def configuration(self, task):
        """(options, included files) as mock would read the attempt's configuration."""
        options = {"dnf.conf": "[main]\n", "macros": {}}
        included = []
        exec(self.builder.result(task["attempt"], "hw_info.log").decode(), {"include": included.append, "config_opts": options})
        return options, included

    def test_a_chroot_that_mock_knows_by_name_keeps_the_distributions_configuration(self):
        self.builder.define(base=[], buildroot_packages=[])
        srpm = self.shared.srpm("hello")
        task = self.builder.task(srpm, driver="auto")
        self.builder.upload(task, srpm)
        status, error = self.builder.refused("start", "--attempt", task["attempt"], "--epoch", "1", data=json.dumps(task).encode())
        self.assertEqual((status, error["code"]), (2, "bad_task"))
        known = os.path.join(self.builder.root, "etc/mock", CHROOT + ".cfg")
        self.assertIn("has no repositories, so only mock could build for it: there is no " + known, error["error"])
        os.makedirs(os.path.dirname(known))
        with open(known, "w", encoding="utf-8") as file:
            file.write("config_opts['chroot_setup_cmd'] = 'install @buildsys-build'\n")
        self.assertEqual(self.builder.ok("ready", "--chroot", CHROOT)["driver"], "mock")
        task, status = self.mock("exit 0")
        self.assert_verdict(status, result="succeeded")
        options, included = self.configuration(task)
        self.assertEqual(included, [known])
        self.assertEqual((options["dnf.conf"], options.get("chroot_setup_cmd"), options.get("target_arch")), ("[main]\n", None, None))
        self.assertEqual((options["isolation"], options["print_main_output"]), ("simple", True))

    def test_a_chroot_of_our_own_definition_is_described_to_mock(self):
        key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n"
        signed = {**self.builder.definition["base"][0], "gpgcheck": True, "gpgkey": key}
        self.builder.define(base=[signed])
        task, status = self.mock('cp "$(dirname "$config")"/key-0.asc "$results/build.log"; exit 0', isolation="nspawn")
        self.assert_verdict(status, result="succeeded")
        options, included = self.configuration(task)
        self.assertEqual(included, [])
        wanted = {"root": CHROOT, "target_arch": "x86_64", "legal_host_arches": ("x86_64",), "releasever": "1", "isolation": "nspawn",
                  "chroot_setup_cmd": "install microdistro-buildroot"}
        self.assertEqual({name: options[name] for name in wanted}, wanted)
        self.assertRegex(options["dnf.conf"], r"\n\[base\]\nname=Microdistro\nbaseurl=http://\S+\n(?s:.*)gpgcheck=1\ngpgkey=file:///\S+/key-0\.asc\n")
        self.assertEqual(self.builder.result(task["attempt"], "build.log").decode(), key)

    def test_a_32_bit_chroot_is_built_on_64_bit_machines(self):
        lines = mock_driver.definition({"arch": "i386", "release": "9"})
        options = {}
        exec("\n".join(lines), {"config_opts": options})
        self.assertEqual((options["target_arch"], options["legal_host_arches"]), ("i686", ("i386", "i586", "i686", "x86_64")))

    def test_a_stub_of_mock_gets_its_configuration_and_its_results_are_collected(self):
        repository = {"id": "project", "name": "it's \"mine\"", "baseurl": "http://example.org/x,y/", "gpgcheck": False, "priority": 3}
        success = 'cp "$source" "$results/hello-1.0-1.src.rpm"; cp "$source" "$results/hello-1.0-1.buildreqs.nosrc.rpm"; echo root > "$results/root.log"; echo built > "$results/build.log"; echo the build speaks; exit 0'
        task, status = self.mock(success, repositories=[repository], macros={"farm_color": "it's 'green'"}, additional_packages=["m4"],
                                 **{"with": ["extra"], "isolation": "simple"})
        self.assert_verdict(status, result="succeeded", exit=0)
        self.assertEqual(status["driver"], "mock")
        attempt = task["attempt"]
        self.assertEqual(sorted(self.builder.names(attempt)), sorted([
            "build.log", "root.log", "state.log", "hw_info.log", "installed_pkgs.log", "builder-live.log", "mock.log", "results.json", "success",
            "hello-1.0-1.src.rpm", "hello.spec"]))
        self.assertIn(b"Name: ", self.builder.result(attempt, "hello.spec"))
        document = self.builder.ok("manifest", "--attempt", attempt)
        self.assertEqual(document["refused"], [])
        self.assertEqual({entry["name"]: entry["reason"] for entry in document["passed_over"]}, {
            "arguments.txt": "it is no result of mock", "hello-1.0-1.buildreqs.nosrc.rpm": "it holds the package hello-1.0-1.src.rpm"})
        self.assertEqual(json.loads(self.builder.result(attempt, "results.json"))["packages"][0]["name"], "hello")
        self.assertEqual(self.builder.result(attempt, "state.log"), b"user nobody\n")
        self.assertIn("stub mock speaks\nthe build speaks\n", self.builder.log(attempt))
        options, _ = self.configuration(task)
        self.assertEqual(options["macros"], {"%farm_color": "it's 'green'"})
        self.assertEqual((options["rpmbuild_networking"], options["isolation"], options["chroot_additional_packages"]), (False, "simple", "m4"))
        self.assertIn("\n[project]\nname=it's \"mine\"\nbaseurl=http://example.org/x%2Cy/\n", options["dnf.conf"])
        self.assertIn("priority=3", options["dnf.conf"])

    def test_a_stub_of_mock_that_fails_is_judged_by_exit_code_and_logs(self):
        broken = "echo \"x.c:3:1: error: expected ';'\" > $results/build.log; echo 'error: Bad exit status from /var/tmp/x (%build)' >> $results/build.log; exit 10"
        unmet = "echo \"No matching package to install: 'nonesuch'\" > $results/root.log; exit 30"
        mirror = "echo \"Error: Failed to download metadata for repo 'fedora': Cannot download repomd.xml\" > $results/root.log; exit 30"
        skipped = "echo 'error: Architecture is not included: x86_64' > $results/build.log; exit 1"
        for behaviour, wanted in ((broken, ("failed", "package", "build", 10)), (unmet, ("failed", "package", "dependencies", 30)),
                                  (mirror, ("failed", "infrastructure", "repository", 30)), ("exit 20", ("failed", "infrastructure", "mock", 20)),
                                  ("exit 60", ("failed", "infrastructure", "mock", 60)), ("exit 3", ("failed", "service", "mock", 3)),
                                  ("exit 11", ("failed", "package", "timeout", 11)), (skipped, ("skipped", "package", "architecture", 1)),
                                  ("echo 'No space left on device' > $results/root.log; exit 30", ("failed", "infrastructure", "root", 30))):
            with self.subTest(behaviour=behaviour):
                task, status = self.mock(behaviour)
                verdict = status["verdict"]
                self.assertEqual((verdict["result"], verdict["blame"], verdict["kind"], verdict["exit"]), wanted, verdict)
                self.assertNotIn("success", self.builder.names(task["attempt"]))

    def test_a_stub_of_mock_that_ends_at_once_leaves_the_builders_own_state_log(self):
        task, status = self.mock('rm "$results/state.log"; exit 3')
        self.assert_verdict(status, result="failed", blame="service", exit=3)
        self.assertIn(b"Start: mock", self.builder.result(task["attempt"], "state.log"))

    def test_a_stub_of_mock_that_leaves_traps_gives_nothing_of_the_host(self):
        task, status = self.mock('ln -s /etc/shadow "$results/x.rpm"; ln -s /etc/passwd "$results/build.log"; mkfifo "$results/root.log"; exit 0')
        self.assert_verdict(status, result="succeeded")
        self.assertEqual([name for name in self.builder.names(task["attempt"]) if name in ("x.rpm", "build.log", "root.log")], [])

    def test_a_stub_of_mock_is_cancelled_with_all_its_children(self):
        with open(os.path.join(self.tools, "behaviour"), "w", encoding="utf-8") as file:
            file.write("(setsid sleep 87654 &); echo the wait begins; sleep 87653")
        for isolation in ("simple", "default", "nspawn"):
            task, _ = self.builder.begin("hello", "the wait begins", driver="mock", isolation=isolation)
            status = self.builder.ok("cancel", "--attempt", task["attempt"])
            self.assert_verdict(status, result="cancelled")
            self.assertEqual({**processes_with("sleep 87654"), **processes_with("sleep 87653")}, {})


if __name__ == "__main__":
    unittest.main()
