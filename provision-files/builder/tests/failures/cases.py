"""Builds that fail, each with what is right about its end: whose fault it is, and the line that shows why.

`record.py` builds them for real and keeps their logs; `../test_failures.py` judges the logs. A label's `line` is a regular expression that the text
of the evidence must match; several lines of a log may be right.
"""

import dataclasses


@dataclasses.dataclass
class Case:
    """One failing build. `kind` is what fails, `blame` whose fault it is, `line` what the evidence must look like."""

    name: str
    kind: str
    blame: str
    line: str
    requires: str = ""
    head: str = ""
    prep: str = ""
    build: str = ""
    install: str = ""
    check: str = ""
    files: str = ""
    tail: str = ""
    sources: dict = dataclasses.field(default_factory=dict)
    trouble: str = ""  # what record.py does to the builder or its repositories
    task: dict = dataclasses.field(default_factory=dict)

    def spec(self):
        """The spec file."""
        parts = ["%global debug_package %{nil}", "Name: " + self.name, "Version: 1", "Release: 1", "Summary: It fails", "License: CC0-1.0"]
        parts += ["BuildRequires: " + word for word in self.requires.split(",") if word]
        parts += ["Source%d: %s" % item for item in enumerate(self.sources)]
        # A source package can be made only where its spec file is sound: there `recording` is defined.
        bad = "%%if !0%%{?recording}\n%s\n%%endif" if self.kind == "spec" and "%if" not in self.head else "%s"
        head, tail = [bad % text if text else "" for text in (self.head, self.tail)]
        parts += [head, "%description", "It fails.", "%prep", "%setup -q -c -T", self.prep]
        for stage in ("build", "install", "check"):
            if getattr(self, stage):
                parts += ["%" + stage, getattr(self, stage)]
        return "\n".join([*parts, "%files", self.files, tail, ""])


def c(path, text):
    """A shell command that writes a file."""
    return "cat > %s <<'EOF'\n%s\nEOF\n" % (path, text)


KIT = "kit-tools"  # a package of record.py's with g++, python3, cmake, meson, autoconf, automake
UNITTEST = c("test_sum.py", "import unittest\n\nclass Sum(unittest.TestCase):\n    def test_sum(self):\n        self.assertEqual(1 + 1, 3)\n")
AUTOMAKE = c("configure.ac", "AC_INIT([demo], [1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT") + c(
    "Makefile.am", "TESTS = good.sh bad.sh") + "printf '#!/bin/sh\\nexit 0\\n' > good.sh\nprintf '#!/bin/sh\\necho wrong answer\\nexit 1\\n' > bad.sh\nchmod +x *.sh\n"
MAKEFILE = "printf 'all: one two\\none:\\n\\tgcc -c one.c\\ntwo:\\n\\tgcc -c two.c\\n' > Makefile\n"
P, I, S = "package", "infrastructure", "service"

