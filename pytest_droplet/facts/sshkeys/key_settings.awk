# Reads the lines of sshd_configuration.sh, and prints what says where keys come from: conf
# FILE:NUMBER:LINE, and of files for keys in a Match block, match authorizedkeysfile PATTERN...

$1 == "F" {
    in_match = 0
    file = $0
    sub(/^F [^ ]* [^ ]* [^ ]* /, "", file)
    next
}

{
    number = $2
    sub(/^[|] [0-9]+ /, "")
    line = $0
    gsub(/["\047\r\f]/, "")
    sub(/=/, " ")
    keyword = tolower($1)
}

keyword == "match" {
    in_match = tolower($2) != "all"
}

keyword ~ /^(authorized(keys|principals)|trustedusercakeys)/ {
    print "conf " file ":" number ":" line
}

in_match && keyword == "authorizedkeysfile" {
    $1 = "match " keyword
    print
}
