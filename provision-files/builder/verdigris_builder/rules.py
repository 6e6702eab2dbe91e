"""What the lines of logs mean: which show why a command failed, and which only follow from it. Written for what compilers, linkers, configuration
tools, test runners and package managers print; the tables of `tests/failures` show on what each was tried.
"""

import re

FIRST, LAST = 0, -1


class Rule:
    """Patterns of which a line matches one; of several such lines the first or the last is shown.

    A search tries every pattern at every place of a line, which took minutes for a long log: what begins with ^ is matched once, and plain
    words are looked for as such.
    """

    def __init__(self, which, patterns):
        self.which = which
        self.words = [pattern for pattern in patterns if not SPECIAL.search(pattern)]
        self.at_start = any_of(pattern[1:] for pattern in patterns if pattern.startswith("^"))
        self.anywhere = any_of(pattern for pattern in patterns if SPECIAL.search(pattern) and not pattern.startswith("^"))

    def matches(self, line):
        """Whether the line is meant."""
        return (any(word in line for word in self.words) or (self.at_start is not None and self.at_start.match(line) is not None)
                or (self.anywhere is not None and self.anywhere.search(line) is not None))


SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")


def any_of(patterns, flags=0):
    """One pattern for all of them, or None."""
    patterns = ["(?:%s)" % pattern for pattern in patterns]
    return re.compile("|".join(patterns), flags) if patterns else None


def rule(which, *patterns):
    """A rule with these patterns."""
    return Rule(which, patterns)


