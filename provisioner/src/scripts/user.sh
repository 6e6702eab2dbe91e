name=$1 uid=$2 group=$3 groups=$4 append=$5 shell=$6 home=$7 system=$8 create=$9
shift 9
password=$1 comment=$2 state=$3
# The texts of an account begin with `=` if they were given: what is given and empty empties them.
entry=$(getent passwd -- "$name" || :)
set --
if [ "$state" = absent ]; then
  [ -z "$entry" ] || { changed "removed user $name"; act userdel -- "$name"; }
  exit 0
fi
if [ -z "$entry" ]; then
  changed "user $name"
  [ -z "$uid" ] || set -- "$@" -u "$uid"
  if [ -n "$group" ]; then set -- "$@" -g "$group"
  elif getent group -- "$name" >/dev/null; then set -- "$@" -N; fi
  [ "$groups" = - ] || [ -z "$groups" ] || set -- "$@" -G "$groups"
  [ -z "$comment" ] || set -- "$@" -c "${comment#=}"
  [ -z "$home" ] || set -- "$@" -d "${home#=}"
  [ -z "$shell" ] || set -- "$@" -s "${shell#=}"
  [ -z "$password" ] || set -- "$@" -p "${password#=}"
  if [ "$create" = 1 ]; then set -- "$@" -m; else set -- "$@" -M; fi
  [ "$system" = 0 ] || set -- "$@" -r
  act useradd "$@" -- "$name"
  exit 0
fi
field() { printf '%s\n' "$entry" | cut -d: -f"$1"; }
[ -z "$uid" ] || [ "$(field 3)" = "$uid" ] || { changed uid; set -- "$@" -u "$uid"; }
if [ -n "$group" ] && [ "$(id -gn -- "$name")" != "$group" ] && [ "$(field 4)" != "$group" ]; then
  changed group; set -- "$@" -g "$group"
fi
if [ "$groups" != - ]; then
  primary=$(id -gn -- "$name")
  have=$(id -Gn -- "$name" | tr ' ' '\n' | grep -Fxv -- "$primary" | sort -u || :)
  want=$(printf '%s\n' "$groups" | tr ',' '\n' | grep . | grep -Fxv -- "$primary" | sort -u || :)
  if [ "$append" = 1 ]; then want=$(printf '%s\n%s\n' "$have" "$want" | grep . | sort -u || :); fi
  if [ "$have" != "$want" ]; then
    changed groups; set -- "$@" -G "$(printf '%s' "$want" | tr '\n' ',')"
  fi
fi
[ -z "$comment" ] || [ "=$(field 5)" = "$comment" ] || { changed comment; set -- "$@" -c "${comment#=}"; }
[ -z "$home" ] || [ "=$(field 6)" = "$home" ] || { changed home; set -- "$@" -d "${home#=}"; }
[ -z "$shell" ] || [ "=$(field 7)" = "$shell" ] || { changed shell; set -- "$@" -s "${shell#=}"; }
# As in Ansible, a password that is locked by `!` is the same password.
unlocked() { printf '%s\n' "$1" | sed 's/^!*//'; }
if [ -n "$password" ] && [ "$(unlocked "$(getent shadow -- "$name" | cut -d: -f2)")" != "$(unlocked "${password#=}")" ]; then
  changed password; set -- "$@" -p "${password#=}"
fi
[ $# = 0 ] || act usermod "$@" -- "$name"
# As Ansible does: a user who exists gets the home that is missing, with what useradd would have put there.
home=${home#=}
[ -n "$home" ] || home=$(field 6)
if [ "$create" = 1 ] && [ ! -e "$home" ]; then
  changed "home $home"
  if [ "$check" = 0 ]; then
    mkdir -p -- "$home"
    [ ! -d /etc/skel ] || cp -a -- /etc/skel/. "$home/"
    bits=$(awk '$1 == "HOME_MODE" && $2 ~ /^[0-7]+$/ { home = $2 } $1 == "UMASK" && $2 ~ /^[0-7]+$/ { mask = $2 } END {
      print home != "" ? home : "mask " mask }' /etc/login.defs 2>/dev/null || echo mask)
    case $bits in
    mask) bits=755 ;;
    "mask ") bits=755 ;;
    mask*) bits=$(printf '%o' "$((0777 & ~0${bits#mask }))") ;;
    esac
    chmod -- "$bits" "$home"
    chown -R -P -- "$(id -u -- "$name"):$(id -g -- "$name")" "$home"
  fi
fi
