# What the sections of apt share: how apt is run, where it reads pins from, and whether anything is
# pinned.
# Sets: no_writes, options with which apt writes no log; ask, what stands before its commands; pins
# and folder, the file and the folder of pins; restricted, where there is a pin or a target
# release. It ends the section where apt is absent.
# shellcheck disable=SC2034,SC2154 # the sections after it use them; the inner script is a variable
release='' pins='' folder='' cache='' sources='' restricted=''
settings=$(apt-config shell release APT::Default-Release \
    pins Dir::Etc::preferences/f folder Dir::Etc::preferencesparts/d \
    cache Dir::Cache::pkgcache/f sources Dir::Cache::srcpkgcache/f) || exit
eval "$settings"

# Without its cache apt reads all indexes, which takes seconds; one that is out of date it writes
# anew. Who could write it lets apt see it in a mount namespace where its folder is read-only.
caches=${cache%/*}
in_read_only() { # COMMAND...
    unshare -m --propagation private sh -c "$apt_read_only" sh "$caches" "$@"
}
ask=
[ ! -w "$caches" ] || ask=in_read_only
no_writes='-o Debug::NoLocking=1 -o Dir::Log::Planner= -o Dir::Log::Solver='
if [ -n "$caches" ] && [ "$caches" = "${sources%/*}" ] && [ -s "$cache" ] &&
    ! ischroot 2>/dev/null && $ask true 2>/dev/null; then
    no_writes="$no_writes -o Dir::Cache::pkgcache=$cache"
    no_writes="$no_writes -o Dir::Cache::srcpkgcache=$sources"
else
    ask=
    no_writes="$no_writes -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
fi

[ -z "$release" ] || restricted=yes
for file in "$pins" "$folder"*; do
    [ ! -f "$file" ] || restricted=yes
done
if [ -d "$folder" ] && ! { [ -r "$folder" ] && [ -x "$folder" ]; }; then
    restricted=yes
fi
