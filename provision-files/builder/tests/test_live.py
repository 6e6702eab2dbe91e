"""What a builder that waits for work says of itself."""

import json
import os
import unittest

from support import BuilderTest

from verdigris_builder import files, live, paths


class Live(BuilderTest):
    """The command."""

    def identity(self, text):
        """What the machine says that it is."""
        with open(os.path.join(self.builder.root, "etc/verdigris/builder.json"), "w", encoding="utf-8") as file:
            file.write(text)

    def test_a_builder_is_live_and_tells_which_start_of_its_machine_this_is(self):
        self.builder.ok("ready")
        told = self.builder.ok("live")
        self.assertEqual((told["live"], told["problems"], told["exposed"]), (True, [], False))
        self.assertEqual(told["boot"], self.builder.ok("live")["boot"])
        self.assertEqual(told["boot"], self.builder.ok("baseline")["fingerprint"]["boot"])

    def test_it_is_the_builder_that_is_meant_or_says_that_it_is_another(self):
        self.builder.ok("ready")
        self.assertTrue(self.builder.ok("live", "--builder", "bdr_1")["live"], "who made it did not say")
        self.identity(json.dumps({"fleet": "x", "pool": "y", "builder": "bdr_1"}))
        self.assertTrue(self.builder.ok("live", "--builder", "bdr_1")["live"])
        self.assertTrue(self.builder.ok("live")["live"])
        status, told = self.builder.refused("live", "--builder", "bdr_2")
        self.assertEqual((status, told["live"]), (1, False))
        self.assertIn("builder.json names another builder: bdr_1", told["problems"][0])
        self.identity("half of it")
        self.assertEqual(self.builder.refused("live", "--builder", "bdr_1")[0], 1)

    def test_what_is_wrong_with_it_is_told_and_nothing_is_changed(self):
        status, told = self.builder.refused("live")
        self.assertEqual(status, 1)
        self.assertIn("/var/lib/verdigris cannot be used", told["problems"][0])
        self.assertFalse(os.path.lexists(self.builder.state("attempts")), "it only looks")
        self.builder.ok("ready")
        files.write_json(self.builder.state("dirty.json"), {"found": 1})
        self.assertIn("found dirty", self.builder.refused("live")[1]["problems"][0])


class Room(unittest.TestCase):
    """The disk, of which no test has too little."""

    def test_a_disk_with_less_than_a_gibibyte_is_told_of(self):
        self.addCleanup(setattr, live.ready, "MINIMUM_FREE", live.ready.MINIMUM_FREE)
        self.addCleanup(setattr, paths, "STATE", paths.STATE)
        paths.STATE = "/"
        self.assertEqual(live.room(), [])
        live.ready.MINIMUM_FREE = 1 << 60
        self.assertRegex(live.room()[0], r"^only [0-9]+ MiB are free in /$")


if __name__ == "__main__":
    unittest.main()
