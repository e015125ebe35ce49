# Sockets that wait for connections or datagrams, and as root the programs that hold them.
# ss(8) may make the kernel load a module; /proc and find(1) tell the same and do not.
# Prints: read TABLE, then TABLE HEX-ADDRESS:PORT INODE for each socket; owners, where they were
# looked for, then own INODE PROGRAM; !! WHAT was not read to its end; end.

print_waiting_sockets() {
    for table in tcp tcp6 udp udp6; do
        [ -r "/proc/net/$table" ] || continue
        echo "read $table"
        # 0A is LISTEN; 07 is all that a socket of UDP has.
        awk -v table="$table" '
            NR > 1 && $4 == (table ~ /^t/ ? "0A" : "07") { print table, $2, $10 }
        ' "/proc/net/$table" || not_whole "$table"
    done
}

print_open_sockets() {
    echo owners
    {
        find /proc/[0-9]*/exe /proc/[0-9]*/fd -maxdepth 1 -name exe -printf 'program %h %l\0' \
            -o -lname 'socket:*' -printf '%h %l\0' 2>/dev/null
        # 1: a process ended meanwhile.
        [ $? -lt 2 ] || not_whole find
    } | tr '\n\0' '?\n' || not_whole tr
}

# shellcheck disable=SC2154 # socket_owners is the awk program
{
    print_waiting_sockets
    [ "$(id -u)" != 0 ] || print_open_sockets
    echo end
} | awk "$socket_owners"
