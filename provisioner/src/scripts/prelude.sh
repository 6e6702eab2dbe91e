set -eu
umask 022
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
check=$1
shift
changed() { printf 'changed %s\n' "$1"; }
die() { printf '%s\n' "$1" >&2; exit 64; }
act() { [ "$check" = 1 ] || "$@"; }
# What is written before it takes its place. It goes with the script, also where nobody reads any more what that says: some
# shells, such as dash, end by a signal without the trap of EXIT.
unfinished=
trap '[ -z "$unfinished" ] || rm -rf -- "$unfinished"' EXIT
trap 'exit 69' HUP INT PIPE TERM
# begin_part PATH: what is to take the place of that file, in its directory. By mktemp, whose names nobody can guess and which takes
# nothing that is there: in a directory of a user's, a link or a device of that name would get what is root's to write.
begin_part() { unfinished=$(mktemp -- "${1%/*}/.part.XXXXXX"); }
# like PATH: what is to take the place of that file gets its owner, group and mode.
like() {
  # cp says nothing where another's file cannot be given back to them.
  { [ -O "$1" ] && [ -G "$1" ]; } || chown -h --reference="$1" -- "$unfinished"
  cp --attributes-only --preserve=mode,ownership -- "$1" "$unfinished"
}
# end_part PATH: it takes its place.
end_part() { mv -f -- "$unfinished" "$1"; unfinished=; }
# attributes PATH MODE OWNER GROUP: an empty word leaves that one as it is.
attributes() {
  [ -n "$2$3$4" ] && [ -e "$1" ] || return 0
  # Splitting is meant: five words without blanks.
  set -- "$@" $(stat -L -c '%a %U %u %G %g' -- "$1")
  given=
  if [ -n "$3" ] && [ "$3" != "$6" ] && [ "$3" != "$7" ]; then
    changed "owner $6 -> $3"; given=$3
  fi
  if [ -n "$4" ] && [ "$4" != "$8" ] && [ "$4" != "$9" ]; then
    changed "group $8 -> $4"; given=$given:$4
  fi
  [ -z "$given" ] || act chown -- "$given" "$1"
  if [ -n "$2" ] && [ "$2$given" != "$5" ]; then
    [ "$2" = "$5" ] || changed "mode $5 -> $2"
    act chmod -- "$2" "$1"
  fi
}
