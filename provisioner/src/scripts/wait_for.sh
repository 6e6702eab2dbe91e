state=$1 path=$2 port=$3 seconds=$4 pause=$5 delay=$6
sleep "$delay"
there() {
  if [ -n "$path" ]; then [ -e "$path" ]; else
    hex=$(printf '%04X' "$port")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }'
  fi
}
end=$(($(date +%s) + seconds))
while :; do
  if there; then [ "$state" = absent ] || exit 0; else [ "$state" != absent ] || exit 0; fi
  [ "$(date +%s)" -lt "$end" ] || die "${path:-port $port} was not $state within $seconds s"
  sleep "$pause"
done
