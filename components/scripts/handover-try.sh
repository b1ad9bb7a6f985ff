settle
prove
end "$successor"
