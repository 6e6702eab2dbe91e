"""Start, follow, cancel, lose, limit: the life of a build around rpmbuild."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
from unittest import mock

from support import ENTRY, BuilderTest, processes_with, until_true

from verdigris_builder import cli, command, processes, system

SLEEPS = ("sleep 98764", "sleep 98765")


class Life(BuilderTest):
    """One builder, one build."""

    def sleeping(self):
        """The sleeps of the sleeper package, wherever they are."""
        return {**processes_with(SLEEPS[0]), **processes_with(SLEEPS[1])}

    def begin_sleeper(self, **changes):
        """A build that is inside %build and waits."""
        task, answer = self.builder.begin("sleeper", "the wait begins", **changes)
        until_true(lambda: len(self.sleeping()) == 2, "both sleeps")
        return task, answer

    def test_start_returns_at_once_and_twice_is_one_build(self):
        task, answer = self.begin_sleeper()
        self.assertEqual((answer["state"], answer["driver"], answer["epoch"]), ("running", "chroot", 1))
        again = self.builder.start(task)
        self.assertEqual((again["state"], again["pid"], again["phase"]), ("running", answer["pid"], "build"))
        self.assertEqual(len(self.sleeping()), 2)
        self.assertEqual(self.builder.refused("manifest", "--attempt", task["attempt"])[0], 5)
        self.builder.ok("cancel", "--attempt", task["attempt"])
        self.assertEqual(self.builder.start(task)["state"], "finished")

    def test_cancel_kills_the_whole_build_before_it_returns(self):
        task, _ = self.begin_sleeper()
        status = self.builder.ok("cancel", "--attempt", task["attempt"], "--epoch", "1")
        self.assert_verdict(status, result="cancelled", blame="cancelled", kind="cancelled", phase="build")
        self.assertEqual(status["state"], "finished")
        self.assertEqual(self.sleeping(), {})
        self.assertIn("builder-live.log", self.builder.names(task["attempt"]))
        again = self.builder.ok("cancel", "--attempt", task["attempt"])
        self.assertEqual(again["finished"], status["finished"])

    def test_cancel_works_when_the_supervisor_does_not_answer(self):
        task, answer = self.begin_sleeper()
        os.kill(answer["pid"], signal.SIGSTOP)
        status = self.builder.ok("cancel", "--attempt", task["attempt"])
        self.assert_verdict(status, result="cancelled", blame="cancelled")
        until_true(lambda: not self.sleeping(), "the end of the build's processes")

    def test_a_killed_supervisor_takes_the_build_along_and_is_lost(self):
        task, answer = self.begin_sleeper()
        os.kill(answer["pid"], signal.SIGKILL)
        until_true(lambda: not self.sleeping(), "the end of the build's processes")
        status = self.builder.wait(task["attempt"])
        self.assertEqual((status["state"], status["verdict"], status["phase"]), ("lost", None, "build"))
        self.assertIn("build.log", self.builder.names(task["attempt"]))
        _, status = self.builder.build("elsewhere")
        self.assertEqual(status["state"], "finished")

    def test_a_killed_driver_is_the_services_fault(self):
        task, answer = self.begin_sleeper()
        with open("/proc/%d/task/%d/children" % (answer["pid"], answer["pid"]), encoding="ascii") as file:
            driver = int(file.read().split()[0])
        os.kill(driver, signal.SIGKILL)
        self.assert_verdict(self.builder.wait(task["attempt"]), result="failed", blame="service", kind="crash")
        self.assertEqual(self.sleeping(), {})

    def test_a_build_that_is_ended_by_the_machines_shutdown_is_the_infrastructures(self):
        task, answer = self.begin_sleeper()
        os.kill(answer["pid"], signal.SIGTERM)
        self.assert_verdict(self.builder.wait(task["attempt"]), result="failed", blame="infrastructure", kind="stopped", phase="build")
        self.assertEqual(self.sleeping(), {})

    def test_a_program_of_a_build_that_is_killed_from_outside_is_the_infrastructures(self):
        task, _ = self.begin_sleeper()
        for pid in processes_with(SLEEPS[0]):
            os.kill(pid, signal.SIGKILL)
        verdict = self.assert_verdict(self.builder.wait(task["attempt"]), result="failed", blame="infrastructure", kind="killed", phase="build")
        self.assertIn("Killed", verdict["evidence"]["text"])

    def test_rpmbuild_killed_from_outside_is_the_infrastructures(self):
        task, answer = self.begin_sleeper()
        for pid in processes.descendants(answer["pid"]):
            with open("/proc/%d/cmdline" % pid, "rb") as file:
                if file.read().startswith(b"rpmbuild\0"):
                    os.kill(pid, signal.SIGKILL)
        self.assert_verdict(self.builder.wait(task["attempt"]), result="failed", blame="infrastructure", kind="killed", exit=137)

    def test_a_build_survives_the_end_of_the_session_that_started_it(self):
        srpm = self.shared.srpm("sleeper")
        task = self.builder.task(srpm)
        self.builder.upload(task, srpm)
        session = subprocess.Popen([sys.executable, ENTRY, "start", "--attempt", task["attempt"], "--epoch", "1"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=self.builder.environment, start_new_session=True)
        session.communicate(json.dumps(task).encode())
        try:
            os.killpg(session.pid, signal.SIGHUP)
        except ProcessLookupError:
            pass
        until_true(lambda: "the wait begins" in self.builder.log(task["attempt"]), "the build to go on")
        self.assertEqual(self.builder.status(task["attempt"])["state"], "running")

    def test_another_attempt_is_refused_while_one_runs(self):
        self.begin_sleeper()
        srpm = self.shared.srpm("hello")
        task = self.builder.task(srpm)
        self.builder.upload(task, srpm)
        status, error = self.builder.refused("start", "--attempt", task["attempt"], "--epoch", "1", data=json.dumps(task).encode())
        self.assertEqual((status, error["code"]), (5, "busy"))
        self.assertEqual(self.builder.status(task["attempt"]), {"attempt": task["attempt"], "state": "unknown"})

    def test_a_lower_epoch_is_refused_even_after_clean(self):
        task, _ = self.begin_sleeper(epoch=5)
        newer = {**task, "epoch": 6}
        self.assertEqual(self.builder.start(newer)["epoch"], 6)
        for command in (["start", "--attempt", task["attempt"], "--epoch", "5"], ["cancel", "--attempt", task["attempt"], "--epoch", "4"]):
            status, error = self.builder.refused(*command, data=json.dumps(task).encode())
            self.assertEqual((status, error["code"]), (4, "fenced"))
        self.assertEqual(len(self.sleeping()), 2)
        self.builder.ok("clean", "--attempt", task["attempt"])
        self.assertEqual(self.sleeping(), {})
        status, _ = self.builder.refused("start", "--attempt", task["attempt"], "--epoch", "5", data=json.dumps(task).encode())
        self.assertEqual(status, 4)

    def test_a_timeout_in_the_build_is_the_packages_fault(self):
        task, status = self.builder.build("sleeper", timeout_seconds=4)
        verdict = self.assert_verdict(status, result="failed", blame="package", kind="timeout", phase="build")
        self.assertIn("4 seconds", verdict["reason"])
        self.assertIn("sleep 9876", verdict["evidence"]["text"])  # one of two, which both begin then
        self.assertEqual(self.sleeping(), {})
        self.assertIn("build.log", self.builder.names(task["attempt"]))

    def test_a_timeout_while_the_spec_file_is_read_is_the_packages_fault(self):
        _, status = self.builder.build("stuck", timeout_seconds=6)
        self.assert_verdict(status, result="failed", blame="package", kind="timeout", phase="spec")
        self.assertEqual(processes_with("sleep 98763"), {})

    def test_the_log_limit_ends_the_build(self):
        task, status = self.builder.build("noisy", limits={"log_bytes": 100000, "result_bytes": 1 << 30, "result_files": 100})
        self.assert_verdict(status, result="failed", blame="package", kind="log_limit")
        self.assertLess(status["log_size"], 110000)
        self.assertEqual(processes_with("yes a line of a very noisy build"), {})
        self.assertIn("more than the limit", self.builder.log(task["attempt"])[-2000:])

    def test_the_result_limits_fail_the_build(self):
        for limits in ({"result_bytes": 1000, "result_files": 100}, {"result_bytes": 1 << 30, "result_files": 1}):
            _, status = self.builder.build("hello", limits={"log_bytes": 1 << 20, **limits})
            self.assert_verdict(status, result="failed", blame="package", kind="result_limit")

    def test_following_the_log_from_an_offset_gives_every_byte_and_ends_with_the_build(self):
        task, _ = self.begin_sleeper()
        follow = subprocess.Popen([sys.executable, ENTRY, "log", "--attempt", task["attempt"], "--offset", "10", "--follow"],
                                  stdout=subprocess.PIPE, env=self.builder.environment)
        first = follow.stdout.read1(1 << 20)
        self.assertIsNone(follow.poll())
        self.builder.ok("cancel", "--attempt", task["attempt"])
        rest = follow.communicate(timeout=60)[0]
        self.assertEqual(follow.returncode, 0)
        self.assertEqual(first + rest, self.builder.result(task["attempt"], "builder-live.log")[10:])
        self.assertIn(b"Verdict: cancelled", rest)

    def test_a_follower_whose_reader_goes_away_ends(self):
        task, _ = self.begin_sleeper()
        follow = subprocess.Popen([sys.executable, ENTRY, "log", "--attempt", task["attempt"], "--follow"],
                                  stdout=subprocess.PIPE, env=self.builder.environment)
        follow.stdout.read1(100)
        follow.stdout.close()
        self.assertEqual(follow.wait(timeout=60), 0)
        self.assertEqual(self.builder.status(task["attempt"])["state"], "running")

    def test_clean_removes_a_running_build_and_is_idempotent(self):
        task, _ = self.begin_sleeper()
        self.assertEqual(self.builder.ok("clean"), {"removed": [task["attempt"]], "kept": []})
        self.assertEqual(self.sleeping(), {})
        self.assertEqual(self.builder.ok("clean"), {"removed": [], "kept": []})
        self.assertEqual(self.builder.status(task["attempt"])["state"], "unknown")


class Following(unittest.TestCase):
    """What is read while it grows."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.attempt = types.SimpleNamespace(directory=place.name)

    def test_a_follower_hears_of_a_verdict_before_the_next_piece_is_due(self):
        path = os.path.join(self.attempt.directory, "verdict.json")
        with open(path + ".reserved", "w", encoding="ascii"), mock.patch.object(cli, "PIECE_SECONDS", 60):
            follower = cli.Follower(self.attempt)
            end = threading.Timer(0.1, os.rename, (path + ".reserved", path))
            end.start()
            begun = time.monotonic()
            self.assertTrue(follower.wait())
            self.assertLess(time.monotonic() - begun, 30)
            end.join()

    def test_a_follower_without_a_watch_goes_on_with_the_next_piece(self):
        refused = OSError(errno.EMFILE, "no more watches")
        with mock.patch.object(system, "watch_renames", side_effect=refused), mock.patch.object(cli, "PIECE_SECONDS", 0.01):
            follower = cli.Follower(self.attempt)
            self.assertTrue(follower.wait())

    def test_lines_that_come_one_by_one_are_taken_together(self):
        def child():
            for line in range(20):
                os.write(1, b"line %d\n" % line)
                time.sleep(0.01)
        pieces = []
        with mock.patch.object(command, "GATHER_MS", 60000):
            self.assertEqual(command.run(child, pieces.append), 0)
        self.assertEqual(b"".join(pieces), b"".join(b"line %d\n" % line for line in range(20)))
        self.assertLessEqual(len(pieces), 2)

    def test_much_output_is_not_held_up(self):
        written = 4 << 20
        def child():
            piece = b"x" * command.CHUNK
            for _ in range(written // len(piece)):
                os.write(1, piece)
        sizes = []
        with mock.patch.object(command, "GATHER_MS", 60000):
            begun = time.monotonic()
            self.assertEqual(command.run(child, lambda data: sizes.append(len(data))), 0)
        self.assertEqual(sum(sizes), written)
        self.assertLess(time.monotonic() - begun, 50)


class FullDisk(BuilderTest):
    """The attempts are on a file system of 48 MiB."""

    def setUp(self):
        super().setUp()
        attempts = self.builder.state("attempts")
        os.makedirs(attempts)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", attempts], check=True)
        self.addCleanup(subprocess.run, ["umount", attempts], check=True)
        self.addCleanup(self.builder.ok, "clean")

    def test_a_build_that_fills_the_disk_ends_with_an_infrastructure_verdict(self):
        self.assertLess(os.statvfs(self.builder.state("attempts")).f_blocks * 4096, 64 << 20)
        _, status = self.builder.build("filler")
        verdict = self.assert_verdict(status, result="failed", blame="infrastructure", kind="disk")
        self.assertIn("no space left on device", verdict["reason"])

    def test_a_disk_filled_from_outside_while_building_still_gets_its_verdict(self):
        task, _ = self.builder.begin("sleeper", "the wait begins")
        fill = self.builder.state("attempts", "fill")
        with open(fill, "wb", buffering=0) as file:
            with self.assertRaises(OSError):
                while True:
                    file.write(b"x" * 4096)
        status = self.builder.ok("cancel", "--attempt", task["attempt"])
        self.assert_verdict(status, result="cancelled")
        os.unlink(fill)

    def test_a_start_on_a_full_disk_is_refused_and_leaves_no_build(self):
        srpm = self.shared.srpm("hello")
        task = self.builder.task(srpm)
        self.builder.upload(task, srpm)
        fill = self.builder.state("attempts", "fill")
        with open(fill, "wb", buffering=0) as file:
            with self.assertRaises(OSError):
                while True:
                    file.write(b"x" * 4096)
        status, error = self.builder.refused("start", "--attempt", task["attempt"], "--epoch", "1", data=json.dumps(task).encode())
        self.assertEqual((status, error["code"]), (6, "fault"))
        self.assertIn("space left", error["error"])
        os.unlink(fill)
        self.builder.start(task)
        self.assert_verdict(self.builder.wait(task["attempt"]), result="succeeded")


if __name__ == "__main__":
    unittest.main()
