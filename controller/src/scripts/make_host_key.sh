# Makes a host key beside those that sshd uses, in the place of one that was made so before, and prints its public half.
# $1: sshd's folder. The names are such that an image never carries the key on: cloud-init and image.yml remove all ssh_host_*.
set -eu
umask 077
next=$1/ssh_host_next_key
rm -f "$next" "$next.pub"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$next" </dev/null
cat "$next.pub"
