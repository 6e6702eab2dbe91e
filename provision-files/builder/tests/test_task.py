"""The task document and the command line: every bad input is refused, with a message that names the field, and nothing is left."""

import json
import os
import unittest

from support import CHROOT, BuilderTest

from verdigris_builder import chroots, task
from verdigris_builder.errors import CommandError

ATTEMPT = "11111111-2222-4333-8444-555555555555"
REPOSITORY = {"id": "r", "name": "R", "baseurl": "http://example.org/r/", "gpgcheck": False}


def document(**changes):
    """A good task, changed; a value of ... removes the key."""
    good = {"schema_version": 1, "attempt": ATTEMPT, "epoch": 1, "build": 7, "project": {"owner": "@team", "name": "tools:pr:1"},
            "chroot": CHROOT, "source": {"file": "x-1-1.src.rpm", "sha256": "0" * 64, "size": 1}, "timeout_seconds": 10,
            "limits": {"log_bytes": 4096, "result_bytes": 1, "result_files": 1}}
    good.update(changes)
    return {key: value for key, value in good.items() if value is not ...}


def repository(**changes):
    """A task's repositories: one, changed."""
    return {"repositories": [{key: value for key, value in {**REPOSITORY, **changes}.items() if value is not ...}]}


def source(**changes):
    """A task's source, changed."""
    return {"source": {**document()["source"], **changes}}


# (changes, a word of the message)
BAD = [
    ({"schema_version": 2}, "schema_version"), ({"schema_version": "1"}, "schema_version"), ({"schema_version": ...}, "schema_version"),
    ({"attempt": "x"}, "attempt"), ({"attempt": ATTEMPT[:-1] + "6"}, "attempt"), ({"epoch": 2}, "epoch"), ({"epoch": 0}, "epoch"),
    ({"epoch": True}, "epoch"), ({"epoch": 1.0}, "epoch"), ({"unknown": 1}, "unknown"), ({"build": -1}, "build"), ({"build": None}, "build"),
    ({"project": {"owner": "a"}}, "project"), ({"project": {"owner": "../a", "name": "b"}}, "owner"), ({"project": []}, "project"),
    ({"project": {"owner": "a", "name": "b\nc"}}, "name"), ({"project": {"owner": "a", "name": "b", "x": 1}}, "project"),
    ({"chroot": "../etc"}, "chroot"), ({"chroot": "a"}, "chroot"), ({"chroot": "a-b-c/d"}, "chroot"), ({"chroot": 5}, "chroot"),
    (source(file="../x.src.rpm"), "source.file"), (source(file="x.rpm"), "source.file"), (source(file="-x.src.rpm"), "source.file"),
    (source(file="a b.src.rpm"), "source.file"), (source(file="x\n.src.rpm"), "source.file"), (source(file="x" * 300 + ".src.rpm"), "source.file"),
    (source(sha256="0" * 63), "sha256"), (source(sha256="G" * 64), "sha256"), (source(size=0), "size"), (source(size="1"), "size"),
    (source(more=1), "source"), ({"source": None}, "source"), ({"timeout_seconds": 0}, "timeout"), ({"timeout_seconds": 1e99}, "timeout"),
    ({"timeout_seconds": 604801}, "timeout"), ({"limits": {}}, "limits"), ({"limits": {"log_bytes": 1, "result_bytes": 1, "result_files": 1}}, "log_bytes"),
    (repository(id="main"), "reserved"), (repository(id="a b"), "id"), (repository(id="]\n[x"), "id"), (repository(id="../x"), "id"),
    (repository(name="x\nbaseurl=http://evil/"), "name"), (repository(name="x" * 2001), "name"),
    (repository(baseurl="file:///etc"), "scheme"), (repository(baseurl="ftp://x/"), "scheme"), (repository(baseurl="http:///x"), "host"),
    (repository(baseurl="http://x/\ngpgcheck=0"), "URL"), (repository(baseurl="http://x/ y"), "URL"), (repository(baseurl="http://u:p@x/"), "credentials"),
    (repository(baseurl="http://169.254.169.254/latest/"), "link-local"), (repository(baseurl="http://[fe80::1]/"), "link-local"),
    (repository(baseurl="http://[fd00:ec2::254]/"), "link-local"), (repository(baseurl="http://[::ffff:169.254.169.254]/"), "link-local"),
    (repository(baseurl="http://2852039166/"), "link-local"), (repository(baseurl="http://0xA9FEA9FE/"), "link-local"),
    (repository(baseurl="http://x:99999/"), "URL"), (repository(baseurl=5), "URL"), (repository(baseurl="-x"), "scheme"),
    (repository(gpgcheck=1), "gpgcheck"), (repository(gpgcheck=True), "gpgkey"), (repository(gpgkey="file:///etc/shadow"), "gpgkey"),
    (repository(priority=0), "priority"), (repository(priority=100), "priority"), (repository(priority="1"), "priority"),
    (repository(more=1), "more"), (repository(name=...), "name"), ({"repositories": {}}, "repositories"), ({"repositories": [1]}, "repositories"),
    ({"repositories": [REPOSITORY, {**REPOSITORY, "id": "R"}]}, "two repositories"), ({"repositories": [REPOSITORY] * 1001}, "1000"),
    ({"buildroot_packages": []}, "buildroot_packages"), ({"buildroot_packages": ["-y"]}, "buildroot_packages"),
    ({"additional_packages": ["--installroot=/"]}, "additional_packages"), ({"additional_packages": ["a;b"]}, "additional_packages"),
    ({"additional_packages": ["a b"]}, "additional_packages"), ({"additional_packages": "a"}, "additional_packages"), ({"additional_packages": [""]}, "additional"),
    ({"with": ["-x"]}, "with"), ({"with": ["a b"]}, "with"), ({"without": ["a$b"]}, "without"), ({"without": [1]}, "without"),
    ({"macros": {"a b": "c"}}, "macro"), ({"macros": {"ok_name": "a\nb"}}, "macros.ok_name"), ({"macros": {"ok_name": "a\\"}}, "backslash"),
    ({"macros": {"ok_name": 1}}, "macros.ok_name"), ({"macros": {"_topdir": "/x"}}, "_topdir"), ({"macros": {"%_dbpath": "/x"}}, "_dbpath"),
    ({"macros": {"ok_name": "a\u2028b"}}, "macros.ok_name"), ({"macros": {"ok_name": "\x00"}}, "macros"), ({"macros": []}, "macros"),
    ({"enable_net": "false"}, "enable_net"), ({"enable_net": 0}, "enable_net"), ({"isolation": "none"}, "isolation"), ({"isolation": []}, "isolation"),
    ({"driver": "shell"}, "driver"), ({"driver": None}, "driver"),
]
BAD_BYTES = [b"", b"[]", b"null", b"{", b"\xff", b'{"a": NaN}', b"[" * 100000, b'{"epoch": 1, "epoch": 1}', b" " * ((1 << 20) + 1), b'"x"', b"{} {}"]


