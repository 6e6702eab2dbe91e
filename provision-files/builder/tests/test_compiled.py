"""The compiled modules of the builder's scripts: where they lie, and that no build decides what runs from there."""

import argparse
import marshal
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import ENTRY, Shared
from test_renew import Machine

OURS = os.path.join(os.path.dirname(ENTRY), "verdigris_builder")


def compiled(state):
    """The compiled modules in a builder's cache: path to contents."""
    found = {}
    for where, _, names in os.walk(os.path.join(state, "cache/python")):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                found[os.path.join(where, name)] = file.read()
    return found


def modules(paths):
    """The names of compiled modules."""
    return {os.path.basename(path).split(".")[0] for path in paths}


class Commands(unittest.TestCase):
    """What any command leaves."""

    def run_idle(self, *options):
        """The compiled modules after a command on a machine that has none, and what the command said."""
        with tempfile.TemporaryDirectory() as root:
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
            done = subprocess.run([sys.executable, *options, ENTRY, "idle"], env={**environment, "VERDIGRIS_ROOT": root}, capture_output=True, check=False)
            self.assertEqual(done.stdout, b'{"idle": true}\n', done.stderr)
            found = compiled(root + "/var/lib/verdigris")
            for path in found:
                self.assertTrue(path.startswith(root), path)
            return found

    def test_our_modules_are_compiled_where_data_goes_and_pythons_are_the_systems(self):
        self.assertTrue(os.path.exists(argparse.__spec__.cached), "this Python's own modules are not compiled")
        found = self.run_idle()
        self.assertIn("cli", modules(found))
        self.assertEqual([path for path in found if not os.path.dirname(path).endswith(OURS)], [])
        self.assertFalse(os.path.exists(os.path.join(OURS, "__pycache__")))

    def test_where_the_system_has_compiled_nothing_all_modules_go_there(self):
        with tempfile.TemporaryDirectory() as nothing:
            found = self.run_idle("-X", "pycache_prefix=" + nothing)
        self.assertLessEqual({"cli", "decoder"}, modules(found))  # one of ours, and one of the module json's


class Renewal(unittest.TestCase):
    """What a renewal leaves for the next build."""

    def machine(self):
        """A machine whose baseline is taken."""
        root = tempfile.mkdtemp(dir=Shared.get().directory, prefix="m.")
        os.chmod(root, 0o711)
        machine = Machine(Shared.get(), root)
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        self.addCleanup(machine.end)
        machine.look()
        return machine

    def test_scripts_are_compiled_anew_and_nothing_that_lay_in_their_place_is_run(self):
        machine = self.machine()
        self.assertEqual(machine.renew()[0], 0)
        made = compiled(machine.state())
        self.assertEqual(modules(made), {name[:-3] for name in os.listdir(OURS) if name.endswith(".py")})
        path = next(path for path in made if os.path.basename(path).startswith("cli."))
        # As valid as the right one to Python, which compares the source's time and size in the first 16 bytes.
        with open(path, "wb") as file:
            file.write(made[path][:16] + marshal.dumps(compile("print('taken over')", "cli.py", "exec")))
        self.assertIn(b"taken over", machine.run("idle").stdout)
        self.assertEqual(machine.renew()[0], 0)
        self.assertEqual(compiled(machine.state()), made)
        self.assertEqual(machine.ok("idle"), {"idle": True})

    def test_the_scripts_of_a_dirty_machine_are_not_compiled(self):
        machine = self.machine()
        machine.write("usr/libexec/verdigris/verdigris-builder", "evil\n")
        self.assertEqual(machine.renew()[0], 7)
        self.assertEqual(compiled(machine.state()), {})


if __name__ == "__main__":
    unittest.main()
