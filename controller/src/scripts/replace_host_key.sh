# Puts the host key that was made last in the place of the one that came with the user data, whose secret half is blotted out in
# cloud-init's copies. $1: sshd's folder. $2: the base64 of the public half that is meant. Then: the folders with such copies.
set -eu
umask 077
export LC_ALL=C
folder=$1
key=$folder/ssh_host_ed25519_key next=$folder/ssh_host_next_key
read -r _ made _ <"$next.pub"
if [ "$made" != "$2" ]; then
  echo "$next.pub is not the key that was made: another one was made since" >&2
  exit 1
fi
shift 2
# The given key's lines of base64, but for the first, which is the same in all keys; by as many asterisks in a sed program.
blot=$(sed -n '3,${/^[A-Za-z0-9+/=]\{16,\}$/{h;s/./*/g;x;G;s/\(.*\)\n\(.*\)/s|\1|\2|g/p;};}' "$key")
if [ -n "$blot" ]; then
  for place; do
    if [ -d "$place" ]; then
      copies=$(printf '%s\n' "$blot" | cut -d '|' -f 2 | grep -rlF -f - -- "$place") || continue
      # In place and of the same length: cloud-init may be at work, and one of the files is a Python pickle.
      printf '%s\n' "$copies" | while IFS= read -r file; do
        printf '%s\n' "$blot" | sed -i -f /dev/stdin -- "$file"
      done
    fi
  done
fi
chmod 644 "$next.pub"
mv -f "$next" "$key"
mv -f "$next.pub" "$key.pub"
if [ -e /sys/fs/selinux/enforce ]; then restorecon "$key" "$key.pub" || true; fi
# After a crash of the machine it is this key, too, and not an older one.
sync "$key" "$key.pub" "$folder" || sync
