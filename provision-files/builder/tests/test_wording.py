"""Errors of Python in our own words, and no place that puts them into a message as they are."""

import ast
import glob
import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import unittest
import urllib.error
from unittest import mock

from support import CHROOT, HERE

from verdigris_builder import errors, fetching, mock_driver, paths, task, wording

PACKAGE = os.path.join(os.path.dirname(HERE), "verdigris_builder")
# What only the interpreter says.
INTERPRETER = r"\[Errno|Errno|urlopen|<[a-z]|\(\): |Traceback|HTTP Error|Expecting |codec can't|object at 0x|\bNone\b"


def raised(what):
    """The error that a function raises."""
    try:
        what()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def untrusted():
    """An error of a certificate as Python's TLS makes it."""
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


def not_tls():
    """An error of TLS itself."""
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


TABLE = (
    (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
    (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "connection refused"),
    (urllib.error.URLError("unknown url type: gopher"), "the address cannot be asked"),
    (urllib.error.URLError(untrusted()), "the server's certificate is not accepted: certificate has expired"),
    (not_tls(), "the encrypted connection failed: wrong version number"),
    (urllib.error.HTTPError("http://x/", 404, "File not found", {}, None), "the server answers 404 (Not Found)"),
    (urllib.error.HTTPError("http://x/", 499, "", {}, None), "the server answers 499"),
    (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "the name of the server cannot be looked up at the moment"),
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "there is no server of that name"),
    (socket.timeout("timed out"), "it took too long"), (TimeoutError(110, "Connection timed out"), "no answer in time"),
    (http.client.RemoteDisconnected("Remote end closed connection without response"), "the server ended the connection without an answer"),
    (http.client.IncompleteRead(b"x", 10), "the server's answer ended too early"), (http.client.BadStatusLine("x"), "the server's answer is not HTTP"),
    (http.client.InvalidURL("URL can't contain control characters"), "the address is not one that can be asked"),
    (raised(lambda: open("/nonexistent/x", encoding="utf-8")), "/nonexistent/x: no such file or directory"),
    (raised(lambda: os.rename("/nonexistent/a", "/nonexistent/b")), "/nonexistent/a and /nonexistent/b: no such file or directory"),
    (OSError(5, "Input/output error"), "input/output error"), (OSError(1, "mount: Operation not permitted"), "mount: Operation not permitted"),
    (subprocess.TimeoutExpired(["nft"], 20), "it did not end within 20 seconds"), (MemoryError(), "there is not enough memory"),
    (raised(lambda: json.loads("{")), "it is not JSON from line 1, column 2 on"), (raised(lambda: b"a\xff".decode()), "it is not UTF-8 at byte 2"),
    (RecursionError("maximum recursion depth exceeded"), "it is nested too deeply"),
    (errors.CommandError("busy", "ours"), "ours"), (errors.package_fault("build", "ours too"), "ours too"), (wording.Plain("it is larger"), "it is larger"),
    (KeyError("getgrnam(): name not found: 'mock'"), "an unexpected error (KeyError)"),
    (OSError("no number"), "an unexpected error (OSError)"),
)


class Words(unittest.TestCase):
    """No root needed here."""

    def test_every_kind_of_error_has_words_of_ours(self):
        for error, words in TABLE:
            with self.subTest(error=repr(error)):
                self.assertEqual(wording.of(error), words)
                self.assertNotRegex(wording.of(error), INTERPRETER)

    def test_an_error_that_nobody_expected_says_where_it_happened(self):
        error = raised(lambda: fetching.expand(None, {"name": "a-1-x86_64", "release": "1", "arch": "x86_64"}))
        self.assertRegex(wording.of(error), r"^an unexpected error in fetching\.py, line \d+ \(TypeError\)$")

    def test_a_machine_without_mocks_user_or_group_says_which_is_lacking(self):
        with mock.patch.object(paths, "MOCK_USER", "no-such-user"), mock.patch.object(paths, "MOCK_GROUP", "no-such-group"):
            self.assertEqual(mock_driver.membership(), ["the user no-such-user does not exist", "the group no-such-group does not exist"])
        with mock.patch.object(paths, "MOCK_USER", "nobody"), mock.patch.object(paths, "MOCK_GROUP", "root"):
            self.assertEqual(mock_driver.membership(), ["the user nobody is not in the group root"])

    def test_a_repository_that_cannot_be_read_says_so_in_our_words(self):
        entry = {"id": "base", "baseurl": "http://127.0.0.1:1/"}
        chroot = {"name": CHROOT, "release": "1", "arch": "x86_64"}
        self.assertEqual(str(raised(lambda: fetching.repomd(entry, chroot))),
                         "the repository base cannot be read: http://127.0.0.1:1/repodata/repomd.xml: connection refused")
        with tempfile.TemporaryDirectory() as directory:
            entry["baseurl"] = "file://" + directory
            self.assertNotRegex(str(raised(lambda: fetching.repomd(entry, chroot))), INTERPRETER)

    def test_a_task_that_is_no_json_says_where(self):
        for data, words in ((b"{", "line 1, column 2"), (b"\xff", "byte 1"), (b"[" * 100000, "nested too deeply")):
            self.assertIn(words, str(raised(lambda data=data: task.load(data))))

    def test_no_message_holds_an_errors_text_as_python_says_it(self):
        found = []
        for path in sorted(glob.glob(PACKAGE + "/*.py")):
            with open(path, encoding="utf-8") as file:
                tree = ast.parse(file.read())
            if os.path.basename(path) != "wording.py":
                found += ["%s:%d" % (os.path.basename(path), line) for line in told(tree)]
        self.assertEqual(found, [])

    def test_the_search_for_such_places_finds_each_form(self):
        for text in ("str(error)", "repr(error)", "'%s' % error", "'%s: %s' % (1, error)", "f'{error}'", "'{}'.format(error)", "error.strerror", "error.args[0]"):
            self.assertEqual(told(ast.parse("try:\n  x()\nexcept OSError as error:\n  y(%s)" % text)), [4], text)
        self.assertEqual(told(ast.parse("try:\n  x()\nexcept OSError as error:\n  y('%s' % wording.of(error))")), [])


def told(tree):
    """Lines of a program where the text of an exception that was caught, or of an argument `error`, becomes part of something."""
    lines = []
    places = [(node, node.name) for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name]
    places += [(node, "error") for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and any(part.arg == "error" for part in node.args.args)]
    for place, error in places:
        for node in ast.walk(place):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                parts = node.args if name in ("str", "repr", "format", "ascii") else []
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
                parts = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
            elif isinstance(node, ast.FormattedValue):
                parts = [node.value]
            elif isinstance(node, ast.Attribute) and node.attr in ("strerror", "args", "reason", "msg", "message"):
                parts = [node.value]
            else:
                parts = []
            if any(isinstance(part, ast.Name) and part.id == error for part in parts):
                lines.append(node.lineno)
    return sorted(set(lines))


if __name__ == "__main__":
    unittest.main()