CASES = [
    # compile
    Case("compile-c", "compile", P, r"two\.c:1:\d+: error: .*undeclared", prep=MAKEFILE + c("one.c", "int one(void) { int unused; return 1; }") + c("two.c", "int two(void) { return nothing; }"), build="make CFLAGS=-Wall"),
    Case("compile-parallel", "compile", P, r"two\.c:1:\d+: error", prep=MAKEFILE + c("one.c", "#warning slow\nint one;") + c("two.c", "int two(void) { return nothing; }"), build="make -j4 -k"),
    Case("compile-header", "compile", P, r"fatal error: absent\.h: No such file", prep=c("x.c", "#include <absent.h>\nint x;"), build="gcc -c x.c"),
    Case("compile-werror", "compile", P, r"x\.c:1:\d+: error: .*\[-Werror", prep=c("x.c", "static int f(void) { return 1; }"), build="gcc -Wall -Werror -c x.c"),
    Case("compile-cxx", "compile", P, r"x\.cpp:2:\d+: error", requires=KIT, prep=c("x.cpp", "#include <vector>\nstd::vector<int> v = \"text\";"), build="g++ -c x.cpp"),
    Case("compile-cxx-template", "compile", P, r"stl_algo\.h:\d+:\d+: error: no match for 'operator-'", requires=KIT, prep=c("x.cpp", "#include <algorithm>\n#include <list>\nvoid f(std::list<int> l) { std::sort(l.begin(), l.end()); }"), build="g++ -c x.cpp"),
    Case("compile-colours", "compile", P, r"x\.c:1:\d+: error", prep=c("x.c", "int x = nothing;"), build="gcc -fdiagnostics-color=always -c x.c"),
    Case("compile-assembler", "compile", P, r"x\.s:1: Error: no such instruction", prep=c("x.s", "frobnicate %eax"), build="gcc -c x.s"),
    Case("compile-option", "compile", P, r"gcc: error: unrecognized command-line option", prep=c("x.c", "int x;"), build="gcc -mfrobnicate -c x.c"),
    Case("compile-python", "compile", P, r"^SyntaxError: '\(' was never closed", requires=KIT, prep=c("x.py", "x = ("), build="python3 -m compileall -f . || exit 1"),
    Case("compile-preprocessor", "compile", P, r"x\.c:1:\d+: error: #error", prep=c("x.c", "#error this machine is not known"), build="gcc -c x.c"),
    # link
    Case("link-undefined", "link", P, r"undefined reference to .absent", prep=c("x.c", "int absent(void); int main(void) { return absent(); }"), build="gcc -o x x.c"),
    Case("link-library", "link", P, r"cannot find -labsent", prep=c("x.c", "int main(void) { return 0; }"), build="gcc -o x x.c -labsent"),
    Case("link-twice", "link", P, r"multiple definition of .twice", prep=c("a.c", "int twice = 1; int main(void) { return 0; }") + c("b.c", "int twice = 2;"), build="gcc -o x a.c b.c"),
    Case("link-format", "link", P, r"file not recognized|x\.o:0: syntax error", prep="echo nonsense > x.o\n", build="gcc -o x x.o"),
    Case("link-make", "link", P, r"undefined reference to .absent", prep=c("x.c", "int absent(void); int main(void) { return absent(); }") + "printf 'x: x.o\\n\\tgcc -o $@ $^\\n' > Makefile\n", build="make"),
    # missing requirements
    Case("requires-nothing", "requirement-missing", P, r"^No matching package to install: 'absent-devel >= 3'", requires="absent-devel >= 3"),
    Case("requires-pkgconfig", "requirement-missing", P, r"^No matching package to install: 'pkgconfig\(absent\)'", requires="pkgconfig(absent),gcc"),
    Case("requires-file", "requirement-missing", P, r"^No matching package to install: '/usr/bin/absent'", requires="/usr/bin/absent"),
    Case("requires-rich", "requirement-missing", P, r"nothing provides requested \(absent or missing\)", requires="(absent or missing)"),
    Case("requires-version", "requirement-missing", P, r"^No matching package to install: 'm4 >= 99'", requires="m4 >= 99"),
    Case("requires-generated", "requirement-missing", P, r"^No matching package to install: 'absent-generated'", tail="%generate_buildrequires\necho absent-generated"),
    Case("requires-below", "requirement-missing", P, r"nothing provides absent-below needed by kit-needs-1-1\.noarch", requires="kit-needs"),
    Case("requires-pkgconf", "requirement-missing", P, r"^Package absent was not found in the pkg-config search path", build="pkg-config --exists --print-errors absent"),
    # conflicts
    Case("bad-dep-conflict", "file-conflict", P, r"file /usr/bin/bash .*conflicts with file from package bash", requires="kit-conflict"),
    Case("conflict-between", "file-conflict", P, r"file /usr/share/kit-same .*conflicts between attempted installs", requires="kit-one,kit-two"),
    Case("conflict-package", "conflict", P, r"kit-hates-bash-1-1\.noarch conflicts with bash", requires="kit-hates-bash"),
    Case("conflict-build", "conflict", P, r"^\s*bash conflicts with conflict-build-1-1\.x86_64$", head="BuildConflicts: bash"),
    Case("conflict-build-old", "conflict", P, r"^\s*make < 99 conflicts with conflict-build-old-1-1\.x86_64$", head="BuildConflicts: make < 99", requires="m4"),
    # scriptlets
    Case("bad-dep-scriptlet", "scriptlet", P, r"%prein\(kit-badpre-1-1\.noarch\) scriptlet failed", requires="kit-badpre"),
    Case("scriptlet-pretrans", "scriptlet", P, r'^error: lua script failed: \[string "%pretrans\(kit-badpretrans-1-1\.noarch\)"\]:1: KIT: never', requires="kit-badpretrans"),
    # tests
    Case("test-assert", "test", P, r"Assertion .1 == 2. failed", prep=c("x.c", "#include <assert.h>\nint main(void) { assert(1 == 2); return 0; }"), build="gcc -o x x.c", check="./x"),
    Case("test-make", "test", P, r"FAIL: sum: 3 != 4", prep="printf 'check:\\n\\t@echo PASS: one\\n\\t@echo FAIL: sum: 3 != 4\\n\\t@exit 1\\n' > Makefile\n", check="make check"),
    Case("test-automake", "test", P, r"FAIL: bad\.sh", requires=KIT + ",m4", prep=AUTOMAKE, build="export ACLOCAL=aclocal-1.16 AUTOMAKE=automake-1.16\nautoreconf -fi\n./configure", check="make check"),
    Case("test-unittest", "test", P, r"AssertionError: 2 != 3|FAIL: test_sum", requires=KIT, prep=UNITTEST, check="python3 -m unittest -v"),
    Case("test-unittest-error", "test", P, r"ModuleNotFoundError: No module named .absent|ERROR: test_x", requires=KIT, prep=c("test_x.py", "import absent"), check="python3 -m unittest"),
    Case("test-tap", "test", P, r"not ok 2 - adds", prep=c("t.sh", "echo 1..3\necho ok 1 - begins\necho 'not ok 2 - adds'\necho '#   Failed test adds'\necho ok 3 - ends\nexit 1"), check="sh t.sh"),
    Case("test-perl", "test", P, r"Failed test 'adds'|not ok 1 - adds", requires=KIT, prep=c("t.pl", "use Test::More tests => 2;\nis(1 + 1, 3, 'adds');\nok(1);"), check="perl t.pl"),
    Case("test-prove", "test", P, r"^#   Failed test 'adds'", requires=KIT, prep="mkdir t\n" + c("t/a.t", "use Test::More tests => 1;\nis(1 + 1, 3, 'adds');"), check="perl -MTest::Harness -e 'runtests(@ARGV)' t/a.t"),
    Case("test-diff", "test", P, r"^\+three|^-two", prep="echo two > want\necho three > got\n", check="diff -u want got"),
    Case("test-silent", "test", P, r"^\+ grep -q three", prep="echo two > got\n", check="grep -q three got"),
    Case("test-ctest", "test", P, r"adds \.+\*\*\*Failed", requires=KIT, prep=c("CMakeLists.txt", "cmake_minimum_required(VERSION 3.5)\nproject(x C)\nenable_testing()\nadd_test(NAME adds COMMAND false)"), build="cmake .", check="ctest --output-on-failure"),
    Case("test-meson", "test", P, r"^\s*1/1 adds\s+FAIL", requires=KIT, prep=c("meson.build", "project('x', 'c')\ntest('adds', find_program('false'))"), build="meson setup b", check="meson test -C b"),
    Case("test-crash", "test", P, r"^Segmentation fault", prep=c("x.c", "int main(void) { return *(volatile int *)0; }"), build="gcc -o x x.c", check="./x"),
    # files
    Case("files-missing", "files", P, r"File not found: .*/usr/bin/absent", files="/usr/bin/absent"),
    Case("files-missing-directory", "files", P, r"(Directory|File) not found: .*/usr/share/absent", files="%dir /usr/share/absent"),
    Case("files-glob", "files", P, r"File not found: .*/usr/lib/absent-\*", files="/usr/lib/absent-*"),
    Case("files-unpackaged", "files", P, r"/usr/share/forgotten", install="install -D /dev/null %{buildroot}/usr/share/forgotten"),
    Case("files-relative", "files", P, r"File must begin with", files="usr/bin/x"),
    Case("files-buildroot", "files", P, r"^Found '.*/BUILDROOT/.*' in installed files; aborting", install="mkdir -p %{buildroot}/etc\necho %{buildroot} > %{buildroot}/etc/x\n/usr/lib/rpm/check-buildroot", files="/etc/x"),
    Case("files-noarch", "files", P, r"Arch dependent binaries in noarch package", head="BuildArch: noarch", prep=c("x.c", "int main(void) { return 0; }"), install="mkdir -p %{buildroot}/usr/bin\ngcc -o %{buildroot}/usr/bin/x x.c", files="/usr/bin/x"),
    Case("files-doc", "files", P, r"File not found: .*/README\.absent", files="%doc README.absent"),
    # spec files
    Case("spec-tag", "spec", P, r"Unknown tag: Frobnicate: yes", head="Frobnicate: yes"),
    Case("spec-if", "spec", P, r"^error: line \d+: Unclosed %if", head="%{!?recording:%if 1}"),
    Case("spec-epoch", "spec", P, r"^error: line \d+: Epoch field must be an unsigned number: Epoch: x", head="Epoch: x"),
    Case("spec-macro", "spec", P, r"rpm-tmp\.\w+: \d+: %absent_macro: not found", build="%absent_macro --prefix=/usr"),
    Case("spec-package-twice", "spec", P, r"^error: line \d+: %package x: package spec-package-twice-x already exists", tail="%package x\nSummary: x\n%description x\nx\n%package x\nSummary: x\n%description x\nx"),
    Case("spec-lua", "spec", P, r'^error: lua script failed: \[string "<lua>"\]:1: attempt to index a nil value', head="%{lua:absent.call()}"),
    # sources
    Case("sources-tar", "sources", P, r"^tar: This does not look like a tar archive|^gzip: stdin: not in gzip format", sources={"x.tar.gz": "this is no archive"}, prep="tar xf %{SOURCE0}"),
    Case("sources-setup", "sources", P, r"/tar: This does not look like a tar archive|gzip: .*not in gzip format", sources={"x.tar.gz": "this is no archive"}, prep="%setup -q -T -D -a 0"),
    Case("sources-short", "sources", P, r"unexpected end of file|Unexpected EOF", prep="head -c 100000 /dev/urandom > x\ntar cf - x | gzip | head -c 40000 > x.tar.gz\ntar xzf x.tar.gz"),
    Case("sources-checksum", "sources", P, r"^x: FAILED$", prep="echo a > x\necho '%s  x' | sha256sum -c -" % ("0" * 64)),
    Case("sources-directory", "sources", P, r"absent-1: No such file or directory|can't cd to absent-1", prep="cd absent-1"),
    Case("sources-xz", "sources", P, r"xz: .*(format not recognized|corrupt)", prep="echo nonsense > x.xz\nxz -d x.xz"),
    # configure
    Case("configure-error", "configure", P, r"configure: error: absent is required", prep=c("configure", "#!/bin/sh\necho 'checking for absent... no'\necho 'configure: error: absent is required' >&2\nexit 1") + "chmod +x configure\n", build="./configure"),
    Case("configure-autoconf", "configure", P, r"configure: error: library absent", requires=KIT + ",m4", prep=c("configure.ac", "AC_INIT([x], [1])\nAC_PROG_CC\nAC_CHECK_LIB([absent], [f], [], [AC_MSG_ERROR([library absent is needed])])\nAC_OUTPUT"), build="export ACLOCAL=aclocal-1.16 AUTOMAKE=automake-1.16\nautoreconf -fi\n./configure"),
    Case("configure-macro", "configure", P, r"possibly undefined macro|configure\.ac:2", requires=KIT + ",m4", prep=c("configure.ac", "AC_INIT([x], [1])\nAC_ABSENT_MACRO([x])\nAC_OUTPUT"), build="export ACLOCAL=aclocal-1.16 AUTOMAKE=automake-1.16\nautoreconf -fi"),
    Case("configure-cmake", "configure", P, r"CMake Error at CMakeLists\.txt:3|Could not find a package configuration file", requires=KIT, prep=c("CMakeLists.txt", "cmake_minimum_required(VERSION 3.5)\nproject(x C)\nfind_package(Absent REQUIRED)"), build="cmake ."),
    Case("configure-meson", "configure", P, r"meson\.build:2:\d+: ERROR: Dependency .absent. not found|Dependency \"absent\" not found", requires=KIT, prep=c("meson.build", "project('x', 'c')\ndependency('absent')"), build="meson setup b"),
    # patches
    Case("patch-hunk", "patch", P, r"Hunk #1 FAILED|1 out of 1 hunk FAILED", sources={"x.patch": "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"}, prep="printf 'ten\\neleven\\n' > x\npatch -p1 < %{SOURCE0}"),
    Case("patch-file", "patch", P, r"can't find file to patch", sources={"x.patch": "--- a/absent\n+++ b/absent\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"}, prep="patch -f -p1 < %{SOURCE0}"),
    Case("patch-malformed", "patch", P, r"malformed patch at line", sources={"x.patch": "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\nnonsense\n"}, prep="echo one > x\npatch -p1 < %{SOURCE0}"),
    # scripts
    Case("bad-command-missing", "build-script", P, r"frobnicate: (command )?not found", build="frobnicate --all"),
    Case("bad-make-rule", "make-rule", P, r"No rule to make target .absent", prep="printf 'all: absent\\n' > Makefile\n", build="make"),
    Case("script-copy", "build-script", P, r"cannot stat .absent", install="cp absent %{buildroot}/"),
    Case("script-exit", "build-script", P, r"^KIT: it is over", build="echo 'KIT: it is over'\nexit 3"),
    Case("script-permission", "build-script", P, r"touch: .*Permission denied", build="touch /usr/bin/x"),
    Case("script-says-full", "build-script", P, r"^No space left on device$", build="echo 'No space left on device'\nexit 3"),
    Case("script-says-killed", "build-script", P, r"^Killed$", build="echo Killed\nexit 3"),
    Case("script-says-read-only", "build-script", P, r"^touch: x: Read-only file system$", build="echo 'touch: x: Read-only file system'\nexit 3"),
    Case("script-escapes", "escapes", P, r"^KIT: red$", build="printf '\\033[31mKIT: red\\033[0m\\033]0;title\\007\\n'\nexit 3"),
    Case("script-progress", "escapes", P, r"^KIT: 100% and no more$", build="printf 'KIT: 10%%%%\\rKIT: 100%%%% and no more\\n'\nexit 3"),
    Case("script-trace-behind", "build-script", P, r"^\+ false$", build="echo something\nfalse"),
    Case("script-make-quiet", "build-script", P, r"^cat: absent: No such file or directory", prep="printf 'all:\\n\\t@cat absent\\n' > Makefile\n", build="make --no-print-directory"),
    Case("bad-long-line", "long-log", P, r"^KIT: after the long line", build="head -c 3M /dev/zero | tr '\\0' x\necho\necho 'KIT: after the long line'\nexit 1"),
    Case("network-connect", "network", P, r"/dev/tcp/192\.0\.2\.1/80: Network is unreachable", build="bash -c 'exec 3<>/dev/tcp/192.0.2.1/80'"),
    Case("network-name", "network", P, r"^urllib\.error\.URLError: .*Temporary failure in name resolution", requires=KIT, build="python3 -c 'import urllib.request; urllib.request.urlopen(\"http://example.org/\")'"),
    Case("process-limit", "process-limit", P, r"^bash: fork: (retry: )?Resource temporarily unavailable", build="bash -c 'ulimit -u 3; for i in 1 2 3 4 5 6 7 8; do sleep 2 & done; wait; exit 1'"),
    Case("memory-limit", "memory", P, r"^MemoryError", requires=KIT, build="ulimit -v 200000\npython3 -c 'x = bytearray(1 << 30)'"),
    Case("memory-compiler", "memory", P, r"^cc1: out of memory allocating \d+ bytes", prep=c("x.c", "#define A(x) x x x x x x x x\nchar s[] = A(A(A(A(A(A(A(\"0123456789\")))))));"), build="ulimit -v 60000\ngcc -c x.c"),
    # what the builder itself is to blame for
    Case("memory-oom", "memory", P, r"^Killed$", build="bash -c 'x=$(head -c 900M /dev/zero | tr \"\\\\0\" x); echo ${#x}'", trouble="memory"),
    Case("disk-full", "disk", I, r"^head: .*No space left on device", build="head -c 200000000 /dev/zero > fill", trouble="disk"),
    Case("disk-full-compiler", "disk", I, r"^x\.s: Fatal error: .*No space left on device", prep=c("x.s", ".fill 100000000"), build="as -o x.o x.s", trouble="disk"),
    Case("disk-full-log", "disk", I, r"^no space left on device on the builder \(while writing (?:build|builder-live)\.log\)$", build="yes 'a line of a very noisy build'", trouble="disk", task={"limits": {"log_bytes": 1 << 30, "result_bytes": 1 << 30, "result_files": 100}}),
    Case("killed-program", "killed", I, r"line 1: +\d+ Killed +sleep 97531", build="bash -c 'sleep 97531; exit 5'", trouble="kill:sleep 97531"),
    Case("killed-compiler", "killed", I, r"^gcc: fatal error: Killed signal terminated program cc1", prep="mkfifo x.c\n", build="gcc -c -x c - < x.c & sleep 1; exec 3>x.c; echo 'int x;' >&3; wait $!", trouble="kill:cc1"),
    Case("killed-make", "killed", I, r"^make: \*\*\* \[Makefile:2: all\] Killed", prep="printf 'all:\\n\\tsleep 97532\\n' > Makefile\n", build="make", trouble="kill:sleep 97532"),
    Case("killed-rpmbuild", "killed", I, r"^rpmbuild was killed by SIGKILL, and not for want of memory$", build="sleep 97533", trouble="kill:rpmbuild"),
    Case("killed-by-itself", "killed", P, r"^\+ kill -9 -1$", build="kill -9 -1"),
    Case("stopped", "stopped", I, r"^the builder was shut down, or somebody ended the build on it$", build="sleep 97534", trouble="stop"),
    Case("timeout-build", "timeout", P, r"^\+ sleep 97535$", build="echo still at it\nsleep 97535", task={"timeout_seconds": 6}),
    Case("timeout-scriptlet", "timeout", P, r"Running scriptlet: kit-endless-1-1\.noarch", requires="kit-endless", task={"timeout_seconds": 12}),
    Case("timeout-root", "timeout", I, r"^the build took longer than its limit of 5 seconds \(in the phase root\)$", trouble="silent:base", task={"timeout_seconds": 5}),
    Case("timeout-repository", "timeout", I, r"^the build took longer than its limit of 5 seconds \(in the phase dependencies\)$", requires="m4", trouble="silent:verdigris_project", task={"timeout_seconds": 5}),
    Case("root-program", "chroot-broken", I, r"rpm-tmp\.\w+: \d+: make: Exec format error", prep="printf 'all:\\n\\ttrue\\n' > Makefile\n", build="make", trouble="damage:usr/bin/make"),
    Case("root-library", "chroot-broken", I, r"/cc1: error while loading shared libraries: \S*libmpfr\.so\.6", build="gcc -c -x c /dev/null", trouble="cut:usr/lib/x86_64-linux-gnu/libmpfr.so.6.2.0"),
    Case("root-header", "chroot-broken", I, r"^/usr/include/stdio\.h:1:\d+: error: stray", prep=c("x.c", "#include <stdio.h>\nint x;"), build="gcc -c x.c", trouble="damage:usr/include/stdio.h"),
    Case("root-rpmbuild", "chroot-broken", I, r"^/usr/bin/rpmbuild: line 1: .*damaged.*: command not found", trouble="damage:usr/bin/rpmbuild"),
    Case("unsigned-base", "signature", I, r"^Package m4-\S+\.rpm is not signed", requires="m4", trouble="unsigned"),
    Case("repository-gone", "repository-unreachable", I, r"^the repository base cannot be read: http://127\.0\.0\.1:1/repodata/repomd\.xml: connection refused$", trouble="base:http://127.0.0.1:1/"),
    Case("repository-moved", "repository-unreachable", I, r"^the repository base cannot be read: http://127\.0\.0\.1:\d+/\S*repodata/repomd\.xml: the server answers 404 \(Not Found\)$", trouble="base:missing/"),
    Case("repository-project-gone", "repository-unreachable", I, r"^the repository verdigris_project cannot be read: http://127\.0\.0\.1:1/repodata/repomd\.xml: connection refused$", requires="m4", trouble="other:verdigris_project:http://127.0.0.1:1/"),
    Case("repository-additional", "repository-unreachable", P, r"Status code: 404 for http://127\.0\.0\.1:\d+/missing/repodata/repomd\.xml", requires="m4", trouble="other:additional_0:missing/"),
    Case("repository-package-gone", "repository-inconsistent", I, r"kit-extra-1-1\.noarch\.rpm: Status code: 404 for ", requires="kit-extra", trouble="repo:gone"),
    Case("repository-package-changed", "repository-inconsistent", I, r"kit-extra-1-1\.noarch\.rpm: Downloading successful, but checksum doesn't match", requires="kit-extra", trouble="repo:changed"),
    Case("repository-metadata", "repository-inconsistent", I, r"^- Downloading successful, but checksum doesn't match", requires="kit-extra", trouble="repo:primary"),
    Case("repository-repomd", "repository-inconsistent", I, r"repomd\.xml parser error: Parse error at line", requires="kit-extra", trouble="repo:repomd"),
    Case("source-damaged", "sources", P, r"^error: /builddir/in\.src\.rpm: signature hdr blob\(4388\): BAD", trouble="srpm"),
    Case("source-changed", "builder-lost", S, r"^the SRPM on the builder has another SHA-256 than the task says$", trouble="changed"),
]
