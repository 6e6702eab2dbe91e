#!/bin/sh
# `noarch` in ExclusiveArch allows nothing by itself: rpmbuild compares the list with its target before it looks at BuildArch,
# while -bs makes the source package all the same. Many spec files name noarch there, and tools that decide by the source
# package's header whether to build take it for "anywhere".
# Seen: `RPM version 4.18.0: -bs 0, -bb 1, error: Architecture is not included: x86_64` with and without BuildArch: noarch.
# Needs rpmbuild. Exits 0 while it is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for arch in '' 'BuildArch: noarch'; do
    printf '%s\n' 'Name: q' 'Version: 1' 'Release: 1' 'Summary: x' 'License: CC0-1.0' 'ExclusiveArch: aarch64 noarch' \
        ${arch:+"$arch"} '%description' 'x' '%files' > q.spec
    status=0; rpmbuild -bs --quiet --define "_topdir $work/rpm" q.spec || status=$?
    built=0; rpmbuild -bb --quiet --target x86_64 --define "_topdir $work/rpm" q.spec > out 2> error || built=$?
    said=$(grep -a -m 1 '^error: ' error || true)
    echo "$(rpmbuild --version), ${arch:-no BuildArch}: -bs $status, -bb $built, $said"
    [ "$status $built $said" = '0 1 error: Architecture is not included: x86_64' ]
done