CONFIGURATION = (
    rule(FIRST, r"(?:^|\s)configure: error: (?!in )", r"^CMake Error\b", r"^\S*meson\.build:\d+:\d+: ERROR: ",
         r"^a(?:utoreconf|clocal|utomake|utoconf|utoheader): error: (?!.* failed with exit status)", r"^\S*configure\.(?:ac|in):\d+: error:",
         r"^Package .* was not found in the pkg-config search path", r"^No package '.*' found", r"^Package '.*', required by '.*', not found"),
)
COMPILERS = (
    # conftest.c is what a configure script tries out: its config.log is full of it
    rule(FIRST, r"^\s*(?!conftest\.)[^\s:+][^:]*(?::[\d.,-]+){1,2}:? (?:fatal |internal compiler )?(?:error|ERROR|Error)(?:\[\w+\])?:(?: |$)",
         r"^(?:\[\w+\] )?\S+\.java:\d+: error: ", r"^\S+\.go:\d+:\d+: ", r"^\S+\([\d, ]+\):? (?:fatal )?[Ee]rror\b",
         r"^e: \S", r"^-- (?:\[E\d+\] )?[\w ]*Error: \S+:\d+:\d+"),  # Kotlin, Scala 3
    rule(FIRST, r"^error(?:\[E\d+\])?: (?!Bad exit status|could not compile|aborting|(?:doc)?test failed, to rerun|linking with|failed to run custom build|metadata-gen|subprocess-ex|.*[Ss]egmentation fault)",
         r"^\s*\S+:\d+(?::\d+)? - error TS\d+:", r"^error [A-Z]\w+"),
    # linkers
    rule(FIRST, r"undefined reference to", r"\bl?ld(?:\.\w+)?: (?!.*(?:\bwarning: |in function `|lto-wrapper failed))", r"multiple definition of",
         r"undefined symbol: ", r"DSO missing from command line"),
    rule(FIRST, r"^(?:\S*/)?(?:\S+-)?(?:gcc|g\+\+|cc|c\+\+|cc1\w*|lto1|f951|clang\S*|as|ar|cpp|gfortran|rustc|javac|ghc|go|dune|ocamlfind)(?:-\d+)?: "
         r"(?:fatal )?error: (?!.*(?:ld returned|linker command failed|[Kk]illed))"),
)
SOURCES = (
    rule(FIRST, r"^Hunk #\d+ FAILED", r"^can't find file to patch", r"malformed patch at line", r"^Reversed \(or previously applied\) patch detected",
         r"Only garbage was found in the patch input", r"^error: patch failed: ", r"^error: corrupt patch"),
    rule(FIRST, r"^(?:\S*/)?(?:tar|gzip|xz|bzip2|zstd|lzma|unzip|cpio|7z): (?!Error is not recoverable|Child returned|Exiting|Removing leading)",
         r"End-of-central-directory signature not found", r"not in gzip format", r"computed checksums? did NOT match", r": FAILED$", r"BAD signature",
         r"Can't locate \S+ in @INC"),
)
# Ends by a signal, or for want of something.
WANT = (
    rule(FIRST, r"^make(?:\[\d+\])?: \*\*\* .*\bKilled\b", r"\bKilled signal terminated program", r"line \d+: +\d+ Killed\b", r"^Killed\b", r"SIGKILL", r"signal: 9"),
    rule(FIRST, r"virtual memory exhausted", r"[Oo]ut of memory", r"Cannot allocate memory", r"std::bad_alloc", r"^MemoryError", r"memory exhausted",
         r"allocation of \d+ bytes failed"),
    rule(FIRST, r"No space left on device", r"Disk quota exceeded", r"Read-only file system"),
    rule(FIRST, r"fork: .*Resource temporarily unavailable", r"can't start new thread", r"Resource temporarily unavailable"),
)
MAKE = (
    rule(FIRST, r"^\S*make(?:\[\d+\])?: \*\*\* (?!.*\bError \d+\s*$|Waiting)"),
    rule(FIRST, r"^\S*[Mm]akefile\S*:\d+: \*\*\* "),
)
TESTS = (
    rule(FIRST, r"^(?:# )?\s*not ok \d+", r"^FAIL: \S+\s*$", r"\bFAILED \(\S+:\d+\)", r"^==== .* FAILED$"),
    rule(LAST, r"^\s*thread '.*' (?:\(\d+\) )?panicked"),  # before it there are those that a test expects
    rule(FIRST, r"Assertion [`'].*' failed", r"^\S+:\d+: Failure$", r"^E\s{3,}\S", r"^panic: ", r"^\s*\S*(?:Assertion(?:Failed)?Error|ComparisonFailure)\b", r"^Failed asserting", r"^\w+(?:::\w+)*#\w+ \[\S+:\d+\]", r"^FAIL!\s*: ", r"^\d+\) test: ",
         r"ERROR: \w+Sanitizer: ", r": runtime error: ", r"^==\d+== .*definitely lost in loss record", r"Can't locate \S+ in @INC", r"^==\d+== (?:Invalid|Conditional|Use of|Process terminating|Mismatched|Syscall param)"),
    rule(FIRST, r"^\s*\d+/\d+ .*\b(?:FAIL|ERROR|TIMEOUT)\b", r"^(?:\S+ )?(?:FAIL|ERROR|XPASS): (?!usage: )", r"^(?:FAIL|ERROR) \S+\.\w+",
         r"^--- FAIL: ", r"^\[  FAILED  \] ", r"\*\*\*\s?(?:Failed|Exception|Timeout|Not Run)", r"^FAILED \S+::", r"^test \S+ \.\.\. FAILED", r"^#\s+Failed test",
         r"The following tests FAILED", r"^\s*Failure/Error: ",
         r" \*\*\* FAILED \*\*\*", r"^==> X ", r"^• [a-z-]+ +: "),
    rule(LAST, r"^(?!#|BEGIN failed).+ at \S+\.(?:t|p[lmL]) line \d+\."),  # before it there are warnings
    rule(FIRST, r"^\S+ \(Wstat: "),
)
LANGUAGES = (
    rule(FIRST, r"^npm (?:ERR!|error) (?!code |A complete log|errno|syscall)", r"^go: (?!downloading|finding|extracting)\S", r"^\[ERROR\] (?!Tests run: |Failures:)\S",
         r"^\s*ERROR: Could not find a version", r"^ERROR (?:Unmet|Missing) dependencies\b", r"^error: failed to ",
         r"^Not a valid command: "),  # sbt tries a word as a command, a project and a key
    rule(FIRST, r"^\s+\^ [A-Z]"),  # what Kotlin finds in a script of Gradle's
    rule(LAST, r"^\s*> [A-Z](?!ask |un with |et more )"),  # Gradle's causes, each below what it brings about
)
# Rules that also match what was only tried, or said of something else.
GENERAL = (
    # interpreters and generators of documents
    rule(LAST, r"^[\s|]*(?!\S+: \S+\.pyx$)(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Exit|NotFound)\b(?:: |$)"),
    rule(FIRST, r"\(\w+(?:Error|Exception)\)$", r"^\*\* \(\w+\)", r"^! (?! ?==>)", r"^lua[\d.]*: ", r"^(?:ERROR|Error|FATAL|Fatal)(?: \w+)?(?::(?! usage: )| at | in )", r"^\w+ ERR! stack Error: ", r"^(?:\S+: )?E: ",
         r"^PHP (?:Parse|Fatal) ", r"\bFATAL\b", r"\*\*\* (?:ERROR|FATAL)"),
    rule(FIRST, r"^W: \S+:(?:\d+|~): "),  # appstreamcli fails for warnings too
    # a place in a file, with whatever is said of it
    rule(FIRST, r"^[^\s:+][^:\s]*\.\w+:\d+(?:[.:,-]\d+)*:?\s+(?!.*\b(?:[Nn]ote|[Ii]nfo|[Rr]emark|DEBUG|INFO)\b)\S"),
    # the shell and the usual programs
    rule(LAST, r"command not found", r": not found$", r"cannot stat ", r"Segmentation fault", r"Bus error", r"Illegal instruction", r"Exec format error",
         r"cannot execute", r"bad interpreter", r"error while loading shared libraries", r"Could not resolve host", r"Temporary failure in name resolution",
         r"Network is unreachable", r"Connection refused"),
    rule(LAST, r"No such file or directory", r"Permission denied", r"Operation not permitted", r"Is a directory", r"File exists", r"No such process"),
    # whatever complains
    rule(FIRST, r"^[\w./+-]+: .*\b(?:error|fatal|cannot|can't|could not|unable|failed|unknown|invalid|unrecognized|missing|mismatch)\b",
         r"^(?:Could not|Cannot|Can't|Unable to|Failed to)\b", r"\b(?:not found|undefined|unsupported|is required|does not exist)\b",
         r"^.{0,60}\b(?:failed|FAILED): \S"),
)
# Of documents, where a warning may end the build.
DOCUMENTS = (rule(FIRST, r"^\S+\.(?:rst|md|txt|py)\b.*: WARNING: "),)
# A line that shows what others have found, or what was tried: a complaint in it is none.
TRIED = re.compile(r"^(?:[Cc]hecking|Looking|--|PASS|XFAIL|SKIP|ok \d|\S+ \.\.\. ok$)|warning|\bignored?\b", re.IGNORECASE)
# Earlier rules win. In %check a compiler's complaint may be what a test is about: there the tests' own rules come first.
OF_STAGE = CONFIGURATION + COMPILERS + SOURCES + WANT + MAKE + TESTS + LANGUAGES + GENERAL + DOCUMENTS
OF_CHECK = TESTS + CONFIGURATION + COMPILERS + SOURCES + WANT + MAKE + LANGUAGES + GENERAL + DOCUMENTS
# What rpmbuild says itself, outside its stages.
OWN = (
    rule(FIRST, r"^error: (?!Bad exit status|Macro %\S+ has empty body|Macro %\S+ needs whitespace)"),
    rule(FIRST, r"^error: (?!Bad exit status)"),
    rule(FIRST, r"^\s+(?:File not found|Directory not found|File must begin with|Bad file|Bad source)"),
)

