# When apt updated its indexes, and what the indexes say of themselves.
# Prints: == stamps and SECONDS FILE; == FILE and its fields for each index; !! FILE not read.
{ cd /var/lib/apt/lists && ls >/dev/null; } || exit 1
echo '== stamps'
stat -c '%Y %n' /var/lib/apt/lists/partial /var/lib/apt/periodic/update-*stamp 2>/dev/null
for file in *_InRelease *_Release; do
    [ -f "$file" ] || continue
    echo "== $file"
    grep -E '^(Date|Valid-Until|Suite|Codename|Label|Origin):' "$file"
    must_have_searched $? "$file"
done
:
