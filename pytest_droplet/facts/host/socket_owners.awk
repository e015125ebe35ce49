# Reads what listeners.sh collects, and prints of it the sockets that wait, and who holds them.
# A line of find(1) is "program /proc/PID PROGRAM" or "/proc/PID/fd socket:[INODE]"; of the latter
# is made "own INODE PROGRAM", once for each program.

$1 ~ /^(tcp|udp)/ {
    waits[$3] = 1
}

$1 == "program" {
    folder = $2
    sub(/^program [^ ]* /, "")
    program[folder] = $0
    next
}

NF != 2 || $2 !~ /^socket:/ {
    print
    next
}

{
    sub(/\/fd$/, "", $1)
    gsub(/[^0-9]/, "", $2)
    if ($2 in waits && !seen[$2, program[$1]]++)
        print "own", $2, program[$1]
}
