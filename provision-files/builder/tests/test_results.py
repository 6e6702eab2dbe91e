"""Hostile results: only regular files with good names are listed."""

import hashlib
import json
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
        rpms = ["hostile-1-1.md1.src.rpm", "hostile-1-1.md1.x86_64.rpm"]
        self.assertEqual([name for name in names if name.endswith(".rpm")], ["broken.rpm", *rpms])
        # One that rpm cannot read has no line, and the others keep theirs.
        packages = json.loads(self.builder.result(task["attempt"], "results.json"))["packages"]
        self.assertEqual([(entry["name"], entry["version"], entry["arch"]) for entry in packages], [("hostile", "1", "src"), ("hostile", "1", "x86_64")])

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

    def test_clean_removes_a_very_deep_tree(self):
        task, _ = self.builder.build("elsewhere")
        deep = self.builder.state("attempts", task["attempt"], "scratch")
        os.makedirs(deep, exist_ok=True)
        script = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\n"
        subprocess.run([sys.executable, "-c", script], cwd=deep, check=True)
        self.assertEqual(self.builder.ok("clean", "--attempt", task["attempt"])["kept"], [])


if __name__ == "__main__":
    unittest.main()
