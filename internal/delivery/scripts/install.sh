file=$program
is "$file" 2>/dev/null || file=$copy
is "$file" || fail "$file is not the program that this update has built; run $again, which copies it again."
chmod 0755 "$file"
"$file" --version </dev/null >/dev/null ||
	fail "The server's program does not run in $directory, for the reason above. If permission is denied, that file system is mounted with noexec: mount it without, or set alorig:serverDirectory to another directory, and run the update again."
if [ "$file" != "$program" ]; then
	sync "$file"
	mv -f "$file" "$program"
fi
rm -f "$program".*.new
