settle
prove
end "$next"
