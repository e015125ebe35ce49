# All accounts of the host, and the ages of their passwords. No hash leaves the host: in its place
# stands what it is, empty, locked (no password matches it), x (told by shadow) or set. Nor does
# what passwd says of the person.
# Prints: nss SOURCES of accounts; uid-min NUMBER for each that is set; shadow and user before each
# line of shadow(5) and passwd(5); end; !! FILE not read.
echo "nss $(print_sources "")"
read_all /etc/login.defs /usr/etc/login.defs | sed -n "s/^UID_MIN[[:space:]]*/uid-min /p" ||
    not_whole /etc/login.defs

without_hashes() { # WORD that each line begins with, LINES
    printf "%s\n" "$2" | awk -F: -v OFS=: -v word="$1" '
        NF < 2 { $0 = "?" }
        NF > 1 { $2 = $2 == "" ? "empty" : $2 ~ /^[!*]/ ? "locked" : $2 == "x" ? "x" : "set" }
        word == "user" { $5 = "" }
        { print word " " $0 }
    '
}

shadow=$(read_capped /etc/shadow) && without_hashes shadow "$shadow" &&
    { entries=$(getent passwd) || entries=$(read_capped /etc/passwd); } &&
    without_hashes user "$entries" && echo end
