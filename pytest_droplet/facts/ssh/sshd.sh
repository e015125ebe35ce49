# What sshd lets in, asked of itself by "sshd -T -C" for every kind of connection that its
# configuration tells apart.
# Prints: P and a process that may serve SSH; V and the version; N and the sources of accounts;
# A and the arguments of the running sshd; F and a file of the configuration, | and its lines;
# U NAME:UID:PASSWORD:KEYS:EXPIRES:SHELL:GROUPS, an account that may log in; C ADDRESS HOST
# LOCAL-ADDRESS PORT USER, a connection, followed by the options for it, by S (the same as for the
# first) or by E and the error; X and what is left out; and with two exclamation marks what could
# not be read.
# shellcheck disable=SC2154 # sshd_configuration.sh and the awk programs set the variables
# shellcheck disable=SC2046,SC2086,SC2254 # words are split, and patterns match
say "$servers" | sed -n "s/.* /P /p" | sort -u

command -v "$sshd" >/dev/null || exit 127
say "V $($sshd -V 2>&1 | grep -m1 OpenSSH_)"
print_sources "N passwd:"
say "A$arguments"
say "$configuration"

# From here on words are split, but stand for no files.
set -f
matches=$(say "$configuration" | awk "$match_values" | sort -u)
case $matches in
    *"~") ;;
    *) not_whole "what Match lines say" ;;
esac
matched() { # KEYWORD: prints the values that Match lines have for it
    say "$matches" | sed -n "s/^$1 //p"
}
ask() { # USER HOST ADDRESS LOCAL-ADDRESS PORT
    $sshd $arguments -T -C "user=$1,host=$2,addr=$3,laddr=$4,lport=$5" 2>&1
}
outside=203.0.113.1
options=$(ask pytest-droplet-nobody $outside $outside 127.0.0.1 22 | lower_keywords)
option() { # KEYWORD-PATTERN: prints its values
    say "$options" | sed -n "s/^$1 //p"
}

# The accounts that may log in: with uid 0, a password, or keys.
key_files=$(option authorizedkeysfile)
by_groups=$(option "[ad][a-z]*groups")$(matched group)

has_keys() { # USER HOME
    for path in $key_files; do
        case $path in
            none) continue ;;
            %h/*) path=$2/${path#%h/} ;;
            /*) ;;
            *) path=$2/$path ;;
        esac
        case $path in *%u*) path=${path%%%u*}$1${path#*%u} ;; esac
        [ -e "$path" ] || explain_absence "$path"
        [ -s "$path" ] && return
    done
    false
}

print_accounts() {
    all=
    while IFS=: read -r user uid password expires home shell; do
        [ "$user" ] || { all=yes; continue; }
        keys=
        has_keys "$user" "$home" && keys=keys
        [ "$uid" = 0 ] || [ "$password" != locked ] || [ "$keys" ] || continue
        groups=$([ "$by_groups" ] && id -Gn -- "$user" | tr " " ,)
        say "U $user:$uid:$password:$keys:$expires:$shell:$groups"
    done
    [ "$all" ] || not_whole "the list of accounts"
}

accounts=$(
    {
        shadow=$(read_capped /etc/shadow) && say "$shadow" | sed "s/^/S:/" &&
            entries=$(getent passwd) && say "$entries" | sed "s/^/P:/" && say Z:
    } | awk -F: "$login_accounts" | print_accounts
)
say "$accounts"

# Who is asked for: root, somebody who does not exist, those that Match lines name, a member of
# each group that they name, and every account that may log in.
print_members() {
    getent group | while IFS=: read -r group _ gid members; do
        for pattern in $(matched group); do
            case $group in $pattern)
                {
                    say "$members" | tr , "\n"
                    getent passwd | awk -F: -v gid="$gid" '$4 == gid { print $1 }'
                } | grep -m1 .
                ;;
            esac
        done
    done
}
unique() { # WORDS
    printf "%s\n" "$@" | awk 'NF && !seen[$0]++'
}
count() { # WORDS
    echo $#
}
named="root pytest-droplet-nobody $(matched user | sed "s/[*?]/x/g") $(print_members)"
users=$(unique $named $(say "$accounts" | sed -n "s/^U //;s/:.*//p"))

# The address that the login came from. sudo has it, and hands it on to nobody.
login_address() {
    pid=$$
    while [ "${pid:-0}" -gt 1 ]; do
        tr "\0" "\n" <"/proc/$pid/environ" | sed -n "s/^SSH_CONNECTION=\([^ ]*\) .*/\1/p"
        pid=$(sed -n "s/^PPid:[[:space:]]*//p" "/proc/$pid/status")
    done
} 2>/dev/null

# From where: outside, and where Match lines tell addresses apart, the auditor, the host, and what
# each line names, of both families. With names, where sshd looks them up.
print_own() { # FAMILY
    ip -o "$1" addr show scope global 2>/dev/null | awk '{ sub(/\/.*/, "", $4); print $4; exit }'
}
own=$(print_own -4)
own6=$(print_own -6)
local_addresses=$(unique "${own:-127.0.0.1}" "${own6:-::1}" $(matched localaddress))
addresses=$outside
hosts=-
case $matches in *address* | *host*)
    names=$(matched host)
    numbers="^[0-9.]+$|:"
    addresses=$(
        unique $outside 3fff::1 $own $own6 $(login_address) $(matched address) $(
            say "$names" | grep -E "$numbers"
        )
    )
    [ "$(option usedns)" != yes ] || hosts="- $(say "$names" | grep -vE "$numbers")"
    ;;
esac
ports=$(unique $(option listenaddress | sed "s/.*://") $(matched localport))

# Of each class of accounts that Match lines tell apart, one.
print_classes() {
    patterns=$(matched user)
    say "$accounts" | sed -n "s/^U //p" | while IFS=: read -r user _ _ _ _ _ class; do
        for pattern in $patterns; do
            case $user in $pattern) class=$class+ ;; *) class=$class- ;; esac
        done
        say "=$class $user"
    done | awk '!seen[$1]++ { print $2 }'
}
if [ -z "$ports" ]; then
    ports=22
    users=root
elif [ "$(($(count $users) * $(count $addresses) * $(count $hosts) * $(count $ports)))" \
    -gt 1000 ]; then
    users=$(unique $named $(print_classes))
fi

judged="use|pass|kbd|chall|pubkey|gssapiau|hostbasedauthe|permit[re]|auth|allow[ug]|deny|refuse"
judged="$judged|trusted"
asked=0
first=
for user in $users; do
    for address in $addresses; do
        for host in $hosts; do
            for own in $local_addresses; do
                for port in $ports; do
                    # Nobody comes by IPv4 to an address of IPv6.
                    case ${address##*:*}/${own##*:*} in
                        / | ?*/?*) ;;
                        *) continue ;;
                    esac
                    asked=$((asked + 1))
                    if [ "$asked" -gt 1000 ]; then
                        say "X more than 1000 connections are to be asked for"
                        break 5
                    fi
                    name=$host
                    [ "$name" != - ] || name=$address
                    say "C $address $name $own $port $user"
                    if ! answer=$(ask "$user" "$name" "$address" "$own" "$port"); then
                        say E $answer
                    elif [ "$answer" = "$first" ]; then
                        say S
                    else
                        wanted=$judged
                        if [ -z "$first" ]; then
                            first=$answer
                            wanted="$wanted|port|ciphers|macs|kex|hostkeyal|casig"
                        fi
                        say "$answer" | lower_keywords | grep -E "^($wanted)"
                    fi
                done
            done
        done
    done
done
