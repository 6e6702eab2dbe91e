dest=$1 base=$2 mode=$3 owner=$4 group=$5 sum=$6 force=$7
case $dest in
*/)
  [ -d "$dest" ] || { changed "directory $dest"; act mkdir -p -- "$dest"; }
  dest=$dest$base
  ;;
*) [ ! -d "$dest" ] || dest=$dest/$base ;;
esac
[ ! -d "$dest" ] || die "$dest is a directory"
printf 'dest %s\n' "$dest"
have=
[ ! -f "$dest" ] || { have=$(sha256sum <"$dest"); have=${have%% *}; }
if [ "$have" != "$sum" ] && { [ -z "$have" ] || [ "$force" = 1 ]; }; then
  changed "content of $dest"
  if [ "$check" = 0 ]; then
    [ -d "${dest%/*}/" ] || die "the directory ${dest%/*} does not exist"
    begin_part "$dest"
    cat >"$unfinished"
    came=$(sha256sum <"$unfinished")
    [ "${came%% *}" = "$sum" ] || die "the content arrived damaged"
    if [ -n "$have" ]; then
      like "$dest"
    else
      # All that it is to have before anybody can see it. A change of the owner takes bits of the mode away.
      [ -z "$owner$group" ] || chown -h -- "$owner${group:+:$group}" "$unfinished"
      chmod -- "${mode:-0644}" "$unfinished"
      mode= owner= group=
    fi
    end_part "$dest"
  fi
fi
attributes "$dest" "$mode" "$owner" "$group"
