# Reads shadow (S:) and passwd (P:), and prints user:NAME:UID:PASSWORD:CHANGED:MAXIMUM:INACTIVE:
# EXPIRES:HOME:SHELL of every account; after Z, where all of them came, end:NUMBER. PASSWORD is
# empty, locked, set, or other (not in shadow): no hash leaves the host.
# It runs with -F: and the fields of each line are those of the file, one further.

BEGIN {
    count = complete = 0
}

$1 == "S" {
    password[$2] = $3 == "" ? "empty" : $3 ~ /^[!*]/ ? "locked" : "set"
    ages[$2] = $4 ":" $6 ":" $8 ":" $9
}

$1 == "P" {
    count++
    state = ($2 in password) ? password[$2] ":" ages[$2] : "other::::"
    print "user:" $2 ":" $4 ":" state ":" $7 ":" $8
}

$1 == "Z" {
    complete = 1
}

END {
    if (complete)
        print "end:" count
}
