# The files of apt's sources.
# Prints: == FILE and its lines, without comments; !! unreadable where one was not read. Logins in
# addresses stay on the host.
for file in /etc/apt/sources.list \
    /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] || continue
    echo "== $file"
    sed -e '/^[[:space:]]*#/d' -e 's#//[^/@[:space:]]*@#//#g' "$file" || not_whole unreadable
done
