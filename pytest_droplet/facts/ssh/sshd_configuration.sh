# What sshd is configured with: shared by the sections that ask it.
# Sets: servers, PID NAME of what may serve SSH, and 0 sssd where SSSD answers, as whichever user;
# sshd, the program to ask, which is the running one; arguments, those of it that "sshd -T" takes
# too; configuration, the files that it reads, which it names itself: F MODE UID MTIME FILE, then
# | NUMBER LINE for each line that is no comment.
# Prints: X and what is left out, which may also stand in configuration; !! WHAT was not read.

say() {
    printf "%s\n" "$*"
}

# From OpenSSH 10.6 on, sshd prints keywords as the manual writes them.
lower_keywords() {
    awk '{ i = index($0 " ", " "); print tolower(substr($0, 1, i - 1)) substr($0, i) }'
}

take_arguments() { # WORDS of a command line; sets arguments
    arguments=
    while [ $# -gt 0 ]; do
        case $1 in
            -[ofchp])
                arguments="$arguments $1 $2"
                [ $# -gt 1 ] && shift
                ;;
            -[ofchp]?*) arguments="$arguments $1" ;;
        esac
        shift
    done
}

# The sshd that takes new logins: the one that systemd knows, else the first one found. What serves
# a login calls itself "sshd: ...", or is about to; what runs in a container has another root, and
# is another sshd where it has the host's network. One whose program has another name tells by what
# it calls itself.
servers=$(
    processes_of "sshd*" "dropbear*" tinysshd tailscaled
    [ -S /var/lib/sss/pipes/nss ] && echo "0 sssd"
    grep -als "[[]listener] " /proc/[0-9]*/cmdline | tr -dc "0-9\n" | while read -r pid; do
        is_of_root "/proc/$pid" && echo "$pid sshd"
    done
)
sshd=sshd
main=
serves=
set -f
pids=$(say "$servers" | sed -n "s/ sshd$//p")
# shellcheck disable=SC2046,SC2086,SC3013 # words of command lines; every shell knows -ef
{
    for pid in $(
        { systemctl show -p MainPID --value ssh.service sshd.service; say "$pids"; } |
            grep -xF "$pids"
        say "$servers" | sed -n "s/ sshd-.*//p"
    ); do
        process=/proc/$pid
        # shellcheck disable=SC2015
        program=$(readlink "$process/exe") && line=$(tr "\0" " " <"$process/cmdline") &&
            { [ "$process/root" -ef / ] || [ "$process/ns/net" -ef /proc/1/ns/net ]; } || continue
        case $line in
            *"[listener]"*) ;;
            "" | sshd*": "* | *" -R "*) serves=yes; continue ;;
        esac
        take_arguments $line
        if [ -z "$main" ] && [ "$process/root" -ef / ]; then
            main=$program$arguments
            of_main=$arguments
            sshd=$process/exe
        elif [ "$program$arguments" != "$main" ]; then
            say "X another sshd runs: $program${arguments:- without arguments}"
        fi
    done 2>/dev/null
    if [ "$main" ]; then
        arguments=$of_main
    else
        [ "$serves" ] && say "X no sshd listens, and how those that serve were started is not known"
        take_arguments $(
            read_all /etc/default/ssh /etc/sysconfig/sshd |
                sed -n "s/^SSHD_OPTS=//p;s/^OPTIONS=//p" | tr -d "\"'"
        )
    fi
}
set +f

print_files() {
    # shellcheck disable=SC2086
    $sshd $arguments -T -ddd 2>&1 >/dev/null | tr -d "\r" |
        sed -n "s/.*load_server_config: filename //p" |
        while IFS= read -r file; do
            # shellcheck disable=SC2015
            stat -L -c "F %a %u %Y %n" "$file" && read_capped "$file" |
                awk '!/^[[:space:]]*(#|$)/ { print "| " NR " " $0 }' || not_whole "$file"
        done
}
# shellcheck disable=SC2034 # the sections after it use it
configuration=$(print_files)
