"""What the values' schema takes, beside what the program takes: both are held to one table, `crates/runtime/testdata/settings-bounds.json`.

A row of the table has texts that the program takes and texts that it refuses for one setting, and the bounds of a quantity, of which the schema's
pattern follows. `unseen` are texts that the program refuses and a schema cannot. `UPDATE_GOLDEN=1` writes the patterns anew.
"""

import json
import os
import re
import unittest

import helm_python as helm

import test_chart as chart

SCHEMA = chart.CHART / "values.schema.json"
RUNTIME = chart.HERE.parent.parent / "crates" / "runtime"
TABLE = json.loads((RUNTIME / "testdata" / "settings-bounds.json").read_text())
UNITS = {
    "size": {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40},
    "duration": {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000},
}
# Settings that have values of their own in the chart.
ELSEWHERE = {"http.public_url": ("publicUrl",), "http.builder_url": ("builderUrl",), "database.url": ("database", "url")}
# A value of the chart that stands for "not set", and therefore is none for the program.
NOT_SET = {("http.builder_url", ""), ("database.url", "")}


def same_length(least, most):
    """A pattern for the numbers between two of as many digits."""
    if least == most:
        return least
    if len(least) == 1:
        return f"[{least}-{most}]"
    if least[0] == most[0]:
        return least[0] + same_length(least[1:], most[1:])
    rest = len(least) - 1
    low, high = int(least[0]), int(most[0])
    parts = []
    if least[1:].strip("0"):
        parts.append(least[0] + same_length(least[1:], "9" * rest))
        low += 1
    if most[1:].strip("9"):
        high -= 1
    if low <= high:
        any_digits = "[0-9]" if rest == 1 else "[0-9]{%d}" % rest
        parts.append((f"[{low}-{high}]" if low < high else str(low)) + any_digits)
    if most[1:].strip("9"):
        parts.append(most[0] + same_length("0" * rest, most[1:]))
    return parts[0] if len(parts) == 1 else "(" + "|".join(parts) + ")"


def between(least, most):
    """A pattern for the whole numbers from one to another, in decimal, with zeros before them or without."""
    parts = []
    for length in range(len(str(least)), len(str(most)) + 1):
        low, high = max(least, 10 ** (length - 1)), min(most, 10**length - 1)
        if low <= high:
            parts.append(same_length(str(low), str(high)))
    return "0*(" + "|".join(parts) + ")"


def amount(text, units):
    """A quantity in its smallest unit."""
    number, unit = re.fullmatch(r"([0-9]+)([A-Za-z]+)", text).groups()
    return int(number) * units[unit]


def schema_of(row):
    """What the schema says of a setting that is a quantity."""
    if row["kind"] == "count":
        least, most = int(row["least"]), int(row["most"])
        return {"type": ["string", "integer"], "minimum": least, "maximum": most, "pattern": f"^{between(least, most)}$"}
    units = UNITS[row["kind"]]
    least, most = amount(row["least"], units), amount(row["most"], units)
    parts = []
    for unit, size in units.items():
        low, high = -(-least // size), most // size
        if low <= high:
            parts.append(between(low, high) + f" *{unit}")
    return {"type": "string", "pattern": "^(" + "|".join(parts) + ")$"}


def rewritten(text, wanted):
    """The schema's text with these settings, each of which has a line of its own in its section."""
    lines, section = [], None
    for line in text.splitlines():
        begin = re.fullmatch(r' {8}"(\w+)": \{', line)
        section = begin[1] if begin else section
        key = re.fullmatch(r'( +)"(\w+)": \{.*\}(,?)', line)
        if key and (section, key[2]) in wanted:
            line = f'{key[1]}"{key[2]}": {json.dumps(wanted[section, key[2]])}{key[3]}'
        lines.append(line)
    return "\n".join(lines) + "\n"


def changed(setting, value):
    """The values that give a setting this value."""
    path = ELSEWHERE.get(setting, ("settings", *setting.split(".")))
    for key in reversed(path):
        value = {key: value}
    return value


def is_taken(setting, value):
    """Whether Helm takes it."""
    try:
        chart.render(chart.merged(chart.values("minimal"), changed(setting, value)))
    except helm.HelmError as error:
        assert "values don't meet the specifications of the schema" in str(error), error
        return False
    return True


WANTED = {tuple(setting.split(".")): schema_of(row) for setting, row in TABLE.items() if "least" in row}


class Bounds(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if os.environ.get("UPDATE_GOLDEN"):
            SCHEMA.write_text(rewritten(SCHEMA.read_text(), WANTED))

    def test_the_schema_has_the_bounds_of_the_table(self):
        sections = json.loads(SCHEMA.read_text())["properties"]["settings"]["properties"]
        for (section, key), schema in WANTED.items():
            with self.subTest(section, key=key):
                self.assertEqual(sections[section]["properties"][key], schema, "UPDATE_GOLDEN=1 writes it")

    def test_the_schema_takes_and_refuses_what_the_program_does(self):
        for setting, row in TABLE.items():
            for value in row["taken"]:
                with self.subTest(setting, value=value):
                    self.assertTrue(is_taken(setting, value))
            for value in row["refused"]:
                with self.subTest(setting, value=value):
                    self.assertEqual(is_taken(setting, value), (setting, value) in NOT_SET)
            for value in row.get("unseen", []):
                with self.subTest(setting, value=value):
                    self.assertTrue(is_taken(setting, value), "the schema sees it: it is no longer unseen")

    def test_numbers_are_bounded_like_their_texts(self):
        for setting, row in TABLE.items():
            if row["kind"] == "count":
                least, most = int(row["least"]), int(row["most"])
                for value, taken in ((least - 1, False), (least, True), (most, True), (most + 1, False)):
                    with self.subTest(setting, value=value):
                        self.assertEqual(is_taken(setting, value), taken)

    def test_the_table_has_every_setting_of_the_chart_and_every_range_of_the_program(self):
        sections = json.loads(SCHEMA.read_text())["properties"]["settings"]["properties"]
        of_chart = {f"{name}.{key}" for name, section in sections.items() for key in section["properties"]}
        paths = {"fleet.playbooks", "fleet.provision_files"}  # any path that is not empty
        self.assertEqual(of_chart - paths, set(TABLE) - set(ELSEWHERE))
        of_program = set(re.findall(r'self\.range\("([a-z_.]+)"', (RUNTIME / "src" / "settings" / "bounds.rs").read_text()))
        self.assertGreater(len(of_program), 10)
        self.assertEqual(of_program, {setting for setting, row in TABLE.items() if "least" in row})

    def test_a_pattern_for_a_range_takes_its_numbers_and_no_other(self):
        for least, most in ((1, 1), (2, 1000), (8, 25), (1, 9), (95, 1203), (65536, 70001), (199, 300), (10, 99), (1, 1000)):
            pattern = re.compile(between(least, most))
            for number in range(0, 2 * most + 20):
                if bool(pattern.fullmatch(str(number))) != (least <= number <= most):
                    self.fail((least, most, number))


if __name__ == "__main__":
    unittest.main()
