path=$1 follow=$2 digest=$3
[ -e "$path" ] || [ -h "$path" ] || { echo missing; exit 0; }
if [ "$follow" = 1 ] && [ ! -e "$path" ]; then echo missing; exit 0; fi
link=0
if [ "$follow" = 1 ]; then set -- -L; else set --; [ ! -h "$path" ] || link=1; fi
stat "$@" -c '%F|%a|%s|%u|%g|%U|%G|%Y' -- "$path"
if [ -r "$path" ]; then printf r; fi
if [ -w "$path" ]; then printf w; fi
if [ -x "$path" ]; then printf x; fi
echo
if [ "$link" = 1 ]; then readlink -- "$path" && readlink -m -- "$path"; else echo && echo; fi
if [ "$digest" = 1 ] && [ "$link" = 0 ] && [ -f "$path" ]; then sha256sum <"$path"; fi
