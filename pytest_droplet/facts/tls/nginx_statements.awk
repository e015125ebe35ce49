# Splits configuration files of nginx into statements, as nginx reads them. Each file stands behind
# its head(1): ==> FILE <==.
# Prints: == FILE, then "LINE DIRECTIVE ARGUMENTS;", "LINE BLOCK {" and "LINE }". Of directives
# only those wanted are printed: no secret of the configuration leaves the host.
# statement is what was read of one, begun its line (0: none yet), quote the open quote, lua how
# many braces are open in a block of Lua.

function end_statement(mark,    text, word) {
    text = statement
    gsub(/[ \t]+/, " ", text)
    sub(/^ /, "", text)
    sub(/ $/, "", text)
    word = text
    sub(/ .*/, "", word)
    if (mark == "{") {
        lua = word ~ /_by_lua_block$/
        print begun " " word " {"
    } else if (mark == "}") {
        print number " }"
    } else if (word ~ /^(include|listen|server_name|acme_certificate)$/ ||
        word ~ /^ssl(_certificate(_key)?|_protocols|_reject_handshake|_preread)?$/) {
        # A certificate or key may stand in the configuration itself.
        sub(/["\047]?data:.*/, "data:", text)
        print begun " " text ";"
    }
    statement = ""
    begun = 0
}

/^==> \/.* <==$/ {
    gsub(/^==> | <==$/, "")
    print "== " $0
    start = NR
    statement = quote = ""
    lua = begun = 0
    next
}

{
    number = NR - start
    rest = $0 " "
    while (rest != "") {
        if (lua) {
            gsub(/"[^"]*"/, "", rest)
            gsub(/\047[^\047]*\047/, "", rest)
            if (!match(rest, /[{}]/))
                break
            sign = substr(rest, RSTART, 1)
            rest = substr(rest, RSTART + 1)
            lua += sign == "{" ? 1 : -1
            if (!lua)
                print number " }"
            continue
        }
        if (quote != "") {
            end = index(rest, quote)
            if (!end) {
                statement = statement rest
                break
            }
            before = substr(rest, 1, end - 1)
            rest = substr(rest, end + 1)
            statement = statement before quote
            if (before !~ /\\$/)
                quote = ""
            continue
        }
        if (!match(rest, /[\\"\047#;{}]/)) {
            if (!begun && rest ~ /[^ \t\r]/)
                begun = number
            statement = statement rest
            break
        }
        before = substr(rest, 1, RSTART - 1)
        sign = substr(rest, RSTART, 1)
        rest = substr(rest, RSTART + 1)
        statement = statement before
        starts_word = statement == "" || statement ~ /[ \t]$/
        if (sign == "#" && starts_word)
            break
        if (!begun && (before sign) ~ /[^ \t\r]/)
            begun = number
        if (sign == "\\") {
            statement = statement sign substr(rest, 1, 1)
            rest = substr(rest, 2)
        } else if (sign == "\"" || sign == "\047") {
            statement = statement sign
            if (starts_word)
                quote = sign
        } else if (sign == "{" && before ~ /[$]$/) {
            # ${variable}
            end = index(rest, "}")
            statement = statement sign substr(rest, 1, end)
            rest = substr(rest, end + 1)
        } else if (sign == "#") {
            statement = statement sign
        } else {
            end_statement(sign)
        }
    }
}
