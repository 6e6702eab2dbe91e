# The sshd that listens reads its keys again: the one that this session comes from, else systemd's. One that is started for each
# connection needs nothing. The sessions that are open go on. Whether it worked shows at the next connection.
pid=$$ listener=
while [ "$pid" -gt 1 ] && stat=$(cat "/proc/$pid/stat"); do
  name=${stat#*(}
  if [ "${name%)*}" = sshd ]; then
    # A session's process has another title: "sshd: root@notty", "sshd: root [priv]".
    case $(tr '\0' ' ' <"/proc/$pid/cmdline") in
      *\[listener\]*) listener=$pid ;;
      *\ -[iR]\ *) ;;
      /*) listener=$pid ;;
    esac
  fi
  parent=${stat##*) ?\ }
  pid=${parent%%\ *}
done
if [ -n "$listener" ]; then
  kill -HUP "$listener"
elif command -v systemctl >/dev/null; then
  systemctl reload ssh 2>/dev/null || systemctl reload sshd 2>/dev/null || true
fi
