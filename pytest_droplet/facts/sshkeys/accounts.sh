# All accounts of the host, with the class of their passwords.
# Prints: nss SOURCES of accounts; uid-min NUMBER; then what account_states.awk prints.
# shellcheck disable=SC2154 # account_states is the awk program
sources=$(sed -n 's/^passwd://p' /etc/nsswitch.conf 2>/dev/null)
echo "nss $sources"
uid_min=$(
    sed -n 's/^UID_MIN[[:space:]]*//p' /etc/login.defs /usr/etc/login.defs 2>/dev/null |
        sed -n 1p
)
echo "uid-min $uid_min"
{
    sed 's/^/S:/' /etc/shadow && { entries=$(getent passwd) || entries=$(cat /etc/passwd); } &&
        printf '%s\n' "$entries" | sed 's/^/P:/' && echo Z
} | awk -F: "$account_states"
