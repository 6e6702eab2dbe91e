"""A metadata service as EC2's, version 2 only: a token first, then the answers that a test sets. As a program: HOST PORT, with a notice."""

import http.server
import sys
import threading

NOTICE = '{"action": "terminate", "time": "2026-11-30T10:00:00Z"}'
ACTION = "/latest/meta-data/spot/instance-action"


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers by what the server's `says` holds: (status, body) of the notice, and the status of the token."""

    def do_PUT(self):
        """A token."""
        says = self.server.says
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        good = self.path == "/latest/api/token" and ttl and 1 <= int(ttl) <= 21600
        if says.token_status != 200 or not good:
            return self.answer(says.token_status if good else 400, "")
        says.tokens.append("token-%d" % (len(says.tokens) + 1))
        return self.answer(200, says.tokens[-1])

    def do_GET(self):
        """The notice, for who shows the newest token."""
        says = self.server.says
        if not says.tokens or self.headers.get("X-aws-ec2-metadata-token") != says.tokens[-1]:
            return self.answer(401, "")
        if self.path != ACTION:
            return self.answer(404, "")
        says.asked += 1
        status, body = says.notices.pop(0) if len(says.notices) > 1 else says.notices[0]
        return self.answer(status, body)

    def answer(self, status, body):
        """One answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """Say nothing."""


class MetadataService:
    """One that runs. `notices` are its answers in turn, the last one for ever."""

    def __init__(self, *notices, token_status=200, address=("127.0.0.1", 0)):
        self.notices, self.token_status, self.tokens, self.asked = list(notices), token_status, [], 0
        self.server = http.server.ThreadingHTTPServer(address, Answers)
        self.server.says = self
        self.place = "%s:%d" % self.server.server_address
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        """No more answers."""
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    MetadataService((200, NOTICE), address=(sys.argv[1], int(sys.argv[2])))
    threading.Event().wait()
