# Which keys may log in: the lines of every file that sshd reads for them, and of files of that
# name that it does not read.
# Prints: nss SOURCES of accounts, and sssd where it runs; sshd KEYWORD VALUE and conf
# FILE:NUMBER:LINE of what says where keys come from; match authorizedkeysfile PATTERN; look and all
# patterns, where they are known; file:USERS:LETTER:MODE:OWNER::FILE, then its lines as
# NUMBER:LINE; hidden:NUMBER; !! FILE where one was not read; end:NUMBER of
# accounts; changed FILE. LETTER is that of key_paths.awk.
# shellcheck disable=SC2154 # sshd_configuration.sh and the awk programs set the variables
# shellcheck disable=SC2086 # words are split
print_sources "nss "
say "$servers" | sed -n "s/.* sssd$/sssd/p"
told=$(
    $sshd $arguments -T 2>/dev/null | lower_keywords |
        sed -nE "/^(authorized(keys|principals)|trustedusercakeys)/s/^/sshd /p"
    say "$configuration" | awk "$key_settings"
) || configuration=
say "$told"
patterns=$(
    say "$told" | awk '
$2 == "authorizedkeysfile" { for (i = 3; i <= NF; i++) printf "%s%s ", substr($1, 1, 1), $i }'
)"d.ssh/authorized_keys d.ssh/authorized_keys2"
[ -z "$configuration" ] || echo "look $patterns"

# Files that patterns with the name of a user may stand for, whether or not there is such a user.
print_strays() {
    for file in /root/.ssh/authorized_keys* /home/*/.ssh/authorized_keys* $(
        printf "%s\n" $patterns | sed -n 's/^.\//\//;/^\/.*%[uU]/s/%[uU]/*/gp'
    ); do
        [ -e "$file" ] && case "$file" in
            *[!-A-Za-z0-9._/@+]*) ;;
            *) echo "x:$file" ;;
        esac
    done
}

# What tells on descriptor 7 whether somebody moved the file, and whether one that is not found is
# absent: itself, and the folder above it that is there.
# shellcheck disable=SC2094 # nothing is written
print_file() { # USERS LETTER FILE
    above=/$3
    until [ -d "$above/" ]; do
        above=${above%/*}
    done
    above=${above#/}
    printf "%s\n" "${above:-/}" "$3" >&7
    [ -e "$3" ] || [ -L "$3" ] || return
    # shellcheck disable=SC2015
    [ -f "$3" ] && {
        is_regular /dev/stdin -size "$short" -printf %m:%u: &&
            echo "file:$1:$2:${kind%:*}:$3" && { grep -an "" || [ $? = 1 ]; }
    } <"$3" || not_whole "$3"
}

# What changed since the login began, in the homes of people and in .ssh of all, as a link and as
# what it leads to; and what could not be looked up, though it may be there.
# shellcheck disable=SC2016 # another shell has them
changed='for of in P L; do find -$of "$@" -maxdepth 0 -newerct "@${began:-9999999999}" \
\( -uid +999 -o -path "*/.ssh*" \) -printf "changed %p\n" || [ $? = 1 ] || echo "!! changes"; done \
2>&1 | sed "/: No.* directory$/d;s/^find: .\(.*\).: .*/!! \1/"'
{
    {
        all=Z
        entries=$(getent passwd) || entries=$(read_capped /etc/passwd) || all=
        printf "%s\n" "$entries" | sed "s/^/p:/" || all=
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
    done 7>&1 >&6 | sort -u | xargs -rd "\n" sh -c "$changed" sh || not_whole changes
} 6>&1 | tr "\000\001" "\001\002" | awk "$key_lines"
