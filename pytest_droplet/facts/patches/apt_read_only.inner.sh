# Runs a command where a folder is read-only. 125: that could not be set up, and it did not run.
# Prints: what the command prints.
{ mount -n --bind "$1" "$1" && mount -n -o remount,bind,ro "$1"; } || exit 125
[ ! -w "$1" ] || exit 125
shift
exec "$@"
