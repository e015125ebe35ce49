# What renews certificates: the timers and cron jobs that call an ACME client, and Certbot's
# certificates. Neither command lines nor scripts leave the host, as they may hold secrets.
# crontab(1) writes to its log: its files are read.
# Prints: systemd, where it runs; cron-runs; timers and Name=value of each; service UNIT CLIENT;
# cron daily|rare live|guarded CLIENT FILE, guarded being a job that leaves the work to systemd;
# lineage NAME BEFORE-EXPIRY; end.

# The client that a command line calls, itself or in a script that it names.
client_of() { # COMMAND-LINE
    {
        printf '%s\n' "$1"
        for word in $1; do
            case $word in /*) [ ! -f "$word" ] || head -c 65536 "$word" ;; esac
        done
    } 2>/dev/null |
        grep -aoE '(^|[^a-z])(certbot|acme\.sh|lego|dehydrated|uacme|getssl)([^a-z]|$)' |
        sed -n '1{s/^[^a-z]//;s/[^a-z]$//;p;}'
}

print_job() { # HOW-OFTEN GUARD COMMAND-LINE FILE
    client=$(client_of "$3")
    [ -z "$client" ] || echo "cron $1 $2 $client $4"
}

# Words are split, but stand for no files, unless that is asked for.
set -f
systemd=
if [ -d /run/systemd/system ]; then
    systemd=yes
    echo systemd
fi
# shellcheck disable=SC2046
grep -qsxE 'crond?' $(set +f; echo /proc/[0-9]*/comm) && echo cron-runs

properties=Id,Unit,ActiveState,UnitFileState,NextElapseUSecRealtime,LastTriggerUSec
timers=$(TZ=UTC systemctl show -p "$properties" '*.timer' 2>/dev/null) && {
    echo timers
    printf '%s\n' "$timers"
    echo
}
for unit in $(printf '%s\n' "$timers" | sed -n 's/^Unit=//p' | sort -u); do
    command=$(
        systemctl show -p ExecStart --value "$unit" | sed 's/;.*argv\[\]=/ /;s/;.*//'
    )
    client=$(client_of "$command")
    [ -z "$client" ] || echo "service $unit $client"
done

set +f
for file in /etc/crontab /etc/cron.d/* /etc/cron.hourly/* /etc/cron.daily/* \
    /etc/cron.weekly/* /etc/cron.monthly/* /var/spool/cron/* /var/spool/cron/crontabs/*; do
    [ -f "$file" ] || continue
    set -f
    guard=live
    if [ -n "$systemd" ]; then
        grep -q /run/systemd/system "$file"
        [ $? = 1 ] || guard=guarded
    fi
    case $file in
        */cron.hourly/* | */cron.daily/*) print_job daily "$guard" "$file" "$file" ;;
        */cron.weekly/* | */cron.monthly/*) print_job rare "$guard" "$file" "$file" ;;
        *)
            grep -vE '^[[:space:]]*(#|$|[A-Za-z_]+[[:space:]]*=)' "$file" |
                while read -r line; do
                    # shellcheck disable=SC2086 # minute, hour, day, month, day of the week
                    set -- $line
                    case "$1 $3 $4 $5" in
                        @hourly* | @daily* | @midnight* | *' * * *') often=daily ;;
                        *) often=rare ;;
                    esac
                    print_job "$often" "$guard" "$line" "$file"
                done
            ;;
    esac
    set +f
done

for file in /etc/letsencrypt/renewal/*.conf; do
    [ -f "$file" ] || continue
    before=$(sed -n 's/^renew_before_expiry *= *//p' "$file")
    name=${file##*/}
    echo "lineage ${name%.conf}${before:+ $before}"
done
echo end
