"""Pure parts: what log lines mean, splitting of lines, small parsers."""

import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
from unittest import mock

import support

from verdigris_builder import build, chroot_driver, dnf, evidence, fetching, livelog, measured, names, task, verdicts
from verdigris_builder.errors import BuildStop
from verdigris_builder.repositories import Repositories

NONE = Repositories({"base": []}, [])
# (log, part of the evidence, failed stage)
FAILURES = [
    ("+ gcc x.c\nx.c:3:9: warning: unused\nx.c:4:1: error: expected\nx.c:9:1: error: other\nerror: Bad exit status from /var/tmp/r (%build)\n", "x.c:4:1", "%build"),
    ("+ cp a b\ncp: cannot stat 'a': No such file or directory\nerror: Bad exit status from /var/tmp/r (%install)\n", "cannot stat", "%install"),
    ("error: File not found: /builddir/build/BUILDROOT/x/usr/bin/y\n", "/usr/bin/y", None),
    ("error: Installed (but unpackaged) file(s) found:\n   /usr/bin/z\n", "/usr/bin/z", None),
    ("error: line 7: Unknown tag: Foo: bar\n", "Unknown tag", None),
    ("/bin/ld: x.o: undefined reference to `foo'\ncollect2: error: ld returned 1\nerror: Bad exit status from /var/tmp/r (%build)\n", "undefined reference", "%build"),
    ("Traceback (most recent call last):\n  File \"setup.py\"\nValueError: no\nerror: Bad exit status from /var/tmp/r (%build)\n", "ValueError", "%build"),
    ("error[E0425]: cannot find value\nerror: could not compile `x`\nerror: Bad exit status from /var/tmp/r (%build)\n", "E0425", "%build"),
    ("+ ./configure\n+ false\nerror: Bad exit status from /var/tmp/r (%prep)\n    Bad exit status from /var/tmp/r (%prep)\n", "+ false", "%prep"),
    ("/var/tmp/rpm-tmp.x: line 3: frobnicate: command not found\nerror: Bad exit status from /var/tmp/r (%build)\n", "frobnicate", "%build"),
    ("FAIL: test-hello\nmake: *** [Makefile:3: check] Error 1\nerror: Bad exit status from /var/tmp/r (%check)\n", "FAIL: test-hello", "%check"),
    ("", None, None),
    # The last line that is no trace, or the trace when nothing stands behind it.
    ("+ make\nmake: *** No rule to make target 'x', needed by 'y'.  Stop.\nerror: Bad exit status from /var/tmp/r (%build)\n", "No rule to make target", "%build"),
    ("+ ./x\nit is over\n\nerror: Bad exit status from /var/tmp/r (%build)\n", "it is over", "%build"),
    ("+ ./x\nit is fine\n+ grep -q y z\nerror: Bad exit status from /var/tmp/r (%check)\n", "+ grep -q y z", "%check"),
    # The last output without the end of a line; a trace that says the same is not rpmbuild's.
    ("+ ./x\nit is brokenerror: Bad exit status from /var/tmp/r (%build)\n", "it is broken", "%build"),
    ("+ echo 'error: Bad exit status from /x (%prep)'\nerror: Bad exit status from /x (%prep)\n+ ./y\nno\nerror: Bad exit status from /var/tmp/r (%build)\n", "no", "%build"),
    # A stage that does nothing but end; and one whose program said nothing before the script ended.
    ("+ umask 022\n+ cd /builddir/build/BUILD\n+ exit 1\nerror: Bad exit status from /var/tmp/r (%build)\n", "+ exit 1", "%build"),
    ("+ cd /builddir/build/BUILD\n+ ./x\n+ exit 1\nerror: Bad exit status from /var/tmp/r (%build)\n", "+ ./x", "%build"),
    ("+ cd /builddir/build/BUILD\n+ echo gone\ngone\n+ exit 1\nerror: Bad exit status from /var/tmp/r (%build)\n", "gone", "%build"),
    # In %check a compiler's complaint may be what is tested; elsewhere it comes first.
    ("Executing(%check): x\n+ ./t\na.c:3:1: error: this is expected\nPASS: one\nFAIL: two\nerror: Bad exit status from /r (%check)\n", "FAIL: two", "%check"),
    ("Executing(%check): x\n+ make check\na.c:3:1: error: no\nmake: *** [a.o] Error 1\nerror: Bad exit status from /r (%check)\n", "a.c:3:1", "%check"),
    ("Executing(%build): x\n+ make\nFAIL: two\na.c:3:1: error: no\nerror: Bad exit status from /r (%build)\n", "a.c:3:1", "%build"),
    # Earlier stages went well, whatever they printed; only the one that failed counts.
    ("Executing(%build): x\ny.c:1:1: error: only tried\nExecuting(%check): x\n+ ./t\nnot ok 3 - adds\nerror: Bad exit status from /var/tmp/r (%check)\n", "not ok 3", "%check"),
    # What the tools of other languages print.
    ("+ pytest\n>       assert add(1, 1) == 3\nE       assert 2 == 3\n=== 1 failed in 0.05s ===\nerror: Bad exit status from /r (%check)\n", "assert 2 == 3", "%check"),
    ("+ go test\n--- FAIL: TestAdd (0.00s)\n    add_test.go:7: got 2\nFAIL\nerror: Bad exit status from /r (%check)\n", "TestAdd", "%check"),
    ("+ ./t\nt.cc:5: Failure\n  1 + 1\n[  FAILED  ] Sum.Adds (0 ms)\nerror: Bad exit status from /r (%check)\n", "t.cc:5: Failure", "%check"),
    ("+ cargo test\nthread 'adds' panicked at src/lib.rs:5:9:\nerror: test failed, to rerun pass `--lib`\nerror: Bad exit status from /r (%check)\n", "panicked", "%check"),
    ("+ mvn\n[ERROR] Failed to execute goal x\n[ERROR] Re-run Maven using the -X switch\nerror: Bad exit status from /r (%build)\n", "execute goal", "%build"),
    ("+ cmake .\nCMake Error at x.cmake:3 (message):\n  Could NOT find ZLIB\n-- Configuring incomplete\nerror: Bad exit status from /r (%build)\n", "Could NOT find", "%build"),
    ("+ x\nX.hs:3:5: error:\n    Variable not in scope: y\nerror: Bad exit status from /r (%build)\n", "X.hs:3:5: error: Variable", "%build"),
    # Colours, and what was written over.
    ("+ x\n\x1b[01m\x1b[Kx.c:4:1:\x1b[m\x1b[K \x1b[01;31merror: \x1b[mno\nmake: *** [Makefile:1: x] Error 1\nerror: Bad exit status from /r (%build)\n", "x.c:4:1: error: no", "%build"),
    ("+ x\n 10%\r 50%\r100% and no more\nerror: Bad exit status from /r (%build)\n", "100% and no more", "%build"),
]
WELL = {"least_free_bytes": 50 << 30, "least_free_files": 1 << 20, "read_only": False, "oom_kills": 0, "killed": 0, "all_killed": False}
UNKNOWN = dict.fromkeys(WELL)
FAILED = "\nerror: Bad exit status from /var/tmp/r (%build)\n"
# (build.log, exit status, readings that differ from a builder that is well, damaged files, (blame, kind))
JUDGED = [
    # Words alone are the package's.
    ("+ x\nNo space left on device" + FAILED, 1, {}, [], ("package", "build")), ("+ x\nKilled" + FAILED, 1, {}, [], ("package", "build")),
    ("+ x\ntouch: x: Read-only file system" + FAILED, 1, {}, [], ("package", "build")),
    ("+ x\nx: cannot execute binary file: Exec format error" + FAILED, 1, {}, [], ("package", "build")),
    # Measurements are the builder's.
    ("+ x\ncp: No space left on device" + FAILED, 1, {"least_free_bytes": 200 << 20}, [], ("infrastructure", "disk")),
    ("+ x\ncp: No space left on device" + FAILED, 1, {"least_free_files": 0, "least_free_bytes": 900 << 20}, [], ("infrastructure", "disk")),
    ("+ x\nwhatever" + FAILED, 1, {"least_free_bytes": 4096}, [], ("infrastructure", "disk")),
    ("+ x\nwhatever" + FAILED, 1, {"least_free_bytes": 200 << 20}, [], ("package", "build")),
    ("+ x\nwhatever" + FAILED, 1, {"read_only": True}, [], ("infrastructure", "disk")),
    ("+ x\ngcc: fatal error: Killed signal terminated program cc1" + FAILED, 1, {"killed": 1}, [], ("infrastructure", "killed")),
    ("+ x\ngcc: fatal error: Killed signal terminated program cc1" + FAILED, 1, {"killed": 1, "oom_kills": 1}, [], ("package", "memory")),
    ("+ x\nx.c:1:1: error: no\nKilled" + FAILED, 1, {"killed": 1}, [], ("package", "build")),
    ("+ x\nx: cannot execute binary file: Exec format error" + FAILED, 1, {}, ["/usr/bin/x"], ("infrastructure", "root")),
    ("+ x\nwhatever" + FAILED, 1, {}, ["/usr/bin/x"], ("package", "build")),
    ("", 127, {}, [], ("infrastructure", "root")),
    # rpmbuild itself is killed: from outside, for want of memory, by the build with all that it may kill, or by its own fault.
    ("+ x\n", 137, {"killed": 1}, [], ("infrastructure", "killed")), ("+ x\n", 143, {}, [], ("infrastructure", "killed")),
    ("+ x\n", 137, {"killed": 3, "oom_kills": 1}, [], ("package", "memory")), ("+ x\n", 137, {"killed": 3, "all_killed": True}, [], ("package", "build")),
    ("+ x\n", 139, {}, [], ("package", "build")),
    # Where nothing could be measured the words have to do.
    ("+ x\nNo space left on device" + FAILED, 1, UNKNOWN, None, ("infrastructure", "disk")),
    ("+ x\ntouch: x: Read-only file system" + FAILED, 1, UNKNOWN, None, ("infrastructure", "disk")),
    ("+ x\ngcc: fatal error: Killed signal terminated program cc1" + FAILED, 1, UNKNOWN, None, ("infrastructure", "killed")),
    ("+ x\nx.c:1:1: error: no" + FAILED, 1, UNKNOWN, None, ("package", "build")),
    # rpmbuild's own word about the architecture, which comes before any stage; a stage may print anything.
    ("error: Architecture is not included: x86_64\n", 1, {}, [], ("package", "architecture")),
    ("error: No compatible architectures found for build\n", 1, {}, [], ("package", "architecture")),
    ("error: OS is not included: linux\n", 1, {}, [], ("package", "architecture")), ("error: OS is excluded: linux\n", 1, {}, [], ("package", "architecture")),
    ("warning: x\nerror: Architecture is excluded: x86_64\n", 1, {}, [], ("package", "architecture")),
    ("Executing(%build): x\n+ ./t\nerror: Architecture is not included: x86_64\n" + FAILED, 1, {}, [], ("package", "build")),
    ("Executing(%build): x\nerror: Architecture is excluded: x86_64\n", 143, {"all_killed": True}, [], ("package", "build")),
    ("the error: Architecture is not included: x86_64\n", 1, {}, [], ("package", "build")),
]
# (dnf's output, blame, kind, missing)
MESSAGES = [
    ("No matching package to install: 'a-devel'\nNot all dependencies satisfied\nError: Some packages could not be found.\n", "package", "dependencies", ["a-devel"]),
    ("Error: \n Problem: conflicting requests\n  - nothing provides libx.so.1 needed by y-1-1.x86_64\n", "package", "dependencies", ["libx.so.1"]),
    ("Error: \n Problem: package a-1-1.x86_64 conflicts with b provided by b-1-1.x86_64\n", "package", "dependencies", []),
    ("Error: Failed to download metadata for repo 'base': Cannot download repomd.xml\nNo matching package to install: 'x'\n", "infrastructure", "repository", []),
    ("Curl error (7): Couldn't connect to server for http://x/\n", "infrastructure", "repository", []),
    ("Error: Error downloading packages:\n  Status code: 404 for http://x/y.rpm\n", "infrastructure", "repository", []),
    ("Error Summary\n-------------\nDisk Requirements:\n   At least 12MB more space needed on the / filesystem.\n", "infrastructure", "disk", []),
    # Only the distribution's and the farm's own packages have to be signed.
    ("Package x.rpm is not signed\nError: GPG check FAILED\n", "infrastructure", "signature", []),
    ("Error: Transaction test error:\n  file /usr/bin/bash from install of a-1-1.noarch conflicts with file from package bash-5-1.x86_64\n", "package", "dependencies", []),
    ("Error: \n Problem: conflicting requests\n  - package a-1-1.noarch conflicts with bash provided by bash-5-1.x86_64\n", "package", "dependencies", []),
    ("error: %pretrans(a-1-1.noarch) scriptlet failed, exit status 1\nError: Transaction failed\n", "package", "dependencies", []),
    ("Error: something never seen\n", "infrastructure", "root", []),
]


