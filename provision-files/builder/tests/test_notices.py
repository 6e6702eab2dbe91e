"""What a builder says of the notice by which a cloud takes a machine back."""

import os
import socket
import unittest

from metadata_service import NOTICE, MetadataService
from support import BuilderTest

from verdigris_builder import notices

TOLD = {"notice": {"action": "terminate", "time": "2026-11-30T10:00:00Z"}}
NONE = (404, "")


class Notices(unittest.TestCase):
    """The waiting, with a service of the test's own."""

    def setUp(self):
        self.reader, self.writer = os.pipe()
        self.addCleanup(lambda: [os.close(end) for end in (self.reader, self.writer) if end is not None])

    def serving(self, *answers, **more):
        """A service, and ours that asks it."""
        service = MetadataService(*answers, **more)
        self.addCleanup(service.stop)
        return service, notices.Service(service.place)

    def wait(self, ours):
        """The document, without the pauses."""
        return notices.wait(ours, every=0.01, out=self.writer)

    def test_a_notice_is_waited_for_and_told_in_its_own_words(self):
        service, ours = self.serving(NONE, NONE, (200, NOTICE))
        self.assertEqual(self.wait(ours), TOLD)
        self.assertEqual((service.asked, len(service.tokens)), (3, 1))

    def test_odd_words_are_a_notice_as_well_and_only_what_can_be_read_is_told(self):
        for body, action, time in (("take care\x1b[1m" + "x" * 500, "take care[1m" + "x" * 88, ""), ("[1]", "[1]", ""),
                                   ('{"action": 7, "time": "soon\\n"}', "", "soon"), ("", "", "")):
            _, ours = self.serving((200, body))
            self.assertEqual(self.wait(ours), {"notice": {"action": action, "time": time}})

    def test_where_no_service_gives_a_token_there_is_nothing_to_be_told(self):
        for status in (403, 404, 405):
            service, ours = self.serving((200, NOTICE), token_status=status)
            self.assertEqual(self.wait(ours), {"notice": None})
            self.assertEqual(service.asked, 0, "without a token nothing is asked")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.assertEqual(self.wait(notices.Service("127.0.0.1:%d" % free.getsockname()[1])), {"notice": None})

    def test_a_service_that_has_answered_is_asked_on_whatever_it_says_later(self):
        service, ours = self.serving(NONE, *[(500, "")] * 10, (200, NOTICE))
        self.assertEqual(self.wait(ours), TOLD)
        self.assertEqual(service.asked, 12)

    def test_a_token_that_is_not_known_any_more_is_replaced(self):
        service, ours = self.serving(NONE, (200, NOTICE))
        self.assertIsNone(ours.notice())
        service.tokens.append("of another start")
        self.assertEqual(ours.notice(), TOLD["notice"])
        self.assertEqual(len(service.tokens), 3)

    def test_nobody_is_asked_for_who_has_gone(self):
        service, ours = self.serving(NONE)
        os.close(self.reader)
        self.reader = None
        self.assertIsNone(self.wait(ours))
        self.assertEqual(service.asked, 1)


class Command(BuilderTest):
    """The command as the farm calls it."""

    def test_the_command_tells_it_in_one_document(self):
        service = MetadataService((200, NOTICE))
        self.addCleanup(service.stop)
        self.builder.environment["VERDIGRIS_METADATA"] = service.place
        self.assertEqual(self.builder.ok("notices"), TOLD)

    def test_without_being_told_otherwise_it_asks_where_ec2_has_the_service(self):
        self.assertEqual((notices.PLACE, notices.EVERY), ("169.254.169.254:80", 5.0))


if __name__ == "__main__":
    unittest.main()
