"""Whose fault it is that a repository cannot be read. No root needed here."""

import unittest
from unittest import mock

import support  # finds the program

from verdigris_builder import fetching, task
from verdigris_builder.errors import infrastructure_fault
from verdigris_builder.repositories import Repositories

FARM = "http://farm.test:5080/"
CHROOT = {"name": support.CHROOT, "os": "microdistro", "release": "1", "arch": "x86_64",
          "base": [{"id": "base", "name": "Base", "baseurl": FARM + "mirrors/base/", "gpgcheck": False}]}
ENTRIES = [
    {"id": "verdigris_project", "name": "alice/demo", "baseurl": FARM + "results/alice/demo/x/", "gpgcheck": True},
    {"id": task.ADDITIONAL + "0", "name": "https://a.test/$basearch/?priority=3", "baseurl": "https://a.test/$basearch/", "gpgcheck": False},
    {"id": task.ADDITIONAL + "1", "name": "copr://bob/lib", "baseurl": FARM + "results/bob/lib/x/", "gpgcheck": False},
]
WEB, OTHER = ENTRIES[1]["name"], ENTRIES[2]["name"]


def dnf4(name, line):
    """What dnf 4 says of a repository whose metadata cannot be had."""
    return ("Errors during downloading metadata for repository '%s':\n  - %s\n"
            "Error: Failed to download metadata for repo '%s': Cannot download repomd.xml: All mirrors were tried\n" % (name, line, name))


REFUSED = "Curl error (7): Couldn't connect to server for %srepodata/repomd.xml"
DNF5 = ('>>> Curl error (6): Could not resolve hostname for https://a.test/x86_64/repodata/repomd.xml [Could not resolve host: a.test]\n'
        'Failed to download metadata (baseurl: "https://a.test/x86_64/") for repository "additional_0"\n Librepo error: Cannot download repomd.xml\n')
GONE = "Error: Error downloading packages:\n  Status code: 404 for https://a.test/x86_64/Packages/a-1-1.noarch.rpm (IP: 192.0.2.1)\n"
# (what dnf says, the user's repository that is to blame while the farm's can be read, or None)
SAID = [
    (dnf4("additional_0", REFUSED % "https://a.test/x86_64/"), WEB),
    (dnf4("additional_0", "Curl error (6): Couldn't resolve host name for https://a.test/x86_64/repodata/repomd.xml"), WEB),
    (dnf4("additional_0", "Curl error (28): Timeout was reached for https://a.test/x86_64/repodata/repomd.xml"), WEB),
    (dnf4("additional_0", "Status code: 404 for https://a.test/x86_64/repodata/repomd.xml"), WEB),
    (dnf4("additional_0", "Status code: 503 for https://a.test/x86_64/repodata/repomd.xml"), WEB),
    (dnf4("additional_0", "Downloading successful, but checksum doesn't match. Calculated: 1(sha256)"), WEB),
    ("Error: repomd.xml parser error: Start tag expected\nError: Failed to download metadata for repo 'additional_0': x\n", WEB),
    (DNF5, WEB),
    # Packages have no repository's id beside them.
    (GONE, WEB),
    (GONE + "  Status code: 404 for http://farm.test:5080/mirrors/base/b-1-1.noarch.rpm\n", None),
    ("Error: Error downloading packages:\n  Status code: 404 for http://elsewhere.test/a-1-1.noarch.rpm\n", None),
    # What the farm serves itself it has to serve; what it says that it has not is the user's mistake.
    (dnf4("additional_1", "Status code: 404 for http://farm.test:5080/results/bob/lib/x/repodata/repomd.xml"), OTHER),
    (dnf4("additional_1", REFUSED % (FARM + "results/bob/lib/x/")), None),
    (dnf4("additional_1", "Status code: 503 for http://farm.test:5080/results/bob/lib/x/repodata/repomd.xml"), None),
    (dnf4("additional_1", "Status code: 429 for http://farm.test:5080/results/bob/lib/x/repodata/repomd.xml"), None),
    # What this machine could not do, another can.
    (dnf4("additional_0", "Curl error (23): Failed writing received data to disk/application for https://a.test/x86_64/repodata/repomd.xml"), None),
    (dnf4("additional_0", "Curl error (27): Out of memory for https://a.test/x86_64/repodata/repomd.xml"), None),
    (dnf4("additional_0", "Curl error (60): SSL peer certificate or SSH remote key was not OK for https://a.test/x86_64/repodata/repomd.xml "
          "[SSL certificate problem: certificate is not yet valid]"), None),
    (dnf4("additional_0", "Curl error (6): Couldn't resolve host name for https://a.test/x86_64/repodata/repomd.xml "
          "[Temporary failure in name resolution]"), None),
    # Others' repositories, alone or beside a user's.
    (dnf4("base", REFUSED % (FARM + "mirrors/base/")), None),
    (dnf4("verdigris_project", "Status code: 404 for http://farm.test:5080/results/alice/demo/x/repodata/repomd.xml"), None),
    (dnf4("fedora", REFUSED % "https://mirrors.test/"), None),
    (dnf4("base", REFUSED % (FARM + "mirrors/base/")) + dnf4("additional_0", REFUSED % "https://a.test/x86_64/"), None),
    ("Curl error (7): Couldn't connect to server for http://x/\n", None),
]


