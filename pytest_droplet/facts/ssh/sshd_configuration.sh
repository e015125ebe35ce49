# What sshd is configured with: shared by the sections that ask it.
# Sets: servers, PID NAME of what may serve SSH; arguments, those of the running sshd that "sshd -T"
# takes too; configuration, the files that it reads: F MODE UID MTIME FILE, then | NUMBER LINE for
# each line that is no comment.
# Prints: X and what is left out, which may also stand in configuration; !! WHAT was not read.

say() {
    printf '%s\n' "$*"
}

# From OpenSSH 10.6 on, sshd prints keywords as the manual writes them.
lower_keywords() {
    awk '{ i = index($0 " ", " "); print tolower(substr($0, 1, i - 1)) substr($0, i) }'
}

take_arguments() { # WORDS of a command line; sets arguments, and main_file
    arguments=
    main_file=/etc/ssh/sshd_config
    while [ $# -gt 0 ]; do
        case $1 in
            -[ofchp])
                arguments="$arguments $1 $2"
                [ "$1" = -f ] && main_file=$2
                [ $# -gt 1 ] && shift
                ;;
            -[ofchp]?*)
                arguments="$arguments $1"
                case $1 in -f*) main_file=${1#-f} ;; esac
                ;;
        esac
        shift
    done
}

command_line() { # FOLDER of a process
    tr '\0' ' ' <"$1/cmdline"
}

# The sshd that takes new logins: the one that systemd knows, else the first one found. A process
# that serves a login calls itself "sshd: ..."; one of a container has another namespace.
servers=$(processes_of 'sshd*' 'dropbear*' tinysshd tailscaled)
set -f
main_pid=$(
    systemctl show -p MainPID --value ssh.service sshd.service 2>/dev/null | grep -m1 '[1-9]'
)
others=
for pid in $(say "$servers" | sed -n 's/ sshd$//p'); do
    process=/proc/$pid
    [ "$pid" != "$main_pid" ] || continue
    [ "$(readlink "$process/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] || continue
    line=$(command_line "$process") || continue
    case $line in
        *"[listener]"*) ;;
        '' | 'sshd: '*) continue ;;
    esac
    if [ "$main_pid" ]; then
        others="$others $process"
    else
        main_pid=$pid
    fi
done 2>/dev/null

if [ "$main_pid" ]; then
    line=$(command_line "/proc/$main_pid")
else
    line=$(
        read_all /etc/default/ssh /etc/sysconfig/sshd |
            sed -n 's/^SSHD_OPTS=//p;s/^OPTIONS=//p' | tr -d "\"'"
    )
fi
# shellcheck disable=SC2086 # words of command lines
{
    take_arguments $line
    first=$arguments
    for process in $others; do
        # shellcheck disable=SC2046
        take_arguments $(command_line $process)
        [ "$arguments" = "$first" ] ||
            say "X another sshd runs with other arguments:${arguments:- none}"
    done
    take_arguments $line
}
set +f

# For a file that includes others it calls itself: no variable is used after that.
count=0
print_files() { # FILE...
    for file in "$@"; do
        [ -e "$file" ] || explain_absence "$file" || say "X $file could not be read to its end"
        [ -f "$file" ] || continue
        if [ "$count" -ge 99 ]; then
            say 'X there are more than 99 configuration files'
            continue
        fi
        count=$((count + 1))
        # shellcheck disable=SC2015
        stat -L -c 'F %a %u %Y %n' "$file" && text=$(read_capped "$file") &&
            say "$text" | awk '!/^[[:space:]]*(#|$)/ { print "| " NR " " $0 }' &&
            included=$(
                say "$text" |
                    awk '{ gsub(/["=]/, " ") } tolower($1) == "include" { $1 = ""; print }'
            ) || {
            say "X $file could not be read to its end"
            continue
        }
        # shellcheck disable=SC2086 # patterns become files
        for included in $included; do
            case $included in
                /*) print_files $included ;;
                *) print_files /etc/ssh/$included ;;
            esac
        done
    done
}
# shellcheck disable=SC2034 # the sections after it use it
configuration=$(print_files "$main_file")
