path=$1 state=$2 create=$3 where=$4 mode=$5 owner=$6 group=$7
export LINE="$8" REGEXP="$9"
if [ ! -e "$path" ]; then
  [ "$state" = present ] || exit 0
  [ "$create" = 1 ] || die "$path does not exist (create: true makes it)"
  changed "file $path"
  [ "$check" = 0 ] || exit 0
  mkdir -p -- "${path%/*}"
  printf '%s\n' "$LINE" >"$path"
else
  [ -f "$path" ] || die "$path is not a regular file"
  path=$(readlink -f -- "$path")
  if [ "$check" = 1 ]; then part=$(mktemp); else part=$(mktemp -- "$path.XXXXXX"); fi
  trap 'rm -f -- "$part"' EXIT
  code=0
  awk -v state="$state" -v where="$where" '
    BEGIN { line = ENVIRON["LINE"]; regexp = ENVIRON["REGEXP"] }
    { text[NR] = $0; if ($0 == line) exact = NR; if (regexp != "" && $0 ~ regexp) match_at = NR }
    END {
      done = 0
      if (state == "absent") {
        for (i = 1; i <= NR; i++)
          if (regexp != "" ? text[i] ~ regexp : text[i] == line) done = 10; else print text[i]
        exit done
      }
      if (match_at) { if (text[match_at] != line) { text[match_at] = line; done = 10 } }
      else if (!exact) done = 11
      if (done == 11 && where == "BOF") print line
      for (i = 1; i <= NR; i++) print text[i]
      if (done == 11 && where == "EOF") print line
      exit done
    }' <"$path" >"$part" || code=$?
  case $code in
  0) ;;
  10 | 11)
    changed "lines of $path"
    if [ "$check" = 0 ]; then
      chown --reference="$path" -- "$part"
      chmod --reference="$path" -- "$part"
      mv -f -- "$part" "$path"
    fi
    ;;
  *) die "awk failed with status $code" ;;
  esac
fi
attributes "$path" "$mode" "$owner" "$group"
