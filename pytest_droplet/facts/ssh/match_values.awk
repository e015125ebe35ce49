# Reads the lines of sshd_configuration.sh, and prints what their Match lines ask for: a keyword,
# or KEYWORD VALUE with a value that fits its pattern; at last "~".

/^F/ {
    next
}

{
    sub(/#.*/, "")
    gsub(/["=]/, " ")
}

tolower($3) == "match" {
    for (i = 4; i <= NF; i++) {
        keyword = tolower($i)
        if (keyword ~ /^(all|invalid-user)$/) {
            print keyword
            continue
        }
        count = split($(++i), values, ",")
        for (j = 1; j <= count; j++) {
            value = values[j]
            # Nobody is asked for whom a pattern leaves out; any value fits one of stars.
            if (value ~ /^!/ || value ~ /^[*?]*$/) {
                print keyword
                continue
            }
            if (keyword ~ /address/) {
                sub(/\/.*/, "", value)
                gsub(/[*?]/, "1", value)
                while (value !~ /:/ && split(value, parts, ".") < 4)
                    value = value ".1"
            }
            if (keyword == "group" && value ~ /[*?]/)
                keyword = "group-pattern"
            gsub(/[*?]/, "x", value)
            print keyword, value
        }
    }
}

END {
    print "~"
}
