# What apt is told to prefer and to leave alone.
# Prints: == settings, those that decide, foreign ARCHITECTURE, dpkg ARCHITECTURE and the places
# of apt's files; == pins FILE and its lines after "|"; !! WHAT was not read. With anything
# pinned, == policy and the priorities of the indexes; with a package pinned, == installed and
# PACKAGE SOURCE; at last == end. Logins in addresses stay on the host.
# shellcheck disable=SC2154,SC2086 # apt_pins.sh sets the variables; no_writes is several words
own='APT::(Architecture(s(::)?)?|Default-Release|Solver)'
acquire='Acquire::(Allow(Insecure|Weak|DowngradeToInsecure)Repositories'
acquire="$acquire|IndexTargets::deb::Packages::((flat)?MetaKey|DefaultEnabled))"
binary='Binary::[^:]+::(RootDir|Dir|Acquire::(Allow|IndexTargets)'
binary="$binary|APT::(Architecture|Default-Release|Solver)).*"
echo '== settings'
settings=$(apt-config dump) || exit
printf '%s\n' "$settings" | grep -iE "^($own|$acquire|$binary) " || exit
dpkg --print-foreign-architectures | sed 's/^/foreign /'
echo "dpkg $(dpkg --print-architecture)"
places=$(apt-config shell lists Dir::State::lists/d status Dir::State::status/f \
    list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d pins Dir::Etc::preferences/f) &&
    printf '%s\n' "$places" || exit

ls "$folder" >/dev/null || explain_absence "$folder"
names_a_package=
for file in "$pins" "$folder"*; do
    [ -f "$file" ] || continue
    echo "== pins $file"
    { sed 's/^/|/' "$file" && echo; } || not_whole "$file"
    if grep -i '^package[[:space:]]*:' "$file" |
        grep -qv '^[^:]*:[[:space:]]*[*][[:space:]]*$'; then
        names_a_package=yes
    fi
done

if [ -n "$restricted" ]; then
    echo '== policy'
    policy=$($ask apt-cache $no_writes policy) || exit
    printf '%s\n' "$policy" |
        sed -e '/^Pinned packages:/,$d' -e 's#//[^/@[:space:]]*@#//#g'
fi
if [ -n "$names_a_package" ]; then
    echo '== installed'
    packages=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${source:Package}\n') || exit
    printf '%s\n' "$packages" | sed -n 's/^.i.* \([^ ]* [^ ]*\)$/\1/p'
fi
echo '== end'
