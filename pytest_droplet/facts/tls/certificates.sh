# The certificate and key files that nginx and Apache are configured with. Of a certificate file
# its first certificate leaves the host, of a key file only its place, owner and mode: keys are
# not read but to see that there is one.
# Prints: cert FILE or key FILE; then missing, unread, or stat MODE OWNER GROUP MTIME; holds-key;
# the certificate; parent MODE OWNER GROUP FOLDER for each folder above a key; at last end.

print_configured() {
    for folder in /etc/nginx /usr/local/nginx/conf /usr/local/openresty/nginx/conf \
        /opt/nginx/conf /etc/apache2 /etc/httpd; do
        # Which of the files is too long to be read the sections nginx and apache tell.
        # shellcheck disable=SC2154 # the prelude sets it
        find -L "$folder" -type f -size "$short" -exec cat {} + 2>/dev/null |
            grep -av '^[[:space:]]*#' | tr -d '"\047\r' | tr '{;}' '[\n*]' | sed -nE \
            -e '/[$]|data:|engine:/d' \
            -e 's|.*ssl_?certificate(file)?[[:space:]]+([^#[:space:]]+).*|cert \2|Ip' \
            -e 's|.*ssl_?certificate_?key(file)?[[:space:]]+([^#[:space:]]+).*|key \2|Ip' |
            sed "s|^\([a-z]*\) \([^/]\)|\1 $folder/\2|"
    done | sort -u
}

print_parents() { # FILE: of the path as it is written, and of the file that it leads to
    for path in "$1" "$(readlink -f "$1")"; do
        while path=${path%/*}; [ -n "$path" ]; do
            stat -L -c 'parent %a %U %G %n' "$path"
        done
    done | sort -u
}

print_configured | while read -r kind file; do
    echo "$kind $file"
    if [ ! -e "$file" ] && explain_absence "$file"; then
        echo missing
        continue
    fi
    contents=$(read_capped "$file") || { echo unread; continue; }
    stat -L -c 'stat %a %U %G %Y' "$file"
    case $contents in *'PRIVATE KEY-----'*) echo holds-key ;; esac
    if [ "$kind" = cert ]; then
        printf '%s\n' "$contents" |
            sed -n '/^-----BEGIN \(TRUSTED \)*CERTIFICATE-----/,/^-----END/p' |
            sed '/^-----END/q'
    else
        print_parents "$file"
    fi
done
echo end
