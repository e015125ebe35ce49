# Makes a root in FOLDER/mount, which a tmpfs holds, puts FOLDER/files into it, and dresses it by
# FOLDER/prepare. Runs in namespaces of its own: what it mounts and starts ends with it.
folder=$1 lower=$2
inside() { # COMMAND... in the root, with nothing of our environment
    chroot "$folder/mount/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LC_ALL=C.UTF-8 "$@"
}

mount -t tmpfs tmpfs "$folder/mount"
cd "$folder/mount" || exit
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" root
mount -t proc proc root/proc
mount -t sysfs -o ro sysfs root/sys
mount --rbind /dev root/dev
mount -t tmpfs -o mode=0755 tmpfs root/run
ip link set lo up
hostname droplet
cp -a "$folder/files/." root
inside sh -eu -c "$(cat "$folder/prepare")" </dev/null >&2

# Runs a script as people send it, by the given sh and awk.
read_by() { # SHELL AWK NUMBER COMMAND...
    ln -sf "$1" root/usr/bin/sh
    ln -sf "$2" root/usr/bin/awk
    number=$3
    shift 3
    inside "$@" sh -s <"$folder/$number" >"$folder/$number.out" 5>>"$folder/trace"
}
