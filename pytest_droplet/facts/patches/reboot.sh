# What waits for a reboot beside the kernel.
# Prints: == dpkg, and required with the packages that ask for it; or == rpm, PACKAGE and when it
# was installed, in seconds since 1970; !! rpm -q where it did not tell.
cd / || exit
if uses_apt; then
    echo '== dpkg'
    flag=/run/reboot-required
    if [ -e $flag ]; then
        echo required
        [ ! -e $flag.pkgs ] || read_capped $flag.pkgs
    fi
else
    echo '== rpm'
    as_nobody rpm -q --qf '%{NAME} %{INSTALLTIME}\n' glibc systemd dbus-broker dbus-daemon \
        linux-firmware microcode_ctl openssl-libs
    # The status is the number of packages that are not installed.
    [ $? -lt 99 ] || not_whole 'rpm -q'
fi
:
