#!/bin/sh
# createrepo_c 1.2.5 keeps one of all requirements that begin with libc.so.6, and takes the digits of a marker for a version:
# GLIBC_ABI_DT_X86_64_PLT displaces GLIBC_2.34, so that dnf installs the package beside a C library that is too old for it.
# Seen: `createrepo_c 1.2.5 (PyPI), rpmbuild 4.18: of 4 requirements 1 is kept, libc.so.6(GLIBC_ABI_DT_X86_64_PLT)(64bit)`.
# Needs rpmbuild, python3 with venv, and PyPI. Exits 0 while it is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install createrepo_c==1.2.5
cat > needs.spec <<'SPEC'
Name: needs
Version: 1
Release: 1
Summary: Requirements on the C library
License: CC0-1.0
BuildArch: noarch
AutoReqProv: no
Requires: libc.so.6()(64bit)
Requires: libc.so.6(GLIBC_2.4)(64bit)
Requires: libc.so.6(GLIBC_2.34)(64bit)
Requires: libc.so.6(GLIBC_ABI_DT_X86_64_PLT)(64bit)
%description
x
%files
SPEC
rpmbuild -bb --quiet --define "_topdir $work/rpm" needs.spec
venv/bin/createrepo_c -q --general-compress-type=gz rpm/RPMS
kept=$(gzip -dc rpm/RPMS/repodata/*primary.xml.gz | sed -n '/<rpm:requires>/,/<\/rpm:requires>/s/.*name="\(libc[^"]*\)".*/\1/p')
echo "createrepo_c 1.2.5, $(rpmbuild --version): of 4 requirements is kept: $kept"
[ "$kept" = 'libc.so.6(GLIBC_ABI_DT_X86_64_PLT)(64bit)' ]
