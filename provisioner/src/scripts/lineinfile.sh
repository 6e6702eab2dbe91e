path=$1 state=$2 create=$3 where=$4 mode=$5 owner=$6 group=$7
export LINE="$8" REGEXP="$9"
if [ ! -e "$path" ]; then
  [ "$state" = present ] || exit 0
  [ "$create" = 1 ] || die "$path does not exist (create: true makes it)"
  changed "file $path"
  [ "$check" = 0 ] || exit 0
  [ -d "${path%/*}/" ] || mkdir -p -- "${path%/*}"
  printf '%s\n' "$LINE" >"$path"
else
  [ -f "$path" ] || die "$path is not a regular file"
  [ ! -h "$path" ] || path=$(readlink -f -- "$path")
  if [ "$check" = 1 ]; then unfinished=$(mktemp); else begin_part "$path"; fi
  # Whether the last line has no end.
  open=0
  if [ -s "$path" ] && [ -n "$(tail -c 1 -- "$path" | tr '\0' x)" ]; then open=1; fi
  code=0
  # A line that differs only in the end that Windows gives it is the one that is wanted, and gets a plain end.
  awk -v state="$state" -v where="$where" -v open="$open" '
    function write(at) { printf "%s%s", text[at], at == NR && open ? "" : "\n" }
    BEGIN { line = ENVIRON["LINE"]; regexp = ENVIRON["REGEXP"] }
    {
      text[NR] = $0
      bare = $0
      sub(/\r+$/, "", bare)
      is_line[NR] = bare == line
      if (is_line[NR]) exact = NR
      if (regexp != "" && $0 ~ regexp) match_at = NR
    }
    END {
      done = 0
      if (state == "absent") {
        for (i = 1; i <= NR; i++)
          if (regexp != "" ? text[i] ~ regexp : is_line[i]) done = 10; else write(i)
        exit done
      }
      at = match_at ? match_at : exact
      if (at && (text[at] != line || at == NR && open)) {
        text[at] = line
        if (at == NR) open = 0
        done = 10
      }
      if (!at) done = 11
      if (done == 11 && where == "BOF") print line
      if (done == 11 && where == "EOF") open = 0
      for (i = 1; i <= NR; i++) write(i)
      if (done == 11 && where == "EOF") print line
      exit done
    }' <"$path" >"$unfinished" || code=$?
  case $code in
  0) ;;
  10 | 11)
    changed "lines of $path"
    if [ "$check" = 0 ]; then
      like "$path"
      end_part "$path"
    fi
    ;;
  *) die "awk failed with status $code" ;;
  esac
fi
attributes "$path" "$mode" "$owner" "$group"
