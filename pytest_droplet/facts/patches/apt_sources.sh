# The files of apt's sources.
# Prints: == FILE and its lines, without comments; !! FILE where one was not read. Logins in
# addresses stay on the host.
read_all /etc/apt/sources.list \
    /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources |
    sed -e 's/^==> \(\/.*\) <==$/== \1/' -e '/^[[:space:]]*#/d' -e 's#//[^/@[:space:]]*@#//#g' ||
    not_whole /etc/apt/sources.list
