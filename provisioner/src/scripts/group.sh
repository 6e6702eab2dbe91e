name=$1 gid=$2 system=$3 state=$4
entry=$(getent group -- "$name" || :)
if [ "$state" = absent ]; then
  [ -z "$entry" ] || { changed "removed group $name"; act groupdel -- "$name"; }
elif [ -z "$entry" ]; then
  changed "group $name"
  set --
  [ -z "$gid" ] || set -- "$@" -g "$gid"
  [ "$system" = 0 ] || set -- "$@" -r
  act groupadd "$@" -- "$name"
elif [ -n "$gid" ] && [ "$(printf '%s' "$entry" | cut -d: -f3)" != "$gid" ]; then
  changed "gid of $name"
  act groupmod -g "$gid" -- "$name"
fi
