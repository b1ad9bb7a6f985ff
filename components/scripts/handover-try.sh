settle
try
end "$next"