class Words(unittest.TestCase):
    """No root needed here."""

    def test_the_line_that_shows_why_is_found(self):
        for text, part, stage in FAILURES:
            with self.subTest(text=text[:60]), tempfile.TemporaryDirectory() as directory:
                found = self.search(directory, text)
                self.assertEqual(found.stage, stage)
                if part is None:
                    self.assertIsNone(found.evidence)
                else:
                    self.assertIn(part, found.evidence["text"])

    def search(self, directory, text):
        """The search in a build.log of that text."""
        with open(os.path.join(directory, "build.log"), "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return evidence.search(directory)

    def test_the_end_of_a_very_long_log_is_searched_and_its_lines_are_counted(self):
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(evidence, "SCAN", 1000):
            found = self.search(directory, "Executing(%build): x\n" + "a line of it\n" * 1000 + "KIT: it is over\nerror: Bad exit status from /var/tmp/x (%build)\n")
            self.assertEqual(found.evidence, {"log": "build.log", "line": 1002, "text": "KIT: it is over"})
            self.assertEqual([number for number, _ in evidence.lines(directory, "build.log")][-3:], [1001, 1002, 1003])

    def test_no_record_of_a_kill_is_no_proof_where_the_kernel_stops_writing_records(self):
        # Linux 6: kernel.acct = "4 2 30". A build on a disk with 2.6 % left was called the package's fault for a kill from outside.
        for free, blocks, suspended in [(26, 1000, True), (40, 1000, True), (41, 1000, False), (500, 1000, False)]:
            found = mock.Mock(f_bavail=free, f_blocks=blocks)
            self.assertEqual(measured.may_be_suspended(found, 4), suspended, free)
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, measured.PROCESSES)
            one_killed = bytes(measured.EXIT_CODE) + bytes([measured.KILL]) + bytes(measured.RECORD - measured.EXIT_CODE - 1)
            for records, threshold, killed in [(b"", 0, 0), (b"", 100, None), (one_killed, 100, 1)]:
                with open(path, "wb") as file:
                    file.write(records)
                with mock.patch.object(measured, "resume_threshold", return_value=threshold):
                    self.assertEqual(measured.processes_killed(directory)[0], killed)

    def test_what_was_measured_decides_whose_fault_it_is(self):
        for text, status, readings, damaged, wanted in JUDGED:
            with self.subTest(text=text[-60:], status=status, readings=readings), tempfile.TemporaryDirectory() as directory:
                with open(os.path.join(directory, "build.log"), "w", encoding="utf-8") as file:
                    file.write(text)
                stop = verdicts.of_rpmbuild(directory, status, "build", "x86_64", {**WELL, **readings}, lambda: damaged)
                self.assertEqual((stop.blame, stop.kind), wanted, str(stop))

    def test_dnfs_messages_have_a_blame(self):
        for text, blame, kind, missing in MESSAGES:
            with self.subTest(text=text[:60]):
                stop = dnf.classify(text, "it failed", NONE)
                self.assertEqual((stop.blame, stop.kind, stop.more.get("missing", [])), (blame, kind, missing))

    def test_the_evidence_of_a_conflict_is_the_line_that_names_it(self):
        for text, part in (("Error: Transaction test error:\n  file /x from install of a-1-1.noarch conflicts with file from package b-1-1.noarch\n\n", "file /x from"),
                           ("Error: \n Problem: conflicting requests\n  - package a-1-1.noarch conflicts with b provided by b-1-1.noarch\n", "- package a-1-1"),
                           ("Error: \n Problem: package a-1-1.noarch conflicts with b provided by b-1-1.noarch\n  - conflicting requests\n", "Problem: package a")):
            stop = dnf.classify(text, "it failed", NONE)
            self.assertIn(part, stop.more["find"][1])
            self.assertIn(part, str(stop))
            self.assertEqual(dnf.classify(text, "it failed", NONE, base=True).blame, "infrastructure")

    def test_a_disk_is_full_when_it_is_and_not_when_a_scriptlet_says_so(self):
        said = "cp: No space left on device\nError: something\n"
        for free, kind in ((None, "disk"), (5 << 20, "disk"), (50 << 30, "root")):
            self.assertEqual(dnf.classify(said, "it failed", NONE, free=free).kind, kind)

    def test_damaged_files_are_told_from_configuration_that_was_changed(self):
        said = ("S.5......    /usr/bin/make\n..5......  c /etc/profile\nmissing     /usr/lib/x.so\n.......T.    /usr/bin/true\nmissing   d /usr/share/doc/x\n"
                "S.5......  g /var/lib/x\n")
        self.assertEqual(measured.DAMAGED.findall(said), ["/usr/bin/make", "/usr/lib/x.so"])

    def test_lines_are_split_and_bytes_counted_wherever_the_chunks_end(self):
        data = b"short\n" + b"y" * 50000 + b"\n" + b"z" * 16384 + b"\r\n" + b"end"
        for size in (1, 7, 4096, 16384, 16385, 100000):
            with tempfile.TemporaryDirectory() as directory:
                log = livelog.BuildLog(directory, 1 << 20)
                for start in range(0, len(data), size):
                    log.write("build.log", data[start:start + size])
                log.close()
                with open(os.path.join(directory, "build.log"), "rb") as file:
                    written = file.read()
                self.assertEqual(written.replace(b"\n", b""), data.replace(b"\n", b""))
                self.assertLessEqual(max(map(len, written.split(b"\n"))), livelog.MAX_LINE)

    def test_no_letter_is_cut_by_the_end_of_a_line_or_of_the_log_wherever_the_chunks_end(self):
        letters = "\u00e9", "\u20ac", "\U0001f4a9"
        for letter in letters:
            for before in range(4):
                data = b"x" * before + letter.encode() * 12000 + b"\n"
                for size in (1, 3, 4096, 16383, 16384, 16385, 100000):
                    limit = 20000 + before
                    with self.subTest(letter=letter, before=before, size=size), tempfile.TemporaryDirectory() as directory:
                        log = livelog.BuildLog(directory, limit)
                        with self.assertRaises(BuildStop):
                            for start in range(0, len(data), size):
                                log.write("build.log", data[start:start + size])
                        log.close()
                        with open(os.path.join(directory, "build.log"), "rb") as file:
                            written = file.read()
                        self.assertLessEqual(len(written), limit)
                        self.assertGreater(len(written), limit - 4)
                        for line in written.split(b"\n"):
                            line.decode()  # raises inside a letter
                            self.assertLessEqual(len(line), livelog.MAX_LINE)
                        self.assertEqual(len(written.split(b"\n")), 2)

    def test_bytes_that_are_no_letters_are_kept_as_they_are(self):
        data = b"\xff\x80\x80\xe2\x28" * 10000 + b"\xf0\x9f"
        with tempfile.TemporaryDirectory() as directory:
            log = livelog.BuildLog(directory, 1 << 20)
            for start in range(0, len(data), 999):
                log.write("build.log", data[start:start + 999])
            log.close()
            with open(os.path.join(directory, "build.log"), "rb") as file:
                self.assertEqual(file.read().replace(b"\n", b""), data)

    def test_the_log_limit_is_exact_and_counts_the_line_feeds_of_split_lines(self):
        with tempfile.TemporaryDirectory() as directory:
            log = livelog.BuildLog(directory, 5000)
            with self.assertRaises(BuildStop) as caught:
                for _ in range(100):
                    log.write("build.log", b"x" * 999 + b"\n")
            self.assertEqual(caught.exception.kind, "log_limit")
            log.close()
            self.assertEqual(os.path.getsize(os.path.join(directory, "build.log")), 5000)

    def test_a_verdict_always_fits_into_its_reserved_bytes(self):
        evidence = {"log": "build.log", "line": 1, "text": "\u2603\x00" * 100000}
        verdict = verdicts.make("failed", "package", "build", "\U0001f4a9" * 100000, evidence=evidence, missing=["\u2603" * 1000] * 1000)
        from verdigris_builder import attempt
        attempt.paths.ATTEMPTS, attempt.paths.FENCES = [tempfile.mkdtemp()] * 2
        self.addCleanup(attempt.files.remove_tree, attempt.paths.ATTEMPTS)
        one = attempt.Attempt("11111111-2222-4333-8444-555555555555")
        one.make_directories()
        one.reserve_verdict()
        self.assertTrue(one.write_verdict(verdict))
        self.assertEqual(os.path.getsize(one.verdict), attempt.VERDICT_BYTES)
        self.assertEqual(one.read_verdict()["verdict"]["result"], "failed")
        self.assertFalse(one.write_verdict(verdicts.make("cancelled", "cancelled", "cancelled", "no")))
        self.assertEqual(one.read_verdict()["verdict"]["result"], "failed")

    def test_names_are_those_of_the_farm(self):
        grammars = {"owner name": names.OWNER, "project directory": names.DIRECTORY, "chroot name": names.CHROOT, "file name": names.FILE_NAME,
                    "repository id": names.REPOSITORY_ID, "package to install": names.INSTALLABLE}
        with open(os.path.join(os.path.dirname(__file__), "names.json"), encoding="utf-8") as file:
            examples = json.load(file)
        for label, grammar in grammars.items():
            for good, verdict in (("good", True), ("bad", False)):
                for text in examples[label][good]:
                    # {x*64} stands for 64 letters
                    name = re.sub(r"\{(.)\*(\d+)\}", lambda found: found[1] * int(found[2]), text)
                    with self.subTest(label=label, name=name[:100], length=len(name)):
                        self.assertEqual(bool(grammar.fullmatch(name)), verdict)

    def test_variables_of_a_base_address_mean_what_they_mean_to_copr_and_dnf(self):
        with open(os.path.join(support.HERE, "addresses.json"), encoding="utf-8") as file:
            examples = json.load(file)
        self.assertGreater(len(examples), 10)
        for example in examples:
            _, release, arch = example["chroot"].rsplit("-", 2)
            chroot = {"name": example["chroot"], "release": release, "arch": arch}
            with self.subTest(address=example["address"], chroot=example["chroot"]):
                self.assertEqual(fetching.expand(example["address"], chroot), example["expanded"])

    def test_a_file_of_a_repository_is_asked_for_before_the_query_of_its_address(self):
        chroot = {"name": "fedora-42-x86_64", "release": "42", "arch": "x86_64"}
        for address, wanted in (("http://x/a", "http://x/a/repodata/repomd.xml"), ("http://x/a//", "http://x/a/repodata/repomd.xml"),
                                ("http://x", "http://x/repodata/repomd.xml"), ("http://x/a/?key=$arch", "http://x/a/repodata/repomd.xml?key=x86_64")):
            self.assertEqual(fetching.file_address(address, chroot, "repodata/repomd.xml"), wanted)

    def test_a_server_that_drips_is_given_up(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def drip():
            connection, _ = server.accept()
            with connection:
                try:
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                    while True:
                        connection.sendall(b"x")
                        time.sleep(0.05)
                except OSError:
                    return
        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with mock.patch.object(fetching, "DEADLINE", 0.5), self.assertRaisesRegex(OSError, "longer than 0.5 seconds"):
            fetching.read("http://127.0.0.1:%d/" % server.getsockname()[1], 1 << 20)
        self.assertLess(time.monotonic() - began, 10)

    def test_metadata_is_opened_up_to_its_limit(self):
        packed = subprocess.run(["zstd", "-qc"], input=b"0" * 4000, stdout=subprocess.PIPE, check=True).stdout
        with mock.patch.object(fetching, "MAX_PRIMARY_OPEN", 4000):
            self.assertEqual(fetching._unpacked(packed, "x.zst").read(), b"0" * 4000)
        with mock.patch.object(fetching, "MAX_PRIMARY_OPEN", 3999), self.assertRaisesRegex(ValueError, "too large"):
            fetching._unpacked(packed, "x.zst")
        with self.assertRaisesRegex(ValueError, "zstd refuses"):
            fetching._unpacked(b"no zstd", "x.zst")

    def test_the_list_of_installed_packages_is_waited_for_before_its_root_goes_away(self):
        order = []
        build = mock.Mock()
        build.attempt.scratch = "/nowhere"
        build.join_background.side_effect = lambda: order.append("join")
        driver = chroot_driver.ChrootDriver(build)
        for name in ("enter_root", "make_source", "requirements", "collect_source"):
            setattr(driver, name, lambda *_: None)
        driver.binary = mock.Mock(side_effect=BuildStop("failed", "package", "build", "it fails"))
        with mock.patch.object(chroot_driver.mounting, "unmount_below", lambda _: order.append("unmount")), self.assertRaises(BuildStop):
            driver.run()
        self.assertEqual(order, ["join", "unmount"])

    def test_the_format_of_a_package_is_read_from_its_header(self):
        def header(*entries):
            index = b"".join(struct.pack(">IIII", tag, 4, 4 * number, 1) for number, (tag, _) in enumerate(entries))
            store = b"".join(struct.pack(">I", value) for _, value in entries)
            return b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">II", len(entries), len(store)) + index + store

        for entries, wanted in ((((1000, 1), (5114, 6)), 6), (((1000, 6),), 4)):
            signature = header((1000, 1), (1004, 2), (1007, 3))  # 76 bytes: four of padding follow
            with tempfile.NamedTemporaryFile() as file:
                file.write(b"\0" * 96 + signature + b"\0" * 4 + header(*entries))
                file.flush()
                self.assertEqual(build.package_format(file.name), wanted)

    def test_a_source_of_a_format_that_the_chroot_cannot_unpack_is_named_so(self):
        attempt = mock.Mock(scratch="/nowhere", input="/nowhere", results=tempfile.mkdtemp())
        self.addCleanup(os.rmdir, attempt.results)
        driver = chroot_driver.ChrootDriver(mock.Mock(attempt=attempt))
        driver.task = {"source": {"file": "x-1-1.src.rpm"}}
        driver.options, driver.inside = (lambda: []), (lambda *_: 100)
        for number, words in ((6, "has the package format 6"), (4, "cannot be unpacked")):
            with mock.patch.object(build, "package_format", lambda _, number=number: number):
                with self.assertRaisesRegex(BuildStop, words):
                    driver.make_source()

    def test_ordinary_hosts_are_not_link_local(self):
        for host in ("example.org", "10.0.0.1", "127.0.0.1", "fade.example", "face", "::1", ""):
            self.assertFalse(task.link_local(host), host)


if __name__ == "__main__":
    unittest.main()
