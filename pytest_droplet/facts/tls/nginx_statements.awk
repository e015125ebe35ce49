# Splits configuration files of nginx into statements, as nginx reads them. Each file stands behind
# its head(1): ==> FILE <==.
# Prints: == FILE, then "LINE DIRECTIVE ARGUMENTS;", "LINE BLOCK {" and "LINE }", and "LINE ?" for a
# statement, quote or block of Lua that has no end. Of directives only those wanted are printed: no
# secret of the configuration leaves the host.
# text is what was read of a statement, begun its line (0: none yet), quote what ends the open
# quote, lua how many braces are open in a block of Lua.

function finish(mark,    word) {
    gsub(/[ \t\r]+/, " ", text)
    gsub(/^ | $/, "", text)
    word = text
    sub(/ .*/, "", word)
    text = substr(text, length(word) + 1)
    gsub(/["\047]/, "", word)
    if (mark == "{") {
        lua = word ~ /_by_lua_block$/
        print begun " " word " {"
    } else if (mark == "}")
        print number (word == "" ? " }" : " ?")
    else if (word ~ /^(include|listen|server_name|acme_certificate|ssl_conf_command)$/ ||
        word ~ /^ssl(_certificate(_key)?|_protocols|_ciphers|_reject_handshake|_preread)?$/) {
        # A certificate or key may stand in the configuration itself.
        sub(/["\047]?data:.*/, "data:", text)
        print begun " " word text ";"
    }
    text = ""
    begun = 0
}

function end_file() {
    if (begun || lua)
        print begun " ?"
    text = quote = ""
    lua = begun = 0
}

BEGIN {
    text = quote = ""
    lua = begun = 0
}

/^==> \/.* <==$/ {
    end_file()
    gsub(/^==> | <==$/, "")
    print "== " $0
    start = NR
    next
}

{
    number = NR - start
    rest = $0 " "
    while (rest != "") {
        if (quote != "")
            found = match(rest, length(quote) > 1 ? quote : "[\\\\" quote "]")
        else if (lua)
            found = match(rest, /--(\[=*\[)?|\[=*\[|["\047{}]/)
        else
            found = match(rest, /[\\"\047#;{}]/)
        head = found ? substr(rest, 1, RSTART - 1) : rest
        sign = substr(rest, RSTART, RLENGTH)
        rest = found ? substr(rest, RSTART + RLENGTH) : ""
        if (!lua)
            text = text head
        fresh = text == "" || text ~ /[ \t\r]$/
        if (quote == "" && (sign == "--" || sign == "#" && fresh))
            break
        if (!begun && (head sign) ~ /[^ \t\r]/)
            begun = number
        if (sign == "\\") {
            sign = sign substr(rest, 1, 1)
            rest = substr(rest, 2)
        } else if (quote != "") {
            if (found)
                quote = ""
        } else if (lua) {
            if (sign ~ /\[/) {
                gsub(/-/, "", sign)
                gsub(/\[/, "]", sign)
                quote = sign
            } else if (sign ~ /["\047]/)
                quote = sign
            else if (found)
                lua += sign == "{" ? 1 : -1
            if (!lua)
                finish("}")
            continue
        } else if (sign ~ /["\047]/) {
            if (fresh)
                quote = sign
        } else if (sign == ";" || sign == "{" && head !~ /[$]$/ || sign == "}" && fresh) {
            finish(sign)
            continue
        }
        if (!lua)
            text = text sign
    }
}

END {
    end_file()
}
