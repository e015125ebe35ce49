# What cases dress their roots with.

# Waits until a command succeeds: a service that was started answers.
until_true() { # COMMAND...
    until "$@" >/dev/null 2>&1; do sleep 0.01; done
}

# Makes a regular file that even root cannot read.
unreadable() { # FILE
    mkdir -p "${1%/*}"
    [ -f "$1" ] || : >"$1"
    mount --bind /proc/1/mem "$1"
}

# Makes a folder whose names even root cannot list: that of a process which has ended.
unlistable() { # FOLDER
    mkdir -p "$1"
    sleep 1000 &
    mount --bind "/proc/$!" "$1"
    kill $!
    wait $! || :
}

# Makes a folder that even root cannot look into: the file system of a user, for nobody else.
closed() { # FOLDER
    mkdir -p "$1"
    exec 3<>/dev/fuse
    mount -i -t fuse -o fd=3,rootmode=40000,user_id=1000,group_id=1000 none "$1"
    sleep 1000 &
}

# Puts a program in the place of another that says nothing and ends with a status.
failing() { # PROGRAM STATUS
    stand_in "$1" "exit $2"
}

# Puts a program in the place of another, which is then NAME.real.
stand_in() { # PROGRAM TEXT
    path=$(command -v "$1")
    mv "$path" "$path.real"
    printf '#!/bin/sh\n%s\n' "$2" >"$path"
    chmod 755 "$path"
}

# Adds an interface with addresses.
interface() { # NAME ADDRESS...
    name=$1
    shift
    ip link add "$name" type veth peer name "$name-peer"
    ip link set "$name" up
    ip link set "$name-peer" up
    for address; do
        case $address in
            *:*) ip address add "$address" dev "$name" nodad ;;
            *) ip address add "$address" brd + dev "$name" ;;
        esac
    done
}
