#!/bin/sh
# What dnf does with the id of a repository. One with a plus sign is left out ("Bad id"), and dnf ends with success. One of more
# than 232 bytes makes dnf fail, for all other repositories too: it names a temporary file by the id and 23 bytes more.
# Seen: `dnf 4.14.0: plain: one-0:1-1.noarch; 232 bytes: one-0:1-1.noarch; a+b: ; 233 bytes: failed`.
# Needs rpmbuild, dnf 4, python3 with venv, and PyPI. Exits 0 while it is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install createrepo_c==1.2.5
printf '%s\n' 'Name: one' 'Version: 1' 'Release: 1' 'Summary: x' 'License: CC0-1.0' 'BuildArch: noarch' '%description' 'x' '%files' > one.spec
rpmbuild -bb --quiet --define "_topdir $work/rpm" one.spec
venv/bin/createrepo_c -q rpm/RPMS
listed() {
    rm -rf cache
    printf '%s\n' '[main]' 'reposdir=/dev/null' 'plugins=0' "cachedir=$work/cache" "logdir=$work/cache" "persistdir=$work/cache" \
        "[$1]" 'name=r' "baseurl=file://$work/rpm/RPMS" 'gpgcheck=0' > dnf.conf
    dnf -q -c "$work/dnf.conf" --releasever=1 --installroot="$work/root" repoquery one 2> /dev/null || echo failed
}
long=$(printf '%0232d' 0)
told="plain: $(listed plain); 232 bytes: $(listed "$long"); a+b: $(listed a+b); 233 bytes: $(listed "0$long")"
echo "dnf $(dnf --version | head -n 1): $told"
[ "$told" = 'plain: one-0:1-1.noarch; 232 bytes: one-0:1-1.noarch; a+b: ; 233 bytes: failed' ]
