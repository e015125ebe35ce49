# What sshd lets in, asked of itself by "sshd -T -C" for every kind of connection that its
# configuration tells apart. sshd -G (OpenSSH 9.3 and later) needs no host keys.
# Prints: P and a process that may serve SSH; V and the version; N and the sources of accounts;
# A and the arguments of the running sshd; F and a file of the configuration, | and its lines;
# M and values that Match lines ask for; U NAME:UID:PASSWORD:KEYS:EXPIRES:SHELL:GROUPS, an account
# that may log in; C ADDRESS HOST LOCAL-ADDRESS PORT USER, a connection, followed by the options
# for it, by S (the same as for the first) or by E and the error; X and what is left out; and with
# two exclamation marks what could not be read.
# shellcheck disable=SC2154 # sshd_configuration.sh and the awk programs set the variables
say "$servers" | sed -n 's/.* /P /p' | sort -u

command -v sshd >/dev/null || exit 127
say "V $(sshd -V 2>&1 | grep -m1 OpenSSH_)"
read_all /etc/nsswitch.conf | sed -n 's/^passwd:/N &/p' || not_whole /etc/nsswitch.conf
say "A$arguments"
say "$configuration"

# From here on words are split, but stand for no files.
set -f
# shellcheck disable=SC2086
ask() { # OPTION CONNECTION
    sshd $arguments "$1" -C "$2"
}
outside=203.0.113.1
x=user=pytest-droplet-nobody,host=$outside,addr=$outside,laddr=127.0.0.1,lport=22
options=$({ ask -T "$x" || ask -G "$x"; } 2>/dev/null | lower_keywords)
option() { # KEYWORD-PATTERN: prints its values
    say "$options" | sed -n "s/^$1 //p"
}

matches=$(say "$configuration" | awk "$match_values" | sort -u)
case $matches in
    '~') matches= ;;
    *'~') matches=${matches%?"~"} ;;
    *) say 'X the Match lines could not be read to their end' ;;
esac
matched() { # KEYWORD: prints the values that Match lines have for it
    say "$matches" | sed -n "s/^$1 //p"
}
[ "$matches" ] && say "$matches" | sed 's/^/M /'

# The accounts that may log in: with uid 0, a password, or keys.
key_files=$(option authorizedkeysfile)
by_groups=$(option '[ad][a-z]*groups')

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
        groups=$([ "$by_groups" ] && id -Gn -- "$user" | tr ' ' ,)
        say "U $user:$uid:$password:$keys:$expires:$shell:$groups"
    done
    [ "$all" ] || say 'X the accounts could not be listed to their end'
}

accounts=$(
    {
        shadow=$(read_capped /etc/shadow) && say "$shadow" | sed 's/^/S:/' &&
            entries=$(getent passwd) && say "$entries" | sed 's/^/P:/' && say Z:
    } | awk -F: "$login_accounts" | print_accounts
)
say "$accounts"

# Who is asked for: root, somebody who does not exist, those that Match lines name, a member of
# each group that they name, and every account that may log in.
print_members() {
    for group in $(matched group); do
        getent group -- "$group" | while IFS=: read -r _ _ gid members; do
            {
                say "$members" | tr , '\n'
                getent passwd | awk -F: -v gid="$gid" '$4 == gid { print $1 }'
            } | grep -m1 .
        done
    done
}
users='root pytest-droplet-nobody'
for user in $(matched user) $(print_members) $(say "$accounts" | sed -n 's/^U //;s/:.*//p'); do
    case " $users " in
        *" $user "*) ;;
        *) users="$users $user" ;;
    esac
done

# The address that the login came from. sudo has it, and hands it on to nobody.
login_address() {
    pid=$$
    while [ "${pid:-0}" -gt 1 ]; do
        found=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=\([^ ]*\) .*/\1/p')
        [ -z "$found" ] || break
        pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
    done
    say "$found"
} 2>/dev/null

# From where: outside, and where Match lines tell addresses apart, the auditor, a private address
# of the host and an address of each line. With names, where sshd looks them up.
own_addresses=$(
    ip -o -4 addr show scope global 2>/dev/null | awk '{ sub(/\/.*/, "", $4); print $4 }'
)
local_addresses=$(say "$own_addresses" | head -n1)
local_addresses="${local_addresses:-127.0.0.1} $(matched localaddress)"
addresses=$outside
hosts=-
case $matches in *address* | *host*)
    private=$(say "$own_addresses" | grep -m1 -E '^(10|192\.168|172\.(1[6-9]|2[0-9]|3[01]))\.')
    addresses="$addresses $(login_address) $private $(matched address)"
    names=$(matched host)
    if [ "$(option usedns)" = yes ]; then
        hosts="- $names"
    else
        addresses="$addresses $(say "$names" | grep -E '^[0-9a-f:.]+$')"
    fi
    ;;
esac
ports="$(option port | head -n1) $(matched localport)"
[ "$options" ] || ports=22

judged='use|pass|kbd|chall|pubkey|gssapiau|hostbasedauthe|permit[re]|auth|allow[ug]|deny|refuse'
judged="$judged|trusted"
asked=0
first=
for user in $users; do
    for address in $addresses; do
        for host in $hosts; do
            for own in $local_addresses; do
                for port in $ports; do
                    asked=$((asked + 1))
                    if [ "$asked" -gt 1000 ]; then
                        say 'X there are more than 1000 connections to ask for'
                        break 5
                    fi
                    case $user in *,*)
                        say "X $user has a comma in its name"
                        break 4
                        ;;
                    esac
                    name=$host
                    [ "$name" != - ] || name=$address
                    say "C $address $name $own $port $user"
                    x="user=$user,host=$name,addr=$address,laddr=$own,lport=$port"
                    case "$user $matches" in
                        pytest-droplet-nobody*invalid-user*) x=$x,invalid-user ;;
                    esac
                    if answer=$(ask -T "$x" 2>&1) ||
                        { error=$answer; answer=$(ask -G "$x" 2>&1); }; then
                        if [ "$answer" = "$first" ]; then
                            say S
                        else
                            wanted=$judged
                            if [ -z "$first" ]; then
                                first=$answer
                                wanted="$wanted|port|ciphers|macs|kex|hostkeyal|casig"
                            fi
                            say "$answer" | lower_keywords | grep -E "^($wanted)"
                        fi
                    else
                        say "E $(say "$error" | tail -n1)"
                    fi
                done
            done
        done
    done
done
