# Reads what listeners.sh collects, and prints of it the sockets that wait, and who holds them.
# A line of find(1) is "/proc/PID/fd socket:[INODE]"; what it becomes is "own INODE PID".

$1 ~ /^(tcp|udp)/ {
    waits[$3] = 1
}

NF != 2 || $2 !~ /^socket:/ {
    print
    next
}

{
    split($1, path, "/")
    gsub(/[^0-9]/, "", $2)
    if ($2 in waits && !seen[$2, path[3]]++)
        print "own", $2, path[3]
}
