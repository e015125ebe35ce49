# Runs a command where a folder is read-only. 125: that could not be set up, and it did not run.
# apt takes another mount namespace for a chroot, where no update is phased: here it is told no.
# Prints: what the command prints.
{ mount -n --bind "$1" "$1" && mount -n -o remount,bind,ro "$1" && [ ! -w "$1" ]; } || exit 125
! chroot=$(command -v ischroot) || mount -n --bind /bin/false "$chroot" || exit 125
shift
exec "$@"
