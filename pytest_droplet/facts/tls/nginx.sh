# The configuration of nginx, from the files that it includes ("nginx -T" would write).
# Prints: absent, or its version; conf FILE for each that is in use; then for each file what
# nginx_statements.awk prints; -- FILE where there is no such file that can be read; !! FILES not
# read to their end; end.
# shellcheck disable=SC2154 # nginx_statements is the awk program
for program in nginx /usr/local/nginx/sbin/nginx /usr/local/openresty/nginx/sbin/nginx \
    /opt/nginx/sbin/nginx; do
    nginx=$(command -v "$program") && break
done
[ -n "$nginx" ] || { echo absent; exit 0; }
built=$("$nginx" -V 2>&1) || { echo "$built"; exit 1; }
echo "$built" | sed -n '/^nginx version/p'

built_with() { # NAME: prints what the argument --NAME of its build was
    echo "$built" | sed -n "s/.* --$1=\([^ ]*\).*/\1/p"
}

prefix=$(built_with prefix)
conf=$(built_with conf-path)
prefix=${prefix:-/usr/local/nginx}
conf=${conf:-conf/nginx.conf}
case $conf in /*) ;; *) conf=$prefix/$conf ;; esac

# A master that runs says with which arguments.
confs=$(
    run_as nginx openresty |
        sed -n "s/.* -c *\(\/[^ ]*\).*/\1/p;t;s/.* -[cp].*/-c/p;t;s|.*|$conf|p" | sort -u
)

# The files of one depth of includes are read together; those that they include come next.
# Patterns of included files become the files here, where the shell splits words.
# shellcheck disable=SC2086,SC2013
{
    seen=' '
    for conf in ${confs:-$conf}; do
        echo "conf $conf"
        folder=${conf%/*}
        wanted=$conf
        while [ -n "$wanted" ]; do
            files=
            for file in $wanted; do
                case "$seen" in *" $file "*) continue ;; esac
                seen="$seen$file "
                if [ -f "$file" ] && [ -r "$file" ]; then
                    files="$files $file"
                else
                    [ -e "$file" ] || explain_absence "$file"
                    echo "-- $file"
                fi
            done
            wanted=
            [ -n "$files" ] || break
            told=$(read_all $files | awk "$nginx_statements") || not_whole "$files"
            printf '%s\n' "$told"
            for included in $(
                printf '%s\n' "$told" | sed -n 's/^[0-9]* include \(.*\);$/\1/p' |
                    tr -d '\047\042'
            ); do
                case $included in
                    /*) wanted="$wanted $included" ;;
                    *) wanted="$wanted $folder/$included" ;;
                esac
            done
        done
    done
}
echo end
