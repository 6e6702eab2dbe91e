"""The package cache that builds share: used by every build, written by none of the code of packages."""

import functools
import http.server
import os
import shutil
import subprocess
import tempfile
import threading
import unittest
from unittest import mock

from support import CHROOT, BuilderTest, Quiet, microdistro, package_repository, require, serve

from verdigris_builder import dnf, inventory


class Counting(Quiet):
    """A file server that notes which files it was asked for."""

    asked = []

    def do_GET(self):
        """Serve a file."""
        self.asked.append(os.path.basename(self.path))
        super().do_GET()


class Cache(BuilderTest):
    """One builder, several builds; dnf 4 downloads and installs in one process."""

    runs = 1

    def count_downloads(self):
        """From now on the base repository is one that counts; the list of files that were asked for."""
        handler = type("Handler", (Counting,), {"asked": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=microdistro()))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(lambda: (server.shutdown(), server.server_close()))
        self.builder.define(base=[{**self.builder.definition["base"][0], "baseurl": "http://127.0.0.1:%d/" % server.server_port}])
        return handler.asked

    def cache(self):
        """Every entry of the cache, by times."""
        found = {}
        inventory.tree(self.builder.state("cache", "dnf"), inventory.by_times, found)
        return found

    def test_a_second_build_downloads_neither_packages_nor_metadata_again(self):
        asked = self.count_downloads()
        _, status = self.builder.build("needy")
        self.assert_verdict(status, result="succeeded")
        self.assertEqual([name for name in asked if name.startswith("m4-")], [name for name in os.listdir(microdistro()) if name.startswith("m4-")])
        self.assertTrue([name for name in asked if "-primary.xml" in name], asked)
        del asked[:]
        self.builder.ok("clean")
        task, status = self.builder.build("needy")
        self.assert_verdict(status, result="succeeded")
        # Only whether the repository is still what it was.
        self.assertEqual(set(asked), {"repomd.xml"})
        self.assertIn(b"m4-", self.builder.result(task["attempt"], "installed_pkgs.log"))
        self.assertEqual(self.builder.result(task["attempt"], "root.log").count(b"Dependencies resolved."), self.runs)

    def signed_repository(self):
        """(address, sign, unsign): a served repository with the distribution's m4, and how to change it."""
        keys, place = os.path.join(self.builder.root, "keys"), os.path.join(self.builder.root, "signed")
        os.makedirs(keys, mode=0o700)
        os.makedirs(place)
        name = next(name for name in os.listdir(microdistro()) if name.startswith("m4-"))
        environment = {**os.environ, "GNUPGHOME": keys}

        def run(*argv):
            return subprocess.run(argv, env=environment, check=True, capture_output=True).stdout

        def unsign():
            shutil.copy(os.path.join(microdistro(), name), place)
            run("createrepo_c", "-q", place)

        def sign():
            unsign()
            run("rpmsign", "--define", "__gpg " + shutil.which("gpg"), "--define", "_gpg_name farm", "--addsign", os.path.join(place, name))
            run("createrepo_c", "-q", place)
        self.addCleanup(subprocess.run, ["gpgconf", "--homedir", keys, "--kill", "all"], check=False)
        run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "farm <farm@verdigris.test>", "rsa3072", "sign", "never")
        with open(os.path.join(place, "pubkey.gpg"), "wb") as file:
            file.write(run("gpg", "--armor", "--export"))
        address, server = serve(place)
        self.addCleanup(server.shutdown)
        return address, sign, unsign

    def test_signatures_are_asked_for_and_their_key_is_taken_from_where_the_farm_says(self):
        require(shutil.which("rpmsign") and shutil.which("gpg"), "rpmsign or gpg is missing")
        address, sign, unsign = self.signed_repository()
        repository = {"id": "project", "name": "p", "baseurl": address, "gpgcheck": True, "gpgkey": address + "pubkey.gpg", "priority": 1}
        sign()
        _, status = self.builder.build("needy", repositories=[repository])
        self.assert_verdict(status, result="succeeded")
        unsign()
        _, status = self.builder.build("needy", repositories=[repository])
        verdict = self.assert_verdict(status, result="failed", blame="infrastructure", kind="signature")
        self.assertIn("is not signed", verdict["reason"])

    def test_a_scriptlet_that_writes_into_the_cache_changes_it_for_nobody(self):
        self.count_downloads()
        library, status = self.builder.build("intruder", macros={"farm_inside": dnf.CACHE_INSIDE + "/poison.rpm"})
        self.assert_verdict(status, result="succeeded")
        repository, server = package_repository(self.shared, self.builder, [library["attempt"]], "project")
        self.addCleanup(server.shutdown)
        self.builder.ok("clean")
        _, status = self.builder.build("needy")
        before = self.cache()
        task, status = self.builder.build("intruded", repositories=[repository])
        self.assert_verdict(status, result="succeeded")
        text = self.builder.result(task["attempt"], "build.log").decode()
        # It may write into the cache that it sees: that is a layer which is gone with the run.
        self.assertIn("INTRUDER inside yes", text)
        after = self.cache()
        self.assertEqual([path for path in after if "poison" in path], [])
        self.assertEqual({path: words for path, words in after.items() if path in before and words != before[path] and path.endswith(".rpm")}, {})


