"""Errors of Python and of the system in our own words, for reasons and messages that people read: what is wrong, and where.

The interpreter's form ("[Errno 111] Connection refused", "getgrnam(): name not found") tells a packager nothing, and differs between its versions.
Whoever puts an error's text into a message calls `of`; a test looks for places that do not.
"""

import os

OWN = "verdigris_builder"


def of(error):
    """The error in one line without a full stop; of an error that nobody expected, its place in these scripts."""
    for kinds, words in KINDS:
        names = [kind.__name__ for kind in type(error).__mro__]
        if any(kind in names for kind in kinds):
            return words(error)
    return unexpected(error)


def said(error):
    """An error whose text is ours already."""
    return str(error)


def answered(error):
    """The answer of a server that is no success."""
    import http
    try:
        return "the server answers %d (%s)" % (error.code, http.HTTPStatus(error.code).phrase)
    except ValueError:
        return "the server answers %d" % error.code


def not_asked(error):
    """An address that could not be asked: the cause, where it is an error."""
    return of(error.reason) if isinstance(error.reason, BaseException) else "the address cannot be asked"


def certificate(error):
    """A server's certificate, with OpenSSL's words for what is wrong with it."""
    return "the server's certificate is not accepted: %s" % error.verify_message


def encrypted(error):
    """What else goes wrong with TLS."""
    reason = (getattr(error, "reason", None) or "").replace("_", " ").lower()
    return "the encrypted connection failed" + (": " + reason if reason else "")


def looked_up(error):
    """A server's name that cannot be looked up."""
    import socket
    if error.errno == socket.EAI_AGAIN:
        return "the name of the server cannot be looked up at the moment"
    return "there is no server of that name"


def too_late(error):
    """A limit of time."""
    if getattr(error, "filename", None):
        return system(error)
    return "it took too long" if error.errno is None else "no answer in time"


def ended(error):
    """A program that did not end."""
    return "it did not end within %g seconds" % error.timeout


def malformed(error):
    """Text that is no JSON."""
    return "it is not JSON from line %d, column %d on" % (error.lineno, error.colno)


def system(error):
    """An error of the system: the file, where there is one, and the C library's word for what is wrong."""
    if error.errno is None:
        return unexpected(error)
    what = error.strerror or os.strerror(error.errno)
    if what[1:2].islower():
        what = what[0].lower() + what[1:]
    places = [os.fsdecode(place) for place in (error.filename, error.filename2) if isinstance(place, (str, bytes))]
    return "%s: %s" % (" and ".join(places), what) if places else what


def unexpected(error):
    """A mistake in these scripts: its kind, and the last place in them that it passed."""
    place, step = "", error.__traceback__
    while step:
        path = step.tb_frame.f_code.co_filename
        if os.path.basename(os.path.dirname(path)) == OWN:
            place = " in %s, line %d" % (os.path.basename(path), step.tb_lineno)
        step = step.tb_next
    return "an unexpected error%s (%s)" % (place, type(error).__name__)


# By name, so that no library is loaded for it; the first that fits.
KINDS = (
    (("CommandError", "BuildStop", "Plain"), said), (("HTTPError",), answered), (("URLError",), not_asked),
    (("SSLCertVerificationError",), certificate), (("SSLError",), encrypted), (("gaierror",), looked_up),
    (("RemoteDisconnected",), lambda _: "the server ended the connection without an answer"),
    (("IncompleteRead",), lambda _: "the server's answer ended too early"), (("InvalidURL",), lambda _: "the address is not one that can be asked"),
    (("HTTPException",), lambda _: "the server's answer is not HTTP"), (("TimeoutError", "timeout"), too_late), (("TimeoutExpired",), ended),
    (("MemoryError",), lambda _: "there is not enough memory"), (("RecursionError",), lambda _: "it is nested too deeply"),
    (("JSONDecodeError",), malformed), (("UnicodeDecodeError",), lambda error: "it is not UTF-8 at byte %d" % (error.start + 1)),
    (("OSError",), system),
)


class Plain(OSError):
    """An error with a sentence of ours as its text."""
