if [ ! -e "$sites/$file" ]; then
	exit 0
fi
cp -p "$sites/$file" "$sites/.$file.old"
: >"$sites/.$file.changed"
rm "$sites/$file"
load