# Enters the view as dnf does, and asks a shell there what it can see and change.
LOOK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from verdigris_builder import installer
root, cache, inside, directory, hidden, probe = sys.argv[2:]
installer.View(root, cache, inside, directory, []).enter("install")
os.execv("/bin/sh", ["sh", "-c", probe, "sh", root, inside, hidden])
"""
PROBE = """
look() { what=$1; shift; if "$@" > /dev/null 2>&1; then echo "$what yes"; else echo "$what no"; fi; }
look root test -w "$1"
look layer touch "$2/new"
look settings test -w /etc
look programs test -w /usr/bin
look kernel test -w /proc/sys/kernel/core_pattern
look passwords test -s /etc/shadow
look seals test -e "$3"
look disks sh -c 'ls /dev/vd* || ls /dev/sd* || ls /dev/nvme*'
look remount mount -o remount,bind,rw /usr
"""


class View(BuilderTest):
    """What dnf, and with it every scriptlet, sees of the machine."""

    def test_only_the_root_and_a_layer_over_the_cache_can_be_changed(self):
        root, cache, run, seals = [self.builder.state(name) for name in ("the-root", "the-cache", "the-run", "seals")]
        inside = root + dnf.CACHE_INSIDE
        for place in (cache, run, seals, inside, root + "/dev", root + "/proc"):
            os.makedirs(place, exist_ok=True)
        scripts = os.path.dirname(os.path.dirname(os.path.realpath(dnf.__file__)))
        done = subprocess.run(["python3", "-c", LOOK, scripts, root, cache, inside, run, seals, PROBE], capture_output=True, env=self.builder.environment, check=False)
        said = dict(line.split() for line in done.stdout.decode().splitlines())
        expected = {"root": "yes", "layer": "yes", "settings": "no", "programs": "no", "kernel": "no", "passwords": "no", "seals": "no", "disks": "no", "remount": "no"}
        self.assertEqual(said, expected, done.stderr)
        self.assertEqual(os.listdir(cache), [])


STAND_IN = """#!/bin/bash
for word; do
    shift
    [ "$word" = --setopt=downloadonly=1 ] && word=--downloadonly
    set -- "$@" "$word"
done
exec /usr/bin/dnf-3 --disableplugin=local "$@"
"""


class TwoRuns(Cache):
    """The same where dnf5 is installed, in whose place stands a script that runs dnf 4: in a mount namespace of each command's own."""

    runs = 2

    def setUp(self):
        super().setUp()
        tools = os.path.join(self.builder.root, "tools")
        os.makedirs(tools)
        with open(os.path.join(tools, "dnf5"), "w", encoding="ascii") as file:
            file.write(STAND_IN)
        os.chmod(os.path.join(tools, "dnf5"), 0o755)
        self.builder.wrapper = ["unshare", "--mount", "sh", "-c", "mount -t overlay -o lowerdir=%s:/usr/bin overlay /usr/bin && exec \"$@\"" % tools, "sh"]


class Dnf5(unittest.TestCase):
    """What dnf5 is told, which is not installed here."""

    def test_keys_are_fetched_before_dnf5_installs_from_the_cache_alone(self):
        key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n"
        base = [{"id": "base", "name": "Base", "baseurl": "http://a.test/$basearch/", "gpgcheck": True, "gpgkey": "http://a.test/$releasever.gpg", "priority": None}]
        chroot = {"name": CHROOT, "os": "microdistro", "release": "1", "arch": "x86_64", "base": base, "dbpath": "/var/lib/rpm"}
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(dnf, "rpm_home", lambda path: directory), \
                mock.patch.object(dnf.fetching, "read", lambda url, limit: (key if url == "http://a.test/1.gpg" else "?").encode()):
            for manager, wanted in (("dnf4", "gpgkey=http://a.test/$releasever.gpg"), ("dnf5", "gpgkey=file://%s/key-0.asc" % directory)):
                with mock.patch.object(dnf, "manager", lambda found=manager: found):
                    self.assertIn(wanted, dnf.Dnf(chroot, [], directory, None).configuration().splitlines())
            with open(os.path.join(directory, "key-0.asc"), encoding="ascii") as file:
                self.assertEqual(file.read(), key)

    def test_each_program_is_told_its_step_in_its_own_words(self):
        told = {(program, download): dnf.step_options(program, download) for program in ("dnf", "dnf5") for download in (True, False)}
        self.assertEqual(told, {("dnf", True): ["--downloadonly"], ("dnf5", True): ["--setopt=downloadonly=1"],
                                ("dnf", False): ["--cacheonly"], ("dnf5", False): ["--cacheonly"]})


if __name__ == "__main__":
    unittest.main()
