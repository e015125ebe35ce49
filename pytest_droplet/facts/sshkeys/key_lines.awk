# What leaves the host of the numbered lines of a file. They end at a NUL byte, as for sshd: it has
# become \001 before, and \001 has become \002, since awks differ on it. Left out are blank lines
# and comments, but for the comment that the droplet agent puts before its keys. A user may have
# linked the file to any other: a line without the blob of a key stays on the host, and so does a
# very long one; "hidden:" tells the number of the first.

!/^[0-9]+:/ {
    hidden = 0
    print
    next
}

{
    colon = index($0, ":")
    number = substr($0, 1, colon)
    line = substr($0, colon + 1)
    sub(/\001.*/, "", line)
}

tolower(line) ~ /^[ \t]*# *added and managed by digitalocean/ {
    print number line
    next
}

line ~ /^[ \t]*#/ || line ~ /^[ \t\v\f\r]*$/ {
    next
}

length(line) < 100000 && line !~ /-----BEGIN/ &&
    line ~ /[ \t][\v\f\r]*A[\v\f\r]*A[\v\f\r]*A[\v\f\r]*A/ {
    print number line
    next
}

!hidden {
    hidden = 1
    print "hidden:" substr(number, 1, colon - 1)
}
