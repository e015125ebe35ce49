# Asks dnf in the mount namespace that dnf.sh makes. dnf writes logs, locks and caches whatever it
# is asked: here every file system is read-only but an empty /tmp, and its cache directory is a
# tree of symbolic links to the real one. 125: that could not be set up, and dnf did not run.

# Those of the network could hang.
while read -r _ folder type _; do
    case $type in
        nfs* | cifs | fuse* | autofs | ceph | 9p) ;;
        *) mount -n -o remount,bind,ro "$folder" 2>/dev/null ;;
    esac
done </proc/self/mounts
{ mount -n -t tmpfs -o mode=0700 tmpfs /tmp && cd /tmp && mkdir c l p; } || exit 125
# Not by the test of the shell: that of busybox takes root to be able to write anywhere.
for folder in / /etc /usr /var /var/cache /var/lib /var/lib/rpm /usr/lib/sysimage /var/log /run; do
    ! env test -w "$folder" || { echo "$folder is still writable" >&2; exit 125; }
done

dnf=$(command -v dnf || command -v dnf5) || exit 127
case $(readlink -f "$dnf") in
    *dnf5)
        cache=/var/cache/libdnf5
        options=
        security="--setopt=disable_excludes=* advisory list"
        ;;
    *)
        cache=/var/cache/dnf
        options=--setopt=persistdir=/tmp/p
        security="--noplugins --disableexcludes=all updateinfo list"
        ln -s /var/lib/dnf/modulefailsafe p/
        ;;
esac
[ ! -d "$cache" ] || cp -rs "$cache/." c/ || exit 125

options="-C -q --setopt=cachedir=/tmp/c --setopt=logdir=/tmp/l $options"
# Both are several words, and "*" is one of them.
set -f
# shellcheck disable=SC2086
"$dnf" $options check-update
echo "rc=$?"
echo "== security"
# shellcheck disable=SC2086
"$dnf" $options $security --updates --security
echo "rc=$?"
