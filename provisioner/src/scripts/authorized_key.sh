# The keys come on standard input, one a line.
user=$1 state=$2 exclusive=$3
entry=$(getent passwd -- "$user") || die "there is no user $user"
IFS=: read -r _ _ uid gid _ home _ <<END
$entry
END
file=$home/.ssh/authorized_keys
old=$(cat -- "$file" 2>/dev/null || :)
new=$old
[ "$exclusive" = 0 ] || new=
# lines 1: those with the key at hand, whatever their options and comments; lines 0: all others.
lines() {
  printf '%s\n' "$new" | awk -v blob="$blob" -v want="$1" '{
    has = 0
    if ($1 !~ /^#/) for (i = 1; i <= NF; i++) if ($i == blob) has = 1
  } has == want'
}
set -f
while IFS= read -r key || [ -n "$key" ]; do
  blob=
  # Splitting is meant; `set -f` keeps names of files out.
  for word in $key; do
    case $word in AAAA*) blob=$word; break ;; esac
  done
  [ -n "$blob" ] || die "a key without base64"
  if [ "$state" = absent ]; then
    new=$(lines 0)
  elif [ "$(lines 1)" != "$key" ]; then
    new=$({ lines 0; printf '%s\n' "$key"; } | grep .)
  fi
done
if [ "$new" != "$old" ]; then
  changed "keys of $user"
  if [ "$check" = 0 ]; then
    [ -d "$home/.ssh" ] || { mkdir -m 0700 -- "$home/.ssh"; chown "$uid:$gid" -- "$home/.ssh"; }
    begin_part "$file"
    [ -z "$new" ] || printf '%s\n' "$new" >"$unfinished"
    chown -h "$uid:$gid" -- "$unfinished"
    end_part "$file"
  fi
fi
