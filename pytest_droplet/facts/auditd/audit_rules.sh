# The files that audit rules are loaded from, and the numbers of the names in them.
# Prints: F MODE UID FILE, then | NUMBER LINE; !! WHAT was not read to its end; U and G with the
# entries of passwd and group for names that rules have; D PATH for each of rules that is
# a folder, N PATH for one in a folder that is absent.
cd /etc/audit || exit 1
folder=/etc/audit/rules.d
compiled=/etc/audit/audit.rules

# In the order in which augenrules joins them: that of versions.
names=
[ ! -d "$folder" ] && explain_absence "$folder" ||
    names=$(ls -1v "$folder") || not_whole "$folder"
rules=$(
    {
        printf '%s\n' "$names" | sed -n "s|.*[.]rules\$|$folder/&|p"
        [ ! -e "$compiled" ] && explain_absence "$compiled" || echo "$compiled"
    } | while read -r file; do
        stat -L -c 'F %a %u %n' "$file" || not_whole "$file"
        read_capped "$file" | awk '{ print "| " NR " " $0 }' || not_whole "$file"
    done
)
printf '%s\n' "$rules"

# The kernel needs the folder of a path, and takes a folder for something else than a file.
printf '%s\n' "$rules" | grep -oE '([ug]id[!<>=]+|-w *|path=|dir=)[A-Za-z_/][^ ]*' | sort -u |
    while read -r word; do
        path=/${word#*/}
        name=${word##*[<>=]}
        case $word in
            */*)
                [ -d "$path" ] && echo "D $path"
                [ -e "${path%/*}/" ] || echo "N $path"
                ;;
            *)
                getent passwd -- "$name" | sed 's/^/U /'
                getent group -- "$name" | sed 's/^/G /'
                ;;
        esac
    done
:
