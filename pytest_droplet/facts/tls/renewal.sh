# What renews certificates: the timers and cron jobs that call an ACME client, and Certbot's
# certificates. Neither command lines nor scripts leave the host, as they may hold secrets.
# crontab(1) writes to its log: its files are read.
# Prints: systemd, where it runs; cron-runs; timers and Name=value of each; service UNIT CLIENT;
# for each file of cron with jobs that call a client: cron FILE, guard where it looks for systemd,
# job CLIENT SCHEDULE, without one for a script; lineage NAME of Certbot, and before TIME where it
# is set; !! FILE not read; end.

client_in() { # TEXT: prints the client that it names
    for client in certbot acme.sh lego dehydrated uacme getssl; do
        case " $1 " in *[!a-z]"$client"[!a-z]*)
            echo "$client"
            return
            ;;
        esac
    done
}

only_root_writes() { # FILE
    is_regular "$1" -user 0 ! -perm /022
}

# The client that a command line of root calls, itself or in a script of root that it names.
client_of() { # COMMAND-LINE
    client=$(client_in "$1")
    for word in $1; do
        case $client$word in /*) ;; *) continue ;; esac
        if [ -f "$word" ] && only_root_writes "$word"; then
            client=$(client_in "$(head -c 65536 "$word" | tr -d '\000')")
        fi
    done
    [ -z "$client" ] || echo "$client"
}

# A path that a user wrote is not opened.
print_jobs() { # CRONTAB, its lines being on the input
    opens=
    ! only_root_writes "$1" || opens=yes
    grep -vE '^[[:space:]]*(#|$|[A-Za-z_]+[[:space:]]*=)' | while read -r line; do
        if [ -n "$opens" ]; then
            client=$(client_of "$line")
        else
            client=$(client_in "$line")
        fi
        [ -n "$client" ] || continue
        # shellcheck disable=SC2086 # minute, hour, day, month, day of the week
        set -- $line
        case $1 in
            @*) schedule=$1 ;;
            *) schedule="$1 $2 $3 $4 $5" ;;
        esac
        case $schedule in *[!A-Za-z0-9@*,/~\ -]*) schedule='?' ;; esac
        echo "job $client $schedule"
    done
}

# Words are split, but stand for no files, unless that is asked for.
set -f
[ ! -d /run/systemd/system ] || echo systemd
[ -z "$(processes_of cron crond)" ] || echo cron-runs

fields=Id,Unit,ActiveState,UnitFileState,NextElapseUSecRealtime,LastTriggerUSec
timers=$(TZ=UTC systemctl show -p "$fields" '*.timer' 2>/dev/null) && {
    echo timers
    printf '%s\n' "$timers"
    echo
}
units=$(printf '%s\n' "$timers" | sed -n 's/^Unit=//p' | sort -u)
# shellcheck disable=SC2086 # a unit a word
[ -z "$units" ] || { systemctl show -p ExecStart $units; echo; } | {
    set -- $units
    commands=
    # An empty line ends what is said of a unit.
    while read -r line; do
        if [ -n "$line" ]; then
            commands="$commands $(printf '%s\n' "$line" | sed 's/;.*argv\[\]=/ /;s/;.*//')"
        else
            client=$(client_of "$commands")
            [ -z "$client" ] || echo "service $1 $client"
            commands=
            [ $# = 0 ] || shift
        fi
    done
}

set +f
for file in /etc/crontab /etc/cron.d/* /etc/cron.hourly/* /etc/cron.daily/* \
    /etc/cron.weekly/* /etc/cron.monthly/* /var/spool/cron/* /var/spool/cron/crontabs/*; do
    [ -e "$file" ] || explain_absence "$file"
    [ -f "$file" ] || continue
    contents=$(read_capped "$file") || continue
    jobs=$(
        set -f
        case $file in
            */cron.*ly/*) client_in "$file $contents" | sed 's/^/job /' ;;
            *) printf '%s\n' "$contents" | print_jobs "$file" ;;
        esac
    )
    [ -n "$jobs" ] || continue
    echo "cron $file"
    case $contents in */run/systemd/system*) echo guard ;; esac
    printf '%s\n' "$jobs"
done

read_all /etc/letsencrypt/renewal/*.conf | sed -n \
    -e 's/^==> .*\/\(.*\)\.conf <==$/lineage \1/p' \
    -e 's/^renew_before_expiry *= */before /p' || not_whole /etc/letsencrypt/renewal
echo end