# What follows from an error and does not tell it: the beginnings of such lines.
ECHO = any_of((
    r"\s*$", r"[-=*#_ ~^|]{3,}$", r"\s*[}\])]+;?$", r"\s*\d+ \| ", r"\s*(?:real|user|sys)\s+\d+m",
    # make, ninja, compilers
    r"\S*make(?:\[\d+\])?: (?:Leaving|Entering) directory", r"\S*make(?:\[\d+\])?: \*\*\* .*(?:Error \d+|Waiting for unfinished jobs)",
    r"\S*make(?:\[\d+\])?: Target .* not remade", r"Makefile:\d+: recipe for target", r"ninja: build stopped", r"\[\d+/\d+\] ", r"\d+/\d+ .*\b(?:OK|Passed)\b",
    r"FAILED: ", r"collect2: error", r"lto-wrapper: ", r"compilation terminated", r"\d+ (?:errors?|warnings?)(?: and .*)? generated",
    r"\S+: error: \S*(?:lto-wrapper failed|\w+ failed with exit status)", r"\S+:\s+found \d+ (?:fatal )?errors?$", r"\w+ failed: \d+ error",
    r"error: (?:could not compile|aborting due to|Bad exit status|metadata-generation-failed|subprocess-exited)", r"scons: building terminated",
    r"BUILD FAILED", r"(?:one|\d+) errors? found", r"\((?:\w+ / )*\w+\) (?:Compilation failed|sbt\.TestsFailedException)", r"FAILURE: Build failed", r"The configuration failed", r"build finished with problems", r"Stop\.$", r"-- Configuring incomplete", r"(?:tar|gzip|cpio): (?:Error is not recoverable|Child returned|Exiting with)",
    r"(?:rm|removed)\b.*\brpm-tmp", r"\S+ [\d.]+ compiled with", r"-> required by ",
    # traces of a stack
    r"\s+at ", r"\s+from \S+:\d+:in ", r"\s+\[C\]: ", r"stack traceback:", r"\s+#\d+ 0x", r"\s+\(\S+ [\d.]+\) \S+:\d+:", r"Call Stack", r"Node\.js v\d",
    r"==\d+== ?(?:ERROR SUMMARY|ABORTING|For (?:lists|counts) of|$|   )", r"SUMMARY: ",
    # advice, and where more is written
    r"For more information about this error", r"npm (?:ERR!|error) A complete log", r"Try [`'\"]", r"\s+To (?:ignore|see|fix) ", r"hint: ", r"note: ", r"See ",
    r"Please (?:report|submit)", r"[A-Z].{0,40}\blog\b.{0,80}\b(?:found|written)\b", r"\(complete log", r"Transcript written", r"--strict was",
    # sums of test runners
    r"Ran \d+ tests? in", r"Ran all ", r"Tests?:\s+\d", r"Time:\s", r"Snapshots?:", r"Total ", r"Result: ", r"No subtests run", r"rake aborted!", r"Command failed with status", r"\d+ runs, ", r"Totals?: ", r"Fail:\s+\d", r"\w+ ERR! (?:not ok|cwd|node|command|System)", r"Files=", r". Validation failed", r"Validation of files failed", r"[IP]: \S+:(?:\d+|~): ", r"ERROR: \d+ tests? w",
    r"\S+\.tcl:\tTotal", r"Use \"--rerun-failed", r"Errors while running CTest", r"Output from these tests"), re.IGNORECASE)

# What some tools put before each line of an error, and rules do not expect: sbt's, which marks with it also its sums.
MARK = "[error] "
TRACE = re.compile(r"^\++ ")
IDLE = re.compile(r"^\++ (?:(?:exit|return|set|true|:|trap)\b|RPM_EC=|jobs -p$)")  # a trace that tells nothing; the last two are rpmbuild's own end of a stage
PREPARED = re.compile(r"^\++ (?:cd|umask|export|rm|[A-Z_]+=)")  # what rpmbuild itself does at the beginning of a stage
# Commands that show or clean up: when one of them is the last of a stage, what failed came before it.
SHOWING = re.compile(r"^\++ (?:cat|echo|printf|tail|head|find|ls|rm|false|test|\[|sed|grep|for|if|while|pushd|popd|touch|mkdir|sleep|kill)\b")
