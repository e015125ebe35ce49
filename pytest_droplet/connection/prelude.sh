# The prelude: what several sections use. The frame puts it before the text of each section.

# The most that is read of one file, in bytes, and what find(1) says of one that has no more.
cap=1000000
short=-1000001c

# Prints the line that tells a parser: this part could not be read to its end. It goes around the
# filters of a pipeline: 6 is the section's own output.
exec 6>&1
not_whole() { # WHAT
    printf '\n!! %s\n' "$1" >&6
}

# Whether a path leads to a regular file of a real file system: reading one of /proc can change
# what the kernel does. Without find(1) nothing is one. Sets kind to what find prints, and :TYPE of
# the file system.
is_regular() { # PATH [TESTS of find]
    asked=$1
    shift
    kind=$(find -L "$asked" -maxdepth 0 -type f "$@" -printf :%F)
    case ${kind##*:} in
        '' | proc | sysfs | debugfs | tracefs | securityfs | configfs | cgroup* | pstore | nfsd | \
            fuse*) false ;;
    esac
}

# Whether a file that was not found is absent: this is believed only where the system says so, and
# the folder that should hold it, or files of its pattern, can be listed. Else it was not read.
explain_absence() { # PATH
    above=/$1
    until [ -d "$above/" ]; do
        above=${above%/*}
    done
    case $(stat -L "$1" 2>&1) in
        *': No'*' directory') [ -L "$1" ] || ! [ -r "$above/" ] || return 0 ;;
    esac
    not_whole "$1"
    false
}

# Prints a regular file. One that is longer than the cap was not read. It is judged once it is
# open: whoever may write to its folder cannot put another in its place meanwhile.
read_capped() { # PATH
    if ! [ -f "$1" ] || ! { is_regular /dev/stdin -size "$short" && head -c "$cap"; } <"$1"; then
        not_whole "$1"
        return 1
    fi
}

# For sed(1): such a line of read_all becomes == PATH.
# shellcheck disable=SC2034 # the sections use it
heads='s/^==> (\/.*) <==$/== \1/p'

# Prints those files that are there, each behind a line "==> PATH <==": for folders that only root
# may write to. Folders are left out; a file that is longer than the cap was not read.
read_all() { # PATH...
    for path in "$@"; do
        shift
        if [ ! -e "$path" ]; then
            explain_absence "$path"
        elif [ ! -d "$path" ]; then
            set -- "$@" "$path"
        fi
    done
    [ $# = 0 ] || find -L "$@" -maxdepth 0 -type f -size "$short" \
        ! -fstype proc ! -fstype sysfs -exec head -v -c "$cap" {} + -o -exec false {} + || {
        for path in "$@"; do
            is_regular "$path" -size "$short" || break
        done
        not_whole "$path"
    }
}

# Prints where nsswitch.conf(5) says that accounts come from.
print_sources() { # WORDS before each line
    read_all /etc/nsswitch.conf | sed -n "s/^\s*passwd\s*:/$1/p" || not_whole /etc/nsswitch.conf
}

# Whether the user of a process is root.
is_of_root() { # FOLDER of the process
    user=
    while read -r key user _; do
        [ "$key" != Uid: ] || break
    done <"$1/status"
    [ "$user" = 0 ]
}

# Prints PID NAME for each process of root that runs a program of such a name (a pattern): anybody
# may call a process what they like. Where the program of one that is called so cannot be told, it
# says so.
processes_of() { # NAME...
    {
        set +f
        find /proc/[0-9]*/exe -maxdepth 0 -printf '%h %l\0' | tr '\n\0' '?\n'
    } | {
        seen=
        while read -r process program; do
            seen=yes
            program=${program%" (deleted)"}
            program=${program##*/}
            called=$program
            [ -n "$program" ] || read -r called <"$process/comm"
            for name in "$@"; do
                # shellcheck disable=SC2254 # it is a pattern
                case $called in $name) ;; *) continue ;; esac
                # One that has ended has neither a program nor words.
                words=
                [ -n "$program" ] || read -r words <"$process/cmdline"
                if ! is_of_root "$process"; then
                    continue
                elif [ -n "$program" ]; then
                    echo "${process#/proc/} $program"
                elif [ -n "$words" ]; then
                    not_whole processes
                fi
            done
        done
        [ -n "$seen" ] || not_whole processes
    }
} 2>/dev/null

# Prints the command line of each process of root with one of these names, but for those of
# containers. Who is not root cannot tell them from what users call so.
run_as() { # NAME...
    [ "$(id -u)" != 0 ] || processes_of "$@" | while read -r pid _; do
        [ "/proc/$pid/ns/pid" -ef /proc/self/ns/pid ] || continue
        tr '\0' ' ' <"/proc/$pid/cmdline"
        echo
    done
}

# After grep(1), whose status 1 means that no line matched and 2 that it could not read.
must_have_searched() { # STATUS WHAT
    [ "$1" -lt 2 ] || not_whole "$2"
}

# Whether this is a distribution of apt and dpkg. The others have dnf and rpm.
uses_apt() {
    [ "$(read_capped /etc/os-release | grep -cE '^ID=.?(debian|ubuntu)')" != 0 ]
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

# Whether a module is in that list.
is_built_in() { # MODULE
    list=$(built_in_modules)
    [ -e "$list" ] && [ "$(read_capped "$list" | grep -c "/$1[.]ko")" != 0 ]
}

# Whether the running kernel has a module, loaded or built in, or cannot have modules at all.
kernel_may_have() { # MODULE
    [ -d "/sys/module/$1" ] || is_built_in "$1" || [ ! -e /proc/modules ]
}
