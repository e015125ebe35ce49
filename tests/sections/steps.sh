# The steps of the first process in a root: dresses it, and runs scripts as people send them.
sh -eu /mnt/prepare </dev/null >&2

# Runs /mnt/NUMBER by the given sh and awk; what it prints goes beside it.
read_by() { # SHELL AWK NUMBER COMMAND...
    ln -sf "$1" /usr/bin/sh
    ln -sf "$2" /usr/bin/awk
    number=$3
    shift 3
    "$@" sh -s <"/mnt/$number" >"/mnt/$number.out" 5>>/mnt/trace
}
