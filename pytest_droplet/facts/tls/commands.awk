# Tells what lines of shell call, without what may be secret: fields, of each line the first words
# (fields of them, those of a crontab, or 4 fewer behind an @word), then its other words without
# quotes and paths. Only known words, names of options, separators and ( ) around quoted text are
# told: other options become -, numbers 0, assignments =, and all else _. Of a script (fields is 0)
# only lines that name a client or /run/systemd/system are told.

!/^[ \t]*(#|$)/ && !(fields && /^[ \t]*[A-Za-z_]/) {
    out = ""
    count = fields - (/^@/ ? 4 : 0)
    for (i = 1; i <= count; i++) {
        out = out " " $i
        $i = ""
    }
    gsub(/[0-9]*[<>]+&?[0-9]*|\\/, " ")
    while (match($0, /"[^"]*"|\047[^\047]*\047/)) {
        text = substr($0, RSTART + 1, RLENGTH - 2)
        if (text ~ /[ ;&|]/)
            text = " ( " text " ) "
        $0 = substr($0, 1, RSTART - 1) text substr($0, RSTART + RLENGTH)
    }
    gsub(/[;&|]+|[()`{}!]/, " & ")
    found = fields
    $0 = $0
    for (i = 1; i <= NF; i++) {
        word = $i
        if (word ~ /^#/)
            break
        sub(/^[A-Za-z0-9_]*=.*/, "=", word)
        sub(/.*\//, "", word)
        if (word ~ /^(certbot(-auto|[.]renew)?|acme[.]sh|lego|dehydrated|uacme|getssl|system)$/)
            found = 1
        else if (word ~ /^[0-9]+$/)
            word = 0
        else if (word !~ /^(renew|run|issue|-[a-z]|--[a-z-]+|[;&|]+|[()`{}!=])$/ &&
            word !~ /^((ba|da)?sh|if|then|do|exec|env|nice|timeout|flock|sudo|docker|snap)$/)
            word = word ~ /^-/ ? "-" : "_"
        out = out " " word
    }
    if (found)
        print fields out
}
