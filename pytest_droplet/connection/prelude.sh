# The prelude: what several sections use. The frame puts it before the text of each section.

# Prints the line that tells a parser: this part could not be read to its end.
not_whole() { # WHAT
    echo "!! $1"
}

# After grep(1), whose status 1 means that no line matched and 2 that it could not read.
must_have_searched() { # STATUS WHAT
    [ "$1" -lt 2 ] || not_whole "$2"
}

# Whether this is a distribution of apt and dpkg. The others have dnf and rpm.
uses_apt() {
    grep -qsE '^ID=.?(debian|ubuntu)' /etc/os-release
}

# Runs a command as nobody where we are root: rpm as root touches the files of its database.
as_nobody() { # COMMAND...
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        "$@"
    fi
}

# Asks DigitalOcean's metadata service, which answers the host itself alone. No start-up file of
# curl or wget is read, no proxy asked and no redirect followed.
ask_metadata() { # NAME
    url=http://169.254.169.254/metadata/v1/$1
    if command -v curl >/dev/null; then
        curl -q -fsS -m 3 --noproxy '*' "$url"
    else
        wget --no-config --no-proxy --max-redirect=0 --no-hsts -q -T 3 -t 1 -O - "$url"
    fi
}

# Prints the path of the list of what is built into the running kernel.
built_in_modules() {
    echo "/lib/modules/$(uname -r)/modules.builtin"
}

# Whether the running kernel has a module, loaded or built in, or cannot have modules at all.
kernel_may_have() { # MODULE
    [ -d "/sys/module/$1" ] || grep -qs "/$1[.]ko" "$(built_in_modules)" || [ ! -e /proc/modules ]
}
