# The keys come on standard input, one a line.
user=$1 state=$2 exclusive=$3
entry=$(getent passwd -- "$user") || die "there is no user $user"
home=$(printf '%s' "$entry" | cut -d: -f6)
ids=$(printf '%s' "$entry" | cut -d: -f3,4)
file=$home/.ssh/authorized_keys
old=$(cat -- "$file" 2>/dev/null || :)
keys=$(cat)
new=$old
[ "$exclusive" = 0 ] || new=
# lines 1: those with the key at hand, whatever their options and comments; lines 0: all others.
lines() {
  printf '%s\n' "$new" | awk -v blob="$blob" -v want="$1" '{
    has = 0
    if ($1 !~ /^#/) for (i = 1; i <= NF; i++) if ($i == blob) has = 1
  } has == want'
}
while IFS= read -r key; do
  blob=$(printf '%s\n' "$key" | tr ' \t' '\n\n' | grep -m 1 '^AAAA') || die "a key without base64"
  if [ "$state" = absent ]; then
    new=$(lines 0)
  elif [ "$(lines 1)" != "$key" ]; then
    new=$({ lines 0; printf '%s\n' "$key"; } | grep .)
  fi
done <<END
$keys
END
if [ "$new" != "$old" ]; then
  changed "keys of $user"
  if [ "$check" = 0 ]; then
    [ -d "$home/.ssh" ] || { mkdir -m 0700 -- "$home/.ssh"; chown "$ids" -- "$home/.ssh"; }
    begin_part "$file"
    [ -z "$new" ] || printf '%s\n' "$new" >"$unfinished"
    chown "$ids" -- "$unfinished"
    end_part "$file"
  fi
fi
