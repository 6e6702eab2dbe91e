path=$1 follow=$2 digest=$3
[ -e "$path" ] || [ -h "$path" ] || { echo missing; exit 0; }
if [ "$follow" = 1 ] && [ ! -e "$path" ]; then echo missing; exit 0; fi
if [ "$follow" = 1 ]; then set -- -L; else set --; fi
stat "$@" -c '%F|%a|%s|%u|%g|%U|%G|%Y' -- "$path"
if [ -h "$path" ]; then readlink -- "$path"; else echo; fi
if [ "$digest" = 1 ] && [ -f "$path" ]; then sha256sum <"$path"; fi