def unreadable(*_):
    """In the place of a read: the farm cannot be reached."""
    raise infrastructure_fault("repository", "no way there")


class Unreadable(unittest.TestCase):
    """The user answers for what he named, while the farm's own can be read."""

    def blames(self, text):
        """(blame, kind, reason, line) of dnf's output."""
        stop, line = Repositories(CHROOT, ENTRIES).fault(text)
        return stop.blame, stop.kind, str(stop), line

    def test_a_repository_of_the_users_is_his_while_the_farms_can_be_read(self):
        for text, named in SAID:
            with self.subTest(text=text), mock.patch.object(fetching, "repomd", return_value=b""):
                blame, kind, reason, line = self.blames(text)
                self.assertEqual((blame, kind), ("package" if named else "infrastructure", "repository"), reason)
                self.assertTrue(named is None or reason.startswith("the additional repository %s cannot be read: " % named), reason)
                self.assertIn(line, text)

    def test_nothing_is_the_users_while_the_farms_own_cannot_be_read(self):
        for text, _ in SAID:
            with self.subTest(text=text), mock.patch.object(fetching, "repomd", unreadable):
                self.assertEqual(self.blames(text)[0], "infrastructure")

    def test_each_repository_of_the_farm_is_tried_and_none_of_the_users(self):
        with mock.patch.object(fetching, "repomd", return_value=b"") as read:
            self.blames(SAID[0][0])
        self.assertEqual([call.args[0]["id"] for call in read.call_args_list], ["base", "verdigris_project"])

    def test_the_reason_says_what_the_server_or_the_way_to_it_did(self):
        with mock.patch.object(fetching, "repomd", return_value=b""):
            for text in (dnf4("additional_0", REFUSED % "https://a.test/x86_64/"), GONE):
                reason = self.blames(text)[2]
                self.assertRegex(reason, r"cannot be read: (?:Curl error \(7\)|Status code: 404)")

    def test_a_port_that_need_not_be_named_makes_no_other_server(self):
        chroot = {**CHROOT, "base": [{**CHROOT["base"][0], "baseurl": "http://farm.test/base/"}]}
        entries = [{**ENTRIES[2], "baseurl": "http://Farm.test:80/results/bob/lib/x/"}]
        with mock.patch.object(fetching, "repomd", return_value=b""):
            stop, _ = Repositories(chroot, entries).fault(dnf4("additional_1", "Status code: 503 for http://farm.test:80/results/bob/lib/x/r"))
        self.assertEqual(stop.blame, "infrastructure")

    def test_what_speaks_of_no_repository_has_no_verdict_here(self):
        self.assertIsNone(Repositories(CHROOT, ENTRIES).fault("Error: nothing provides x\n"))


if __name__ == "__main__":
    unittest.main()
