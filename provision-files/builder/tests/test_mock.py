"""The mock driver against a STUB of mock: a script that records its arguments and leaves mock's files. mock itself cannot be installed where
these tests run, so they prove our side only: the configuration, the user, the mapping of exit codes, the collection.
"""

import json
import os
import unittest

from support import CHROOT, BuilderTest, processes_with

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
        site = os.path.join(self.builder.root, "etc/mock")
        os.makedirs(site)
        with open(os.path.join(site, CHROOT + ".cfg"), "w", encoding="utf-8") as file:
            file.write("config_opts['dnf.conf'] = '[main]\\n'\n")

    def mock(self, behaviour, name="hello", **changes):
        """One build with the stub doing that; (task, status)."""
        with open(os.path.join(self.tools, "behaviour"), "w", encoding="utf-8") as file:
            file.write(behaviour)
        return self.builder.build(name, **{"driver": "auto", **changes})

    def test_a_stub_of_mock_gets_its_configuration_and_its_results_are_collected(self):
        repository = {"id": "project", "name": "it's \"mine\"", "baseurl": "http://example.org/x/", "gpgcheck": False, "priority": 3}
        success = 'cp "$source" "$results/hello-1.0-1.src.rpm"; echo root > "$results/root.log"; echo built > "$results/build.log"; exit 0'
        task, status = self.mock(success, repositories=[repository], macros={"farm_color": "it's 'green'"}, additional_packages=["m4"],
                                 **{"with": ["extra"], "isolation": "simple"})
        self.assert_verdict(status, result="succeeded", exit=0)
        self.assertEqual(status["driver"], "mock")
        attempt = task["attempt"]
        self.assertEqual(sorted(self.builder.names(attempt)), sorted([
            "build.log", "root.log", "state.log", "hw_info.log", "installed_pkgs.log", "builder-live.log", "mock.log", "results.json", "success",
            "hello-1.0-1.src.rpm"]))
        self.assertEqual([entry["name"] for entry in self.builder.ok("manifest", "--attempt", attempt)["refused"]], ["arguments.txt"])
        self.assertEqual(json.loads(self.builder.result(attempt, "results.json"))["packages"][0]["name"], "hello")
        self.assertEqual(self.builder.result(attempt, "state.log"), b"user nobody\n")
        self.assertIn("stub mock speaks", self.builder.log(attempt))
        written = self.builder.result(attempt, "hw_info.log").decode()
        options = {"dnf.conf": "[main]\n", "macros": {}}
        included = []
        exec(written, {"include": included.append, "config_opts": options})  # mock reads it the same way
        self.assertEqual(included, [os.path.join(self.builder.root, "etc/mock", CHROOT + ".cfg")])
        self.assertEqual(options["macros"], {"%farm_color": "it's 'green'"})
        self.assertEqual((options["rpmbuild_networking"], options["isolation"], options["chroot_additional_packages"]), (False, "simple", "m4"))
        self.assertIn("\n[project]\nname=it's \"mine\"\nbaseurl=http://example.org/x/\n", options["dnf.conf"])
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
                                  ("echo 'No space left on device' > $results/root.log; exit 30", ("failed", "infrastructure", "disk", 30))):
            with self.subTest(behaviour=behaviour):
                task, status = self.mock(behaviour)
                verdict = status["verdict"]
                self.assertEqual((verdict["result"], verdict["blame"], verdict["kind"], verdict["exit"]), wanted, verdict)
                self.assertNotIn("success", self.builder.names(task["attempt"]))

    def test_a_stub_of_mock_that_leaves_traps_gives_nothing_of_the_host(self):
        task, status = self.mock('ln -s /etc/shadow "$results/x.rpm"; ln -s /etc/passwd "$results/build.log"; mkfifo "$results/root.log"; exit 0')
        self.assert_verdict(status, result="succeeded")
        self.assertEqual([name for name in self.builder.names(task["attempt"]) if name in ("x.rpm", "build.log", "root.log")], [])

    def test_a_stub_of_mock_is_cancelled_with_all_its_children(self):
        with open(os.path.join(self.tools, "behaviour"), "w", encoding="utf-8") as file:
            file.write("(setsid sleep 87654 &); echo the wait begins; sleep 87653")
        for isolation in ("simple", "default"):
            task, _ = self.builder.begin("hello", "the wait begins", driver="mock", isolation=isolation)
            status = self.builder.ok("cancel", "--attempt", task["attempt"])
            self.assert_verdict(status, result="cancelled")
            self.assertEqual({**processes_with("sleep 87654"), **processes_with("sleep 87653")}, {})


if __name__ == "__main__":
    unittest.main()
