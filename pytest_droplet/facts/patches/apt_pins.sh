# What the sections of apt share: where it reads pins from, and whether anything is pinned.
# Sets: no_writes, the options with which apt writes neither caches nor logs; pins and folder, the
# file and the folder of pins; restricted, where there is a pin or a target release. It ends the
# section where apt is absent.
# shellcheck disable=SC2034 # the sections after it use them
no_writes='-o Debug::NoLocking=1 -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache='
no_writes="$no_writes -o Dir::Log::Planner= -o Dir::Log::Solver="
release='' pins='' folder='' restricted=''
settings=$(apt-config shell release APT::Default-Release \
    pins Dir::Etc::preferences/f folder Dir::Etc::preferencesparts/d) || exit
eval "$settings"

[ -z "$release" ] || restricted=yes
for file in "$pins" "$folder"*; do
    [ ! -f "$file" ] || restricted=yes
done
if [ -d "$folder" ] && ! { [ -r "$folder" ] && [ -x "$folder" ]; }; then
    restricted=yes
fi
