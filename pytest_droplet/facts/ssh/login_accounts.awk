# Reads shadow (S:) and passwd (P:), and prints NAME:UID:PASSWORD:EXPIRES:HOME:SHELL of the
# accounts that may be able to log in; ":" after Z:, where all of them came. PASSWORD is empty, set
# or locked: no hash leaves the host.
# It runs with -F: and the fields of each line are those of the file, one further.

$1 == "S" {
    hash_of[$2] = $3
    expires[$2] = $9
}

$1 == "P" {
    hash = $3
    if (hash == "x")
        hash = ($2 in hash_of) ? hash_of[$2] : "*"
    password = hash == "" ? "empty" : hash ~ /^[!*]/ ? "locked" : "set"
    if ($4 == 0 || password != "locked" || $8 !~ /(nologin|false|sync|shutdown|halt)$/)
        print $2 ":" $4 ":" password ":" expires[$2] ":" $7 ":" $8
}

$1 == "Z" {
    print ":"
}
