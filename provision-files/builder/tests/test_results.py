"""Hostile results: only regular files with good names are listed, and nothing else can be fetched."""

import hashlib
import os
import subprocess
import sys
import unittest

from support import BuilderTest


class Results(BuilderTest):
    """What a hostile build, or somebody with root on the builder, may leave."""

    def test_traps_in_the_build_tree_are_refused_and_named(self):
        task, status = self.builder.build("hostile")
        self.assert_verdict(status, result="succeeded")
        document = self.builder.ok("manifest", "--attempt", task["attempt"])
        refused = {entry["name"]: entry["why"] for entry in document["refused"]}
        self.assertEqual(refused, {"link.rpm": "it is a symbolic link", "fifo.rpm": "it is a fifo", "a name.rpm": "the name is not allowed",
                                   "..sneaky.rpm": "the name is not allowed", "-rf.rpm": "the name is not allowed",
                                   "notes.txt": "it is no result of this kind", "elsewhere": "it is a symbolic link",
                                   "stolen.src.rpm": "it is a symbolic link"})
        names = [entry["name"] for entry in document["files"]]
        self.assertEqual([name for name in names if name.endswith(".rpm")], ["hostile-1-1.md1.src.rpm", "hostile-1-1.md1.x86_64.rpm"])

    def test_the_manifest_lists_regular_files_only(self):
        task, _ = self.builder.build("elsewhere")
        attempt = task["attempt"]
        results = self.builder.state("attempts", attempt, "results")
        os.symlink("/etc/passwd", os.path.join(results, "passwd"))
        os.mkfifo(os.path.join(results, "fifo"))
        os.mknod(os.path.join(results, "null"), 0o20644, os.makedev(1, 3))
        os.mkdir(os.path.join(results, "directory"))
        os.makedirs(os.path.join(results, "x..y"))
        for name in ("new\nline", "caf\u00e9.rpm", "\udcff.rpm", "a;b", ".hidden", "x" * 230, "..evil"):
            with open(os.path.join(results, name), "wb") as file:
                file.write(b"x")
        document = self.builder.ok("manifest", "--attempt", attempt)
        self.assertEqual(len(document["refused"]), 12)
        refused = {entry["name"]: entry["why"] for entry in document["refused"]}
        self.assertEqual(refused["null"], "it is a character device")
        self.assertEqual(refused["passwd"], "it is a symbolic link")
        self.assertIn("new\\nline", refused)
        for entry in document["files"]:
            with open(os.path.join(results, entry["name"]), "rb") as file:
                data = file.read()
            self.assertEqual((entry["size"], entry["sha256"]), (len(data), hashlib.sha256(data).hexdigest()))
            self.assertEqual(self.builder.result(attempt, entry["name"]), data)
        for name, wanted in (("../task.json", 7), ("passwd", 7), ("fifo", 7), ("null", 7), ("directory", 7), ("/etc/passwd", 7), ("..", 7),
                             ("", 7), ("missing.rpm", 3)):
            status, error = self.builder.refused("fetch", "--attempt", attempt, "--name=" + name)
            self.assertEqual(status, wanted, (name, error))

    def test_fetch_goes_on_from_an_offset(self):
        task, _ = self.builder.build("elsewhere")
        whole = self.builder.result(task["attempt"], "state.log")
        part = self.builder.run("fetch", "--attempt", task["attempt"], "--name", "state.log", "--offset", "9").stdout
        self.assertEqual(part, whole[9:])

    def test_clean_removes_a_very_deep_tree(self):
        task, _ = self.builder.build("elsewhere")
        deep = self.builder.state("attempts", task["attempt"], "scratch")
        os.makedirs(deep, exist_ok=True)
        script = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\n"
        subprocess.run([sys.executable, "-c", script], cwd=deep, check=True)
        self.assertEqual(self.builder.ok("clean", "--attempt", task["attempt"])["kept"], [])

    def test_an_upload_that_is_not_what_was_announced_is_refused(self):
        attempt = "00000000-0000-4000-8000-000000000000"
        digest = hashlib.sha256(b"abc").hexdigest()
        for data, size in ((b"abd", 3), (b"ab", 3), (b"abcd", 3), (b"", 0)):
            status, error = self.builder.refused("put", "--attempt", attempt, "--name", "x.src.rpm", "--size", str(size), "--sha256", digest, data=data)
            self.assertEqual((status, error["code"]), (7, "refused"))
        self.assertEqual(os.listdir(self.builder.state("attempts", attempt, "input")), [])
        for name in ("../x.src.rpm", "x y", "", ".x"):
            status, _ = self.builder.refused("put", "--attempt", attempt, "--name=" + name, "--size", "3", "--sha256", digest, data=b"abc")
            self.assertEqual(status, 2)
        for _ in range(2):
            self.assertEqual(self.builder.ok("put", "--attempt", attempt, "--name", "x.src.rpm", "--size", "3", "--sha256", digest, data=b"abc"),
                             {"stored": "x.src.rpm", "size": 3})


if __name__ == "__main__":
    unittest.main()
