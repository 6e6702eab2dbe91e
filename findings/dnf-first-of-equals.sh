#!/bin/sh
# Of two packages of one repository with the same name, version, release and architecture dnf installs the one that stands
# first in the metadata, whatever was built last. createrepo_c sorts by path, so it is the one whose directory sorts first.
# Seen: `dnf 4.14.0 (libsolv 0.7.23): 1-old 2-new installs 1-old; 1-new 2-old installs 1-new`.
# Needs rpmbuild, dnf 4, python3 with venv, and PyPI. Exits 0 while it is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install createrepo_c==1.2.5
for content in old new; do
    printf '%s\n' 'Name: twice' 'Version: 1' 'Release: 1' 'Summary: x' 'License: CC0-1.0' 'BuildArch: noarch' '%description' 'x' \
        '%install' 'mkdir -p %{buildroot}/usr/share' "echo $content > %{buildroot}/usr/share/twice" '%files' '/usr/share/twice' > twice.spec
    rpmbuild -bb --quiet --define "_topdir $work/$content" twice.spec
done
installed_of() {
    rm -rf repo cache root
    for place in "$@"; do
        mkdir -p "repo/$place"
        cp "${place#?-}"/RPMS/noarch/twice-1-1.noarch.rpm "repo/$place/"
    done
    venv/bin/createrepo_c -q repo
    printf '%s\n' '[main]' 'reposdir=/dev/null' 'plugins=0' "cachedir=$work/cache" "logdir=$work/cache" "persistdir=$work/cache" \
        '[r]' 'name=r' "baseurl=file://$work/repo" 'gpgcheck=0' > dnf.conf
    dnf -q -y -c "$work/dnf.conf" --releasever=1 --installroot="$work/root" install twice > dnf.log 2>&1 || { cat dnf.log >&2; exit 2; }
    cat root/usr/share/twice
}
first=$(installed_of 1-old 2-new)
second=$(installed_of 1-new 2-old)
echo "dnf $(dnf --version | head -n 1): 1-old 2-new installs 1-$first; 1-new 2-old installs 1-$second"
[ "$first $second" = 'old new' ]
