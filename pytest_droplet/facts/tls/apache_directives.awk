# Prints "LINE DIRECTIVE" of configuration files of Apache, with continued lines joined, and
# before the first of a file == FILE. Only directives that are wanted are printed: no secret of
# the configuration leaves the host. Each file stands behind its head(1): ==> FILE <==.

/^==> \/.* <==$/ {
    path = $0
    gsub(/^==> | <==$/, "", path)
    start = NR
    joined = ""
    begun = 0
    next
}

{
    text = $0
    sub(/\r$/, "", text)
    if (!begun)
        begun = NR - start
}

text ~ /\\$/ {
    joined = joined substr(text, 1, length(text) - 1) " "
    next
}

{
    text = joined text
    joined = ""
    line = begun
    begun = 0
    sub(/^[ \t]+/, "", text)
    word = tolower(text)
    sub(/[ \t>].*/, "", word)
    if (word ~ /^(<\/?virtualhost|<macro|<?mdomain(set)?|listen|server(name|alias|root))$/ ||
        word ~ /^ssl(engine|protocol|certificate(key)?file)$/) {
        if (file != path) {
            file = path
            print "== " file
        }
        print line " " text
    }
}
