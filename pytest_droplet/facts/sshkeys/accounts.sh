# All accounts of the host, with the class of their passwords.
# Prints: nss SOURCES of accounts; uid-min NUMBER; then what account_states.awk prints.
# shellcheck disable=SC2154 # account_states is the awk program
sources=$(read_all /etc/nsswitch.conf | sed -n 's/^passwd://p')
echo "nss $sources"
uid_min=$(
    read_all /etc/login.defs /usr/etc/login.defs | sed -n 's/^UID_MIN[[:space:]]*//p' |
        sed -n 1p
)
echo "uid-min $uid_min"
{
    shadow=$(read_capped /etc/shadow) && printf '%s\n' "$shadow" | sed 's/^/S:/' &&
        { entries=$(getent passwd) || entries=$(read_capped /etc/passwd); } &&
        printf '%s\n' "$entries" | sed 's/^/P:/' && echo Z
} | awk -F: "$account_states"