class Tasks(unittest.TestCase):
    """parse(), without a builder."""

    def test_a_good_task_is_taken_with_its_defaults(self):
        found = task.parse(json.dumps(document()).encode(), ATTEMPT, 1)
        self.assertEqual((found["driver"], found["enable_net"], found["repositories"], found["macros"]), ("auto", False, [], {}))
        full = document(repositories=[{**REPOSITORY, "gpgcheck": True, "gpgkey": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n", "priority": 5}],
                        additional_packages=["gcc-c++", "pkgconfig(zlib)", "/usr/bin/m4", "@build", "perl(Foo::Bar)"], macros={"%dist": "%{nil} \\ x"},
                        **{"with": ["a", "b_c"], "without": []}, buildroot_packages=["bash"], enable_net=True, isolation="simple")
        found = task.parse(json.dumps(full).encode(), ATTEMPT, 1)
        self.assertEqual(found["macros"], {"dist": "%{nil} \\ x"})

    def test_every_bad_value_is_refused_with_its_place(self):
        for changes, word in BAD:
            with self.subTest(changes=str(changes)[:120]):
                with self.assertRaises(CommandError) as caught:
                    task.parse(json.dumps(document(**changes)).encode(), ATTEMPT, 1)
                self.assertEqual(caught.exception.code, "bad_task")
                self.assertIn(word, str(caught.exception))
                self.assertTrue(str(caught.exception).isprintable())

    def test_bytes_that_are_no_task_are_refused(self):
        for data in BAD_BYTES:
            with self.subTest(data=data[:30]), self.assertRaises(CommandError):
                task.parse(data, ATTEMPT, 1)

    def test_an_architecture_has_a_name_for_packages_and_one_for_repositories(self):
        for arch, package, base in (("x86_64", "x86_64", "x86_64"), ("i386", "i686", "i386"), ("i586", "i586", "i386"), ("armhfp", "armv7hl", "armhfp"),
                                    ("riscv64", "riscv64", "riscv64")):
            self.assertEqual((chroots.rpm_arch({"arch": arch}), chroots.base_arch({"arch": arch})), (package, base))

    def test_a_damaged_chroot_definition_is_refused(self):
        good = {"name": CHROOT, "os": "fedora", "release": "42", "arch": "x86_64", "base": [REPOSITORY], "buildroot_packages": ["@buildsys-build"]}
        self.assertEqual(chroots.parse(json.dumps(good).encode(), CHROOT)["dbpath"], "/usr/lib/sysimage/rpm")
        for changes in ({"name": "other-1-x86_64"}, {"base": None}, {"base": [REPOSITORY] * 51}, {"arch": "x86 64"}, {"more": 1},
                        {"base": [{**REPOSITORY, "gpgcheck": True, "gpgkey": "key.asc"}]}):
            with self.subTest(changes=changes), self.assertRaises(CommandError):
                chroots.parse(json.dumps({**good, **changes}).encode(), CHROOT)


class Commands(BuilderTest):
    """The same through the command line."""

    def test_a_bad_task_leaves_nothing(self):
        for data in (b"{}", json.dumps(document(driver="x")).encode(), b"\x00", json.dumps(document()).encode()):
            status, error = self.builder.refused("start", "--attempt", ATTEMPT, "--epoch", "1", data=data)
            self.assertEqual((status, error["code"]), (2, "bad_task"))
        self.assertEqual(self.builder.status(ATTEMPT)["state"], "unknown")

    def test_a_chroot_without_repositories_is_for_mock_only(self):
        self.builder.define(base=[])
        srpm = self.shared.srpm("elsewhere")
        good = self.builder.task(srpm)
        self.builder.upload(good, srpm)
        for driver in ("auto", "chroot"):
            data = json.dumps({**good, "driver": driver}).encode()
            status, error = self.builder.refused("start", "--attempt", good["attempt"], "--epoch", "1", data=data)
            self.assertEqual((status, error["code"]), (2, "bad_task"))
            self.assertIn("has no repositories, so only mock could build for it", error["error"])
        status, document = self.builder.refused("ready", "--chroot", CHROOT)
        self.assertEqual((status, document["ready"]), (1, False))
        self.assertIn("mock is not installed", " ".join(document["problems"]))

    def test_what_only_the_builder_can_know_is_checked(self):
        srpm = self.shared.srpm("elsewhere")
        good = self.builder.task(srpm)
        self.builder.upload(good, srpm)
        base = {**REPOSITORY, "id": "BASE"}
        for changes, word in (({"chroot": "fedora-99-x86_64"}, "fedora-99-x86_64"), ({"repositories": [base]}, "BASE"), ({"driver": "mock"}, "mock"),
                              ({"source": {**good["source"], "size": 1}}, "bytes"), ({"source": {**good["source"], "file": "other.src.rpm"}}, "uploaded")):
            status, error = self.builder.refused("start", "--attempt", good["attempt"], "--epoch", "1", data=json.dumps({**good, **changes}).encode())
            self.assertEqual((status, error["code"]), (2, "bad_task"))
            self.assertIn(word, error["error"])
        self.assertEqual(self.builder.status(good["attempt"])["state"], "unknown")

    def test_bad_command_lines_are_refused_in_json(self):
        for arguments in ([], ["x"], ["status"], ["status", "--attempt", "../x"], ["status", "--attempt", ATTEMPT.upper().replace("1", "A")],
                          ["start", "--attempt", ATTEMPT], ["start", "--attempt", ATTEMPT, "--epoch", "-1"], ["ready", "--attempt", ATTEMPT],
                          ["log", "--attempt", ATTEMPT, "--offset", "-5"], ["clean", "--attempt", "*"]):
            status, error = self.builder.refused(*arguments)
            self.assertEqual((status, error["code"]), (2, "usage"), arguments)

    def test_attempts_that_do_not_exist_are_unknown(self):
        self.assertEqual(self.builder.status(ATTEMPT), {"attempt": ATTEMPT, "state": "unknown"})
        for command in ("log", "manifest", "cancel"):
            status, error = self.builder.refused(command, "--attempt", ATTEMPT)
            self.assertEqual((status, error["code"]), (3, "unknown"), command)
        self.assertEqual(self.builder.ok("clean", "--attempt", ATTEMPT), {"removed": [], "kept": []})
        self.assertFalse(os.path.exists(self.builder.state("attempts", ATTEMPT)))


if __name__ == "__main__":
    unittest.main()
