# The virtual hosts of Apache, and the directives of its configuration that TLS depends on.
# Prints: absent, or version VERSION; arguments ARGUMENTS of the server that runs, a line for each,
# or those that it would be started with; refused, where it cannot start; what the server says of
# its virtual hosts, files and modules; what apache_directives.awk prints; !! WHAT was not read to
# its end; end.
# shellcheck disable=SC2154 # apache_directives is the awk program; the rest may be in envvars
apache=$(command -v apache2 || command -v httpd) || { echo absent; exit 0; }
version=$("$apache" -v 2>&1) || { not_whole "$apache -v"; exit 0; }
version=$(echo "$version" | grep '^Server version: Apache') || { echo absent; exit 0; }
echo "version ${version#*: }"

# It is started by hand, not by apache2ctl, which makes folders. A server that never ran has no
# run folder yet, so /run stands in for it; with a name for the main server, which its own
# configuration overrides, it asks no DNS for one.
for file in /etc/apache2/envvars /etc/sysconfig/httpd; do
    # shellcheck disable=SC1090
    [ ! -r "$file" ] || . "$file"
done
[ -z "$APACHE_RUN_DIR" ] || APACHE_RUN_DIR=/run
# One that runs has its arguments, and so has every process of it.
arguments=$(run_as apache2 httpd | sed 's/^[^ ]*//;s/ -k *[a-z-]*//' | sort -u)
arguments=${arguments:-$APACHE_ARGUMENTS $OPTIONS}
echo "arguments $arguments"
# shellcheck disable=SC2086 # it is several words
told=$("$apache" -C 'ServerName localhost' -t -D DUMP_VHOSTS -D DUMP_INCLUDES -D DUMP_MODULES \
    $arguments 2>&1) || echo refused
printf '%s\n' "$told"

# shellcheck disable=SC2046 # a file a line
read_all $(printf '%s\n' "$told" | sed -n 's/^ *([0-9*]*) \(\/.*\)/\1/p' | sort -u) |
    awk "$apache_directives" || not_whole 'the configuration'
echo end
