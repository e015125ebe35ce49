# Reads the configuration of sshd, and prints what says where keys come from: conf
# FILE:NUMBER:LINE, and of files for keys in a Match block, match PATTERN...

FNR == 1 {
    in_match = 0
}

{
    line = $0
    sub(/=/, " ")
    keyword = tolower($1)
}

keyword == "match" {
    in_match = tolower($2) != "all"
}

keyword ~ /^(authorized(keys|principals)|trustedusercakeys)/ {
    print "conf " FILENAME ":" FNR ":" line
}

in_match && keyword == "authorizedkeysfile" {
    $1 = "match"
    gsub(/"/, "")
    print
}
