# The distribution and its release.
# Prints: os-release(5) as it is.
file=/etc/os-release
[ -e "$file" ] || file=/usr/lib/os-release
read_capped "$file"
