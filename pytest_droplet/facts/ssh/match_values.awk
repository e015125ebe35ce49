# Reads the lines of sshd_configuration.sh, and prints what their Match lines tell apart: KEYWORD
# VALUE, also of what is negated. Of a range of addresses these are the first one, and the one after
# its last; of IPv6, one further inside. Users and groups stay as they are written; in the name of a
# host a star becomes a letter. At last "~".

function add_range(address,    fill, after, part, size) {
    split(address, part, "/")
    address = part[1]
    if (address ~ /:/) {
        if (address !~ /[*?]/)
            print keyword, "::1\n" keyword, address
        if (address !~ /^::/ && sub(/::$/, ":ffff::1", address))
            print keyword, address
        return
    }
    size = part[2] == "" ? 32 : part[2]
    fill = sub(/(\.\*)+$/, "", address) ? ".0" : ".1"
    gsub(/[*?]/, "1", address)
    for (; split(address, part, ".") < 4; address = address fill)
        size -= 8
    print keyword, address
    for (after = 1; size < 32; size++)
        after *= 2
    after += ((part[1] * 256 + part[2]) * 256 + part[3]) * 256 + part[4]
    address = after % 256
    for (size = 0; size < 3; size++) {
        after = int(after / 256)
        address = after % 256 "." address
    }
    print keyword, address
}

/^F/ {
    next
}

{
    sub(/#.*/, "")
    gsub(/["=\r\f]/, " ")
}

tolower($3) == "match" {
    for (word = 4; word <= NF; word++) {
        keyword = tolower($word)
        if (keyword ~ /^(all|invalid-user)$/)
            continue
        count = split($(++word), values, ",")
        for (j = 1; j <= count; j++) {
            value = values[j]
            sub(/^!/, "", value)
            if (keyword ~ /address/ || value ~ /^[0-9.*]*[.][*]$/)
                add_range(value)
            else {
                if (keyword == "host")
                    gsub(/[*?]/, "x", value)
                print keyword, value
            }
        }
        print keyword
    }
}

END {
    print "~"
}
