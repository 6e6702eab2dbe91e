#!/bin/sh
# A package that rpm fails to install takes empty directories with it that were there before: to clean up, rpm removes every
# directory that the package lists, also one that it had not come to yet and one that an installed package owns. Then it tells
# the error of the cleaning up, not the first one: where a read-only mount refuses the mode of a directory (EROFS), rpm says
# that a device is busy, because it tried to remove the mount point. A read-only mount with the package's mode and owner passes.
# Seen: `RPM version 4.18.0: mode 0555 0; mode 0700 1, cpio: chmod failed - Device or resource busy, missing /shared`.
# Needs rpm and rpmbuild, unshare, and either root or user namespaces for all. Exits 0 while it is so, 1 when it has changed.
set -eu
export LC_ALL=C
unshare -rm true || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for name in first second; do
    owned=/shared
    [ "$name" = first ] || owned='/shared /read-only'
    printf '%s\n' "Name: $name" 'Version: 1' 'Release: 1' 'Summary: x' 'License: CC0-1.0' 'BuildArch: noarch' '%description' 'x' \
        '%install' "for place in $owned; do mkdir -p %{buildroot}\$place; done" '%files' > "$name.spec"
    for place in $owned; do echo "%dir %attr(0555, root, root) $place" >> "$name.spec"; done
    rpmbuild -bb --quiet --define "_topdir $work/rpm" "$name.spec"
done
in_root() { # in_root MODE ARGUMENT...: rpm with a read-only mount of that mode in the root
    unshare -rm sh -euc 'mount -t tmpfs -o "ro,mode=$1" none root/read-only; shift; exec rpm --root "$PWD/root" --dbpath /db "$@"' sh "$@"
}
seen=
for mode in 0555 0700; do
    rm -rf root
    mkdir -p root/read-only
    in_root "$mode" -i rpm/RPMS/noarch/first-1-1.noarch.rpm 2> log || { cat log >&2; exit 2; }
    in_root "$mode" -V first || exit 2
    status=0; in_root "$mode" -i rpm/RPMS/noarch/second-1-1.noarch.rpm 2> log || status=$?
    said=$(sed -n 's/^error: unpacking of archive failed on file .read-only: //p' log)
    missing=$(in_root "$mode" -V first | tr -s ' ' || true)
    seen="$seen${seen:+; }mode $mode $status${said:+, $said}${missing:+, $missing}"
done
echo "$(rpm --version): $seen"
[ "$seen" = 'mode 0555 0; mode 0700 1, cpio: chmod failed - Device or resource busy, missing /shared' ]
