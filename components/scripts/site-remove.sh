[ -e "$sites/$file" ] || exit 0
keep
rm "$sites/$file"
load
