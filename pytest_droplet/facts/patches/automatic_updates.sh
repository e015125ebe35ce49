# What would install updates by itself.
# Prints: with apt, package STATUS of unattended-upgrades, and apt's settings for it; with dnf,
# == FILE and its lines. !! WHAT was not read to its end.
if uses_apt; then
    dpkg-query -W -f='package ${db:Status-Abbrev}\n' unattended-upgrades 2>/dev/null
    settings=$(apt-config dump) || not_whole 'apt-config dump'
    printf '%s\n' "$settings" | grep -iE '^(APT::Periodic|Unattended-Upgrade)::'
    must_have_searched $? 'apt-config dump'
else
    # shellcheck disable=SC2154 # the prelude sets heads
    read_all /usr/share/dnf5/dnf5-plugins/automatic.conf /etc/dnf/automatic.conf |
        sed -nE -e "$heads" \
            -e '/^\[|^(apply_updates|upgrade_type)[[:space:]]*=/p' ||
        not_whole automatic.conf
fi
:
