"""Whether the cloud takes this machine back: the metadata service says so some time before, of a spot instance two minutes as a rule.

It is only a hint: the machine may go without a word, or stay. The service is hidden from everybody on a builder (`firewall/metadata.nft`), but
for connections with a mark that code of packages cannot set. Only its second version is asked, which wants a token first: where
there is none, as on Eucalyptus, on a fixed host, or where the service is hidden by a route, there is nothing to be told.
"""

import http.client
import json
import os
import select
import socket
import time

PLACE = os.environ.get("VERDIGRIS_METADATA", "169.254.169.254:80")  # tests have a service elsewhere
MARK = 0x766E6F74  # as in firewall/metadata.nft
EVERY = 5.0  # seconds, as Amazon asks for
ANSWER = 2.0
TOKEN_LASTS = 21600  # the longest that the service gives
TRIES = 3  # before a service that never answered counts as none
MOST_BYTES, MOST_LETTERS = 4096, 100
TOKEN, TOKEN_TTL = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"
ACTION = "/latest/meta-data/spot/instance-action"


class Absent(Exception):
    """There is no service here that could tell anything."""


class Failed(Exception):
    """The service does not answer as it should; it may later."""


class Marked(http.client.HTTPConnection):
    """A connection that the rules let pass."""

    def connect(self):
        """Without the right to mark it the rules refuse it, as they refuse everybody's."""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        except OSError:
            pass
        self.sock.settimeout(ANSWER)
        self.sock.connect((self.host, self.port))


class Service:
    """The metadata service, with the token that it gave."""

    def __init__(self, place=PLACE):
        self.place, self.token, self.renew_at = place, None, 0.0

    def ask(self, method, path, headers):
        """(status, beginning of the body)."""
        connection = Marked(self.place)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(MOST_BYTES).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise Failed from error
        finally:
            connection.close()

    def notice(self):
        """What it says, or None while it says nothing."""
        if self.token is None or time.monotonic() >= self.renew_at:
            self.fetch_token()
        status, body = self.ask("GET", ACTION, {TOKEN: self.token})
        if status == 401:  # the service was started anew, and knows no token of before
            self.fetch_token()
            status, body = self.ask("GET", ACTION, {TOKEN: self.token})
        if status == 404:
            return None
        if status != 200:
            raise Failed
        return understood(body)

    def fetch_token(self):
        """A new one."""
        status, body = self.ask("PUT", "/latest/api/token", {TOKEN_TTL: str(TOKEN_LASTS)})
        if status in (403, 404, 405):
            raise Absent
        if status != 200 or not body.isascii() or not body.isprintable():
            raise Failed
        self.token, self.renew_at = body, time.monotonic() + TOKEN_LASTS / 2


def understood(body):
    """The service's words as {"action", "time"}; of words that are not the usual ones, what can be read."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {"action": body}
    return {key: readable(told.get(key)) for key in ("action", "time")}


def readable(value):
    """A short text without control characters; nothing where there is none."""
    text = value if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:MOST_LETTERS]


def wait(service=None, every=EVERY, out=1):
    """The document of `notices`, once there is something to say; None when nobody waits for it any more."""
    service = service or Service()
    reader = select.poll()
    reader.register(out, 0)  # only hang-up and error: the reader has gone
    has_answered, failures = False, 0
    while True:
        try:
            told = service.notice()
            has_answered, failures = True, 0
            if told is not None:
                return {"notice": told}
        except Absent:
            return {"notice": None}
        except Failed:
            failures += 1
            if not has_answered and failures >= TRIES:
                return {"notice": None}
        if reader.poll(every * 1000):
            return None
