# Which keys may log in: the lines of every file that sshd reads for them, and of files of that
# name that it does not read.
# Prints: nss SOURCES of accounts, and sssd where it runs; sshd KEYWORD VALUE and conf
# FILE:NUMBER:LINE of what says where keys come from; match PATTERN; look and all patterns, where
# they are known; file:USERS:LETTER:MODE:OWNER:MTIME:FILE, then its lines as NUMBER:LINE and an
# empty line; hidden:NUMBER; !! FILE where one was not read; end:NUMBER of accounts. LETTER is
# that of key_paths.awk.
# shellcheck disable=SC2154 # sshd_configuration.sh and the awk programs set the variables
read_all /etc/nsswitch.conf | sed -n 's/^passwd:/nss /p'
say "$servers" | sed -n 's/.* sssd$/sssd/p'
# shellcheck disable=SC2086
settings=$(
    $sshd $arguments -T 2>/dev/null | lower_keywords |
        grep -E '^(authorized(keys|principals)|trustedusercakeys)'
)
[ -z "$settings" ] || say "$settings" | sed 's/^/sshd /'
written=$(say "$configuration" | awk "$key_settings") || configuration=
say "$written"

patterns=
for pattern in $(say "$settings" | sed -n 's/^authorizedkeysfile //p'); do
    patterns="$patterns s$pattern"
done
for pattern in $(say "$written" | sed -n 's/^match //p'); do
    patterns="$patterns m$pattern"
done
patterns="$patterns d.ssh/authorized_keys d.ssh/authorized_keys2"
[ -z "$configuration" ] || echo "look$patterns"

# Files that patterns with the name of a user may stand for, whether or not there is such a user.
print_strays() {
    for home in /home/*; do
        [ -x "$home/.ssh" ] || explain_absence "$home/.ssh/."
    done
    for file in /root/.ssh/authorized_keys* /home/*/.ssh/authorized_keys* $(
        for pattern in $patterns; do
            printf '%s\n' "${pattern#?}"
        done | sed -n '/^\/.*%[uU]/s/%[uU]/*/gp'
    ); do
        [ -e "$file" ] || continue
        case "$file" in
            *[!-A-Za-z0-9._/@+]*) ;;
            *) echo "x:$file" ;;
        esac
    done
}

print_file() { # USERS LETTER FILE
    if [ ! -e "$3" ]; then
        explain_absence "$3"
        return
    fi
    echo "file:$1:$2:$(stat -L -c %a:%U:%Y "$3"):$3"
    read_capped "$3" | grep -an ''
    must_have_searched $? "$3"
    echo
}

{
    all=Z
    entries=$(getent passwd) || entries=$(read_capped /etc/passwd) || all=
    printf '%s\n' "$entries" | sed 's/^/p:/' || all=
    print_strays
    echo "$all"
} | awk -F: -v patterns="$patterns" "$key_paths" | while IFS= read -r line; do
    case "$line" in
        *:*:*) ;;
        *) echo "$line"; continue ;;
    esac
    # A file that is named by a pattern of the shell: it is split nowhere.
    IFS=
    users=${line%%:*}
    line=${line#*:}
    for file in ${line#*:}; do
        print_file "$users" "${line%%:*}" "$file"
    done
done 6>&1 | tr '\000\001' '\001\002' | awk "$key_lines"
