state=$1 path=$2 mode=$3 owner=$4 group=$5 source=$6 force=$7 preserve=$8
exists() { [ -e "$1" ] || [ -h "$1" ]; }
case $state in
directory)
  if [ -d "$path" ]; then
    attributes "$path" "$mode" "$owner" "$group"
  else
    rest=${path#/} made=
    while [ -n "$rest" ]; do
      part=${rest%%/*}
      case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
      [ -n "$part" ] || continue
      made=$made/$part
      [ ! -d "$made" ] || continue
      ! exists "$made" || die "$made exists and is no directory"
      changed "directory $made"
      if [ "$check" = 0 ]; then
        mkdir -- "$made"
        attributes "$made" "$mode" "$owner" "$group" >/dev/null
      fi
    done
  fi
  ;;
absent)
  if exists "$path"; then
    changed "removed $path"
    act rm -rf --one-file-system -- "$path"
  fi
  ;;
touch)
  if ! exists "$path"; then
    changed "file $path"
    [ "$check" = 1 ] || : >"$path"
  elif [ "$preserve" = 0 ]; then
    changed "times of $path"
    act touch -- "$path"
  fi
  attributes "$path" "$mode" "$owner" "$group"
  ;;
link)
  case $source in /*) target=$source ;; *) target=${path%/*}/$source ;; esac
  [ -e "$target" ] || [ "$force" = 1 ] || die "$target, the link's target, does not exist (force: true makes it anyway)"
  if [ ! -h "$path" ] || [ "$(readlink -- "$path")" != "$source" ]; then
    if [ -e "$path" ] && [ ! -h "$path" ]; then
      [ "$force" = 1 ] || die "$path exists and is no link"
      # As in Ansible, an empty directory gives way to a link, and no other does.
      if [ -d "$path" ]; then
        [ -z "$(ls -A -- "$path")" ] || die "$path is a directory that is not empty"
        act rmdir -- "$path"
      fi
    fi
    changed "link $path -> $source"
    act ln -sfn -- "$source" "$path"
  fi
  attributes "$path" "$mode" "$owner" "$group"
  ;;
file)
  [ -e "$path" ] || die "$path does not exist"
  attributes "$path" "$mode" "$owner" "$group"
  ;;
esac
