# Files of one folder with one mode, owner and group, whose bytes come one after the other on standard input. After these
# four come the size, digest and name of each. None takes its place before all of them have come whole.
dest=$1 mode=$2 owner=$3 group=$4
shift 4
[ -d "$dest/" ] || die "the directory $dest does not exist"
unfinished=$(mktemp -d -- "$dest/.part.XXXXXX")
mkdir -- "$unfinished/new"
cd -- "$unfinished/new"
cat >../bytes
begin=1
while [ $# -gt 0 ]; do
  # From a file, not from the input itself: nothing says that head reads no more of a pipe than it gives.
  tail -c "+$begin" -- ../bytes | head -c "$1" >"./$3"
  printf '%s  %s\n' "$2" "$3"
  begin=$((begin + $1))
  shift 3
done >../digests
sha256sum -c -- ../digests >/dev/null 2>&1 || die "the content arrived damaged"
[ -z "$owner" ] || find . -type f -exec chown -- "$owner" {} +
[ -z "$group" ] || find . -type f -exec chgrp -- "$group" {} +
# Last: a change of the owner takes the bits for other users' rights away.
find . -type f -exec chmod -- "$mode" {} +
find . -type f -exec sh -c 'exec mv -f -- "$@" "$0/"' "$dest" {} +
cd /
rm -rf -- "$unfinished"
unfinished=
