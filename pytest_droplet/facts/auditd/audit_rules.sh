# The files that audit rules are loaded from, and the numbers of the names in them.
# Prints: F MODE UID FILE, then | NUMBER LINE; !! WHAT was not read to its end; U and G with the
# entries of passwd and group for names that rules have.
cd /etc/audit || exit 1
folder=/etc/audit/rules.d
compiled=/etc/audit/audit.rules

print_rules() { # FILE
    stat -L -c 'F %a %u %n' "$1" || not_whole "$1"
    read_capped "$1" | awk '{ print "| " NR " " $0 }' || not_whole "$1"
}

# In the order in which augenrules joins them: that of versions.
names=
if [ -d "$folder" ] || ! explain_absence "$folder"; then
    names=$(ls -1v "$folder") || not_whole "$folder"
fi
rules=$(
    printf '%s\n' "$names" | while read -r name; do
        case $name in *.rules) print_rules "$folder/$name" ;; esac
    done
    if [ -e "$compiled" ] || ! explain_absence "$compiled"; then
        print_rules "$compiled"
    fi
)
printf '%s\n' "$rules"

printf '%s\n' "$rules" | grep -oE '[ug]id(!?=|[<>]=?)[A-Za-z_][A-Za-z0-9_.-]*' |
    sed 's/.*[<>=]//' | sort -u | while read -r name; do
    getent passwd -- "$name" | sed 's/^/U /'
    getent group -- "$name" | sed 's/^/G /'
done
:
