# The repositories of dnf, and when their metadata were had.
# Prints: SECONDS FILE of the cached metadata; == FILE and the lines that name repositories and
# where they are, then those of dnf's own files that decide which, and values of variables; and
# with !! WHAT was not read. Logins in addresses stay on the host.
# shellcheck disable=SC2154 # the prelude sets heads
for cache in /var/cache/dnf /var/cache/libdnf5; do
    [ -d "$cache" ] || continue
    ls "$cache" >/dev/null || not_whole "$cache"
    stat -c '%Y %n' "$cache"/*/repodata/* 2>/dev/null
    # 1: there are none.
    [ $? -lt 2 ] || not_whole "$cache"
done

read_all /etc/yum.repos.d/*.repo /etc/yum/repos.d/*.repo /etc/distro.repos.d/*.repo \
    /usr/share/dnf5/repos.override.d/*.repo /etc/dnf/repos.override.d/*.repo |
    sed -nE -e "$heads" -e 's#//[^/@[:space:]]*@#//#g' -e '/^\[/p' \
        -e '/^[[:space:]]*(enabled|baseurl|mirrorlist|metalink)[[:space:]]*[=:]/p' \
        -e '/^[[:space:]]+[a-z]+:\/\//p' || not_whole /etc/yum.repos.d

decisive='reposdir|varsdir|installroot|arch|basearch|forcearch|optional_metadata_types'
read_all /etc/dnf/dnf.conf /usr/share/dnf5/libdnf.conf.d/*.conf /etc/dnf/libdnf5.conf.d/*.conf \
    /etc/dnf/vars/* /etc/yum/vars/* |
    sed -nE -e "$heads" -e '/[=#[]/!p' -e "/^[[:space:]]*($decisive)[[:space:]]*[=:]/p" ||
    not_whole /etc/dnf
:
