"""Hostile results: only regular files with good names are listed."""

import hashlib
import json
import os
import subprocess
import sys
import unittest

from support import BuilderTest, until_true

from verdigris_builder import collect, files


class Names(unittest.TestCase):
    """Names of results."""

    def test_a_name_that_is_refused_comes_with_what_would_be_right(self):
        for name, part in (("x" * 243, None), ("x" * 244, "its name has 244 bytes, and at most 243 are allowed"),
                           ("\u00e9" * 122, "its name has 244 bytes"), ("q-1-1.%s.rpm" % ("n" * 240), "at most 243"), ("a+b-1~rc^2-1.noarch.rpm", None),
                           ("a b.rpm", "may have letters, digits and"), ("..x.rpm", "but no .."), ("-x.rpm", "begins with a letter"), ("\udcff.rpm", "not allowed")):
            found = collect.bad_name(name)
            self.assertEqual(found, None, name) if part is None else self.assertIn(part, found)


class Results(BuilderTest):
    """What a hostile build, or somebody with root on the builder, may leave."""

    def test_traps_in_the_build_tree_are_passed_over_and_named(self):
        task, status = self.builder.build("hostile")
        self.assert_verdict(status, result="succeeded")
        document = self.builder.ok("manifest", "--attempt", task["attempt"])
        refused = {entry["name"]: entry["why"] for entry in document["refused"]}
        # A package that the build has made, under a name that no package has.
        self.assertEqual(list(refused), ["..sneaky.rpm"])
        self.assertIn("its name is not allowed", refused["..sneaky.rpm"])
        passed_over = {entry["name"]: entry["reason"] for entry in document["passed_over"]}
        self.assertEqual(passed_over, {"notes.txt": "it is no package", "elsewhere": "it is no package", "broken.rpm": "it is no RPM package",
                                       "a name.rpm": "it is no RPM package", "-rf.rpm": "it is no RPM package",
                                       "hostile-1-1.md1.x86_64.rpm": "it is no RPM package",
                                       "link.rpm": "it is a symbolic link", "fifo.rpm": "it is a fifo", "stolen.src.rpm": "it is not the source package of this build"})
        names = [entry["name"] for entry in document["files"]]
        rpms = ["damaged.rpm", "hostile-1-1.md1.src.rpm", "hostile-1-1.md1.x86_64.rpm"]
        self.assertEqual([name for name in names if name.endswith(".rpm")], rpms)
        # One that rpm cannot read has no line, and the others keep theirs; the worker decides about it.
        packages = json.loads(self.builder.result(task["attempt"], "results.json"))["packages"]
        self.assertEqual([(entry["name"], entry["version"], entry["arch"]) for entry in packages], [("hostile", "1", "src"), ("hostile", "1", "x86_64")])

    def test_packages_that_a_build_leaves_beside_its_results_are_passed_over_with_a_line_in_the_log(self):
        task, status = self.builder.build("strays")
        self.assert_verdict(status, result="succeeded")
        document = self.builder.ok("manifest", "--attempt", task["attempt"])
        rpms = [entry["name"] for entry in document["files"] if entry["name"].endswith(".rpm")]
        self.assertEqual(rpms, ["strays-1-1.md1.src.rpm", "strays-1-1.md1.x86_64.rpm"])
        self.assertEqual(document["refused"], [])
        passed_over = {entry["name"]: entry["reason"] for entry in document["passed_over"]}
        self.assertEqual(passed_over, {
            "inner-1-1.src.rpm": "it is a source package", "inner-1-1.nosrc.rpm": "it is a source package",
            "copy.rpm": "it holds the package inner-1-1.noarch.rpm", "inner-1-1.noarch.rpm": "it is no source package",
            "other-1-1.src.rpm": "it is not the source package of this build",
            "strays-1-1.md1.buildreqs.nosrc.rpm": "it is not the source package of this build",
            "stray.spec": "it is not the spec file of this build"})
        log = self.builder.log(task["attempt"])
        for name, reason in passed_over.items():
            self.assertIn("\nPassed over %s: %s\n" % (name, reason), log)

    def test_a_source_package_without_its_sources_is_a_result(self):
        task, status = self.builder.build("nosource")
        self.assert_verdict(status, result="succeeded")
        document = self.builder.ok("manifest", "--attempt", task["attempt"])
        rpms = [entry["name"] for entry in document["files"] if entry["name"].endswith(".rpm")]
        self.assertEqual(rpms, ["nosource-1-1.buildreqs.nosrc.rpm", "nosource-1-1.buildreqs.x86_64.rpm"])
        self.assertEqual((document["refused"], document["passed_over"]), ([], []))
        packages = json.loads(self.builder.result(task["attempt"], "results.json"))["packages"]
        self.assertEqual([entry["arch"] for entry in packages], ["src", "x86_64"])

    def test_the_manifest_lists_regular_files_only(self):
        task, _ = self.builder.build("elsewhere")
        attempt = task["attempt"]
        results = self.builder.state("attempts", attempt, "results")
        os.symlink("/etc/passwd", os.path.join(results, "passwd"))
        os.mkfifo(os.path.join(results, "fifo"))
        os.mknod(os.path.join(results, "null"), 0o20644, os.makedev(1, 3))
        os.mkdir(os.path.join(results, "directory"))
        os.makedirs(os.path.join(results, "x..y"))
        for name in ("new\nline", "caf\u00e9.rpm", "\udcff.rpm", "a;b", ".hidden", "x" * 250, "..evil"):
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
        # After the verdict its supervisor still removes the attempt's scratch directory.
        lock = self.builder.state("attempts", task["attempt"], "lock")
        until_true(lambda: not files.locked(lock), "the end of the supervisor")
        deep = self.builder.state("attempts", task["attempt"], "scratch")
        os.makedirs(deep)
        script = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\n"
        subprocess.run([sys.executable, "-c", script], cwd=deep, check=True)
        self.assertEqual(self.builder.ok("clean", "--attempt", task["attempt"])["kept"], [])


if __name__ == "__main__":
    unittest.main()
