# Names on standard input, one a line. What they are, and the digests of the files among them.
tr '\n' '\0' | { xargs -0 sh -c '
  stat -c "%F|%a|%U|%u|%G|%g|%n" -- "$@" 2>/dev/null
  for name; do [ ! -f "$name" ] || [ -h "$name" ] || printf "%s\n" "$name"; done | tr "\n" "\0" | xargs -0 -r sha256sum --
  exit 0' sh; }
