# Names the files that patterns stand for. It runs with -F: and patterns, each after a letter: s
# of sshd -T, m of a Match block, d of the default. It reads passwd (p:), x:FILE for a file that
# is there, and Z where all came.
# Prints: USERS:LETTER:FILE, with x for a file that no pattern names; end:NUMBER of users.

BEGIN {
    count = complete = 0
}

function add(pattern, letter, user, home, uid,    path, at, sign, value) {
    value["%"] = "%"
    value["h"] = home
    value["u"] = user
    value["U"] = uid
    path = ""
    while ((at = index(pattern, "%")) > 0) {
        sign = substr(pattern, at + 1, 1)
        path = path substr(pattern, 1, at - 1) (sign in value ? value[sign] : "%" sign)
        pattern = substr(pattern, at + 2)
    }
    path = path pattern
    # sshd runs in /, where a home without a slash lies.
    if (substr(path, 1, 1) != "/")
        path = "/" home "/" path
    gsub(/\/\/+/, "/", path)
    if (!(path in users)) {
        files[++count] = path
        letters[path] = letter
        users[path] = user
    } else if (!index("," users[path] ",", "," user ",")) {
        users[path] = users[path] "," user
    }
}

$1 == "p" {
    accounts++
    number = split(patterns, each, " ")
    for (i = 1; i <= number; i++)
        if (each[i] !~ /^.none$/)
            add(substr(each[i], 2), substr(each[i], 1, 1), $2, $7, $4)
}

$1 == "x" && !($2 in users) {
    files[++count] = $2
    letters[$2] = "x"
    users[$2] = ""
}

$1 == "Z" {
    complete = 1
}

END {
    for (i = 1; i <= count; i++)
        print users[files[i]] ":" letters[files[i]] ":" files[i]
    if (complete)
        print "end:" accounts
}
