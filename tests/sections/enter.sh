# Makes a root in FOLDER/mount, which a tmpfs holds, puts FOLDER/files into it, and goes on there
# with FOLDER/steps: FOLDER is its /mnt. Runs in namespaces of its own: what it mounts and starts
# ends with it. It is the first process, whose root is that of all others: nothing is in a chroot.
folder=$1 lower=$2

mount -t tmpfs tmpfs "$folder/mount"
cd "$folder/mount" || exit
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" root
mount -t proc proc root/proc
mount -t sysfs -o ro sysfs root/sys
mount --rbind /dev root/dev
mount -t tmpfs -o mode=0755 tmpfs root/run
mount --bind "$folder" root/mnt
ip link set lo up
hostname droplet
cp -a "$folder/files/." root
exec chroot root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    sh -eu /mnt/steps
