"""Real builds that failed (`failures/record.py` records them), each judged again by the same code: blame and line must be right.

A share of right ones would let a rule for a few cases break unseen, so that the wrong ones are named (`WRONG`) and no other may be.
`python3 provision-files/builder/tests/test_failures.py` prints the table by kind.
"""

import json
import os
import re
import tempfile
import unittest

from support import HERE

from failures import replay
from failures.cases import CASES
from verdigris_builder import evidence

RECORDED = replay.RECORDED
LEAST = 0.9
WRONG = ()  # names of cases that the rules get wrong today
SEVERAL = 2  # different lines of its logs that a label may match: what is said twice, in two ways
STAGE = "Executing(%%%s): /bin/sh -e /var/tmp/rpm-tmp.x\n+ umask 022\n+ cd /builddir/build/BUILD\n%serror: Bad exit status from /var/tmp/rpm-tmp.x (%%%s)\n"
LIMIT = 1 << 20  # bytes of all recorded logs


def score():
    """{kind: [cases, line right, blame right]}, {case: what is wrong with it}, and (wanted, given) of every blame."""
    with open(os.path.join(HERE, "failures", "recorded.json"), encoding="utf-8") as file:
        recorded = json.load(file)
    kinds, wrong, blames = {}, {}, []
    for case in CASES:
        verdict = replay.judge(case.name, recorded[case.name])
        text = (verdict["evidence"] or {}).get("text") or verdict["reason"]
        is_line = re.search(case.line, text) is not None
        is_blame = verdict["blame"] == case.blame
        row = kinds.setdefault(case.kind, [0, 0, 0])
        for index, value in enumerate((1, is_line, is_blame)):
            row[index] += value
        blames.append((case.blame, verdict["blame"]))
        if not (is_line and is_blame):
            wrong[case.name] = "%s (wanted %s): %s (wanted %s)" % (verdict["blame"], case.blame, text[:200], case.line)
    return kinds, wrong, blames


def rates(blames, blame):
    """(precision, recall) of a blame."""
    right = sum(pair == (blame, blame) for pair in blames)
    return right / max(1, sum(given == blame for _, given in blames)), right / max(1, sum(wanted == blame for wanted, _ in blames))


class Failures(unittest.TestCase):
    """No root needed here."""

    def test_line_and_blame_of_every_real_failure_are_right(self):
        kinds, wrong, blames = score()
        self.assertEqual({name: what for name, what in wrong.items() if name not in WRONG}, {})
        self.assertEqual([name for name in WRONG if name not in wrong], [], "these are right now")
        count, line_right, blame_right = (sum(row[index] for row in kinds.values()) for index in range(3))
        self.assertGreaterEqual(count, 60)
        self.assertGreaterEqual(line_right / count, LEAST, wrong)
        self.assertGreaterEqual(blame_right / count, LEAST, wrong)
        for blame in ("package", "infrastructure"):
            precision, recall = rates(blames, blame)
            self.assertGreaterEqual(min(precision, recall), LEAST, (blame, wrong))

    def test_the_readme_has_these_figures(self):
        kinds, _, blames = score()
        count, line_right, blame_right = (sum(row[index] for row in kinds.values()) for index in range(3))
        wanted = ["has %d real builds that failed, of %d kinds" % (count, len(kinds)), "right in %d of %d," % (min(line_right, blame_right), count),
                  "(%d and %d cases" % tuple(sum(pair[0] == blame for pair in blames) for blame in ("package", "infrastructure"))]
        worst = min(min(rates(blames, blame)) for blame in ("package", "infrastructure"))
        wanted.append("precision and recall %.2f for both" % worst)
        with open(os.path.join(os.path.dirname(HERE), "README.md"), encoding="utf-8") as file:
            text = " ".join(file.read().split())
        self.assertEqual([words for words in wanted if words not in text], [])

    def test_every_case_is_recorded_and_the_logs_are_small(self):
        size = sum(os.path.getsize(os.path.join(where, file)) for where, _, found in os.walk(RECORDED) for file in found)
        self.assertLess(size, LIMIT)
        with open(os.path.join(HERE, "failures", "recorded.json"), encoding="utf-8") as file:
            recorded = json.load(file)
        self.assertEqual(sorted(recorded), sorted(case.name for case in CASES))
        # What was judged then is not kept: it could be taken for a judgement of today's code.
        self.assertEqual([name for name, document in recorded.items() if sorted(document) != ["damaged", "end", "measured"]], [])
        self.assertEqual({document["end"]["how"] for document in recorded.values()}, set(replay.HOW))

    def test_a_label_means_one_line_of_its_logs(self):
        loose = {}
        for case in CASES:
            directory = os.path.join(RECORDED, case.name)
            lines = [line for log in ("build.log", "root.log") for line in replay.text(directory, log).splitlines()]
            meant = {line.strip() for line in lines if re.search(case.line, line)}
            if re.search(case.line, "") or len(meant) > SEVERAL:
                loose[case.name] = sorted(meant)
        self.assertEqual(loose, {})

    def test_the_telling_line_of_each_tool_is_found(self):
        wrong = []
        for name, stage, body, wanted in tools():
            with tempfile.TemporaryDirectory() as directory:
                with open(os.path.join(directory, "build.log"), "w", encoding="utf-8") as file:
                    file.write(STAGE % (stage, body, stage))
                text = evidence.search(directory).evidence["text"]
            if wanted not in text:
                wrong.append("%s: %s (wanted %s)" % (name, text, wanted))
        self.assertEqual(wrong, [])


def tools():
    """(name, stage, output, part of the line) of the cases in `failures/tools.txt`."""
    with open(os.path.join(HERE, "failures", "tools.txt"), encoding="utf-8") as file:
        for case in file.read().split("\n== ")[1:]:
            head, _, body = case.partition("\n")
            name, stage, wanted = head.split(" | ", 2)
            yield name, stage, body.rstrip("\n") + "\n", wanted


def main():
    """Print the table."""
    kinds, wrong, blames = score()
    print("%-26s %5s %5s %6s" % ("kind", "logs", "line", "blame"))
    for kind, row in sorted(kinds.items()):
        print("%-26s %5d %5d %6d" % (kind, *row))
    print("%-26s %5d %5d %6d" % ("all", *[sum(row[index] for row in kinds.values()) for index in range(3)]))
    for blame in ("package", "infrastructure"):
        print("blame %s: precision %.2f, recall %.2f" % (blame, *rates(blames, blame)))
    print("\n".join("%s: %s" % item for item in wrong.items()))


if __name__ == "__main__":
    main()
