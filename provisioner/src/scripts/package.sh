manager=$1 state=$2 refresh=$3
shift 3
if [ "$manager" = package ]; then
  if command -v apt-get >/dev/null && [ -s /var/lib/dpkg/status ]; then manager=apt; else manager=dnf; fi
fi
installed() {
  if [ "$manager" = apt ]; then
    [ "$(dpkg-query -W -f '${db:Status-Status}' -- "$1" 2>/dev/null)" = installed ]
  else
    rpm -q -- "$1" >/dev/null 2>&1
  fi
}
for name in "$@"; do
  shift
  if installed "$name"; then [ "$state" = present ] || set -- "$@" "$name"
  else [ "$state" = absent ] || set -- "$@" "$name"; fi
done
[ $# -gt 0 ] || exit 0
changed "$state: $*"
[ "$check" = 0 ] || exit 0
export DEBIAN_FRONTEND=noninteractive
case $manager-$state in
apt-present)
  [ "$refresh" = 0 ] || apt-get -qq update >&2
  apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install -- "$@" >&2
  ;;
apt-absent) apt-get -y remove -- "$@" >&2 ;;
dnf-present) dnf -y install -- "$@" >&2 ;;
dnf-absent) dnf -y remove -- "$@" >&2 ;;
esac
