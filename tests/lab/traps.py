"""What an ordinary user of a host may lay out for root: it tells when root touches it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from .defect import Host

_SET = r"""
set -eu
useradd --create-home --shell /bin/bash mallory
home=/home/mallory
mkdir "$home/.ssh" /run/sprung

# Programs of the system's names, in a folder that comes early in many a PATH.
for name in sh env id sudo sed awk grep head tail cat stat find sort tr cut timeout readlink \
    systemctl getent renice ionice df; do
    printf '#!/bin/sh\necho x >"/run/sprung/%s"\n' "$name" >"/usr/local/bin/$name"
    /bin/chmod 755 "/usr/local/bin/$name"
done

# Paths that a crontab names: a file whose reading shows in its time, and one that eats messages.
mkdir "$home/jobs"
/bin/mount -t tmpfs -o strictatime tmpfs "$home/jobs"
echo certbot >"$home/jobs/job"
crontabs=/var/spool/cron/crontabs
/bin/mkdir -p "$crontabs"
printf '17 3 * * * %s\n' "$home/jobs/job" "certbot /proc/kmsg" >"$crontabs/mallory"

# A file of keys that blocks whoever reads it, one that never ends, and one of the kernel's.
/usr/bin/mkfifo "$home/.ssh/authorized_keys"
/usr/bin/setsid /bin/sh -c "echo x >'$home/.ssh/authorized_keys' && echo x >/run/sprung/fifo" \
    </dev/null >/dev/null 2>&1 &
/bin/ln -s /dev/zero "$home/.ssh/authorized_keys2"
/usr/bin/truncate -s 20G "$home/.ssh/authorized_keys3"
/bin/ln -s /proc/kmsg "$home/.ssh/authorized_keys4"

# What a shell that is started reads.
for file in .bashrc .profile .bash_profile .shrc .rpmmacros .curlrc .wgetrc .gitconfig; do
    echo 'echo x >/run/sprung/startup' >"$home/$file"
done
/bin/chown -R mallory: "$home" "$crontabs/mallory"
/bin/chmod 600 "$crontabs/mallory"
"""
_ARM = "/usr/bin/touch -a -d @1000000000 /home/mallory/jobs/job"
_SPRUNG = r"""
/bin/ls /run/sprung
[ "$(/usr/bin/stat -c %X /home/mallory/jobs/job)" = 1000000000 ] || echo job
"""
_CLEAR = r"""
for trap in /usr/local/bin/*; do
    ! /bin/grep -q sprung "$trap" || /bin/rm "$trap"
done
/usr/bin/pkill -f '^/bin/sh -c echo x >' || :
/bin/umount /home/mallory/jobs
/bin/rm -rf /run/sprung /var/spool/cron/crontabs/mallory
userdel --remove mallory 2>/dev/null
"""
# Debian's daemon, and cronie's; a host may have neither.
_CRON = "pkill -{signal} -x 'cron|crond' || [ $? = 1 ]"


@contextmanager
def traps(host: Host) -> Iterator[None]:
    """Set them, and clear them away afterwards."""
    host.run(["/bin/sh", "-c", _SET], check=True)
    try:
        yield
    finally:
        host.run(["/bin/sh", "-c", _CLEAR], check=True)


@contextmanager
def without_jobs(hosts: Iterable[Host]) -> Iterator[None]:
    """Keep cron from starting its jobs, which change a host at their own times.

    Its unit stays as it is: the daemon is stopped, and goes on afterwards.
    """
    hosts = tuple(hosts)
    for host in hosts:
        host.run(["/bin/sh", "-c", _CRON.format(signal="STOP")], check=True)
    try:
        yield
    finally:
        for host in hosts:
            host.run(["/bin/sh", "-c", _CRON.format(signal="CONT")], check=True)


def arm(host: Host) -> None:
    """Forget what was read until now: a snapshot reads files, too."""
    host.run(["/bin/sh", "-c", _ARM], check=True)


def sprung(host: Host) -> list[str]:
    """Return what root ran or read of them since they were armed."""
    return host.run(["/bin/sh", "-c", _SPRUNG], check=True).stdout.split()
