# Prints "LINE DIRECTIVE" of configuration files of Apache, with continued lines joined, and
# == FILE before those of a file. Lines have the numbers that Apache gives them: the last of
# continued ones, and within a macro how many lines it has to there, without comments.
# Only directives that are wanted are printed: no secret of the configuration leaves the host.
# Each file stands behind its head(1): ==> FILE <==.

/^==> \/.* <==$/ {
    gsub(/^==> | <==$/, "")
    print "== " $0
    start = NR
    joined = ""
    macro = 0
    next
}

{
    text = joined $0
    joined = ""
    sub(/\r$/, "", text)
}

text ~ /\\$/ {
    joined = substr(text, 1, length(text) - 1)
    next
}

{
    sub(/^[\t-\r ]+/, "", text)
    if (text ~ /^#/)
        next
    line = macro ? macro++ : NR - start
    all = word = tolower(text)
    sub(/[\t-\r >].*/, "", word)
    gsub(/"/, "", word)
    if (word ~ /macro/)
        macro = word == "<macro"
    if (word ~ /^<\/?(virtualhost|macro|if[a-z])/ ||
        word ~ /^(listen|include(optional)?|server(name|alias|root)|ssl(cipher|openssl).*)$/ ||
        word ~ /^(<?mdomain(set)?|ssl(engine|protocol|certificate(key)?file))$/ ||
        word ~ /^(use|(un)?define)$/ && all !~ /pass|secret|token/)
        print line " " text
}
