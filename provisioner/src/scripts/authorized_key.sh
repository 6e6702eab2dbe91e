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
# The second word of a key that has no options: the key itself, whatever its comment.
blob() { printf '%s\n' "$1" | tr ' ' '\n' | grep -m 1 '^AAAA' || die "a key without base64"; }
while IFS= read -r key; do
  [ -n "$key" ] || continue
  known=$(printf '%s\n' "$new" | grep -F -e "$(blob "$key")" || :)
  if [ "$state" = absent ]; then
    new=$(printf '%s\n' "$new" | grep -vF -e "$(blob "$key")" || :)
  elif [ "$known" != "$key" ]; then
    new=$({ printf '%s\n' "$new" | grep -vF -e "$(blob "$key")" || :; printf '%s\n' "$key"; } | grep .)
  fi
done <<END
$keys
END
if [ "$new" != "$old" ]; then
  changed "keys of $user"
  if [ "$check" = 0 ]; then
    [ -d "$home/.ssh" ] || { mkdir -m 0700 -- "$home/.ssh"; chown "$ids" -- "$home/.ssh"; }
    part=$(mktemp -- "$file.XXXXXX")
    [ -z "$new" ] || printf '%s\n' "$new" >"$part"
    chown "$ids" -- "$part"
    mv -f -- "$part" "$file"
  fi
fi
