# What apt-get would install now, and what is newer but left out.
# Prints: the simulated upgrade without its lines Conf; ==upgradable and the list of apt without
# pins, target release and phases, where anything may be left out. Ends with the status of apt.
# shellcheck disable=SC2154,SC2086 # apt_pins.sh sets the variables; both are several words
upgrade=$($ask apt-get -s $no_writes -o APT::Get::Show-User-Simulation-Note=0 dist-upgrade)
status=$?
printf '%s\n' "$upgrade" | sed '/^Conf /d'
[ "$status" = 0 ] || exit "$status"

says() { # GREP-OPTION PATTERN
    printf '%s\n' "$upgrade" | grep "$1" "$2"
}

# Nothing is left out where nothing is pinned and held back, and where a security update would be
# seen: either nothing is to be upgraded at all, or one is among what is.
if [ -n "$restricted" ] || ! says -q ' and 0 not upgraded' ||
    ! says -Eq '^0 upgraded, 0 newly|^Inst .*-security[ ,]'; then
    echo '==upgradable'
    upgradable=$(
        $ask apt $no_writes \
            -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
            -o APT::Default-Release= -o APT::Get::Always-Include-Phased-Updates=1 \
            list --upgradable -a
    ) || status=$?
    printf '%s\n' "$upgradable" | grep -E -e '-security|upgradable from' || :
fi
exit "$status"
