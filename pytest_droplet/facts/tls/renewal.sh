# What renews certificates: what timers and cron jobs of root call, and Certbot's certificates.
# Neither command lines nor scripts leave the host, as they may hold secrets.
# crontab(1) writes to its log: its files are read.
# Prints: systemd, where it runs; PID NAME of each cron; timers and Name=value of each; service UNIT
# and what it calls; for each file of cron that only root may write: cron FILE, and what it calls,
# as commands.awk tells it; lineage NAME of Certbot, and what its file sets; !! FILE not read; end.
# shellcheck disable=SC2154 # commands is the awk program

only_root_writes() { # FILE
    [ -f "$1" ] && is_regular "$1" -user 0 ! -perm /022
}

# Of a command line of root also the scripts of root that it names.
print_calls() { # FIELDS COMMAND-LINE
    printf '%s\n' "$2" | awk -v fields="$1" "$commands"
    for word in $2; do
        case $word in /*)
            ! only_root_writes "$word" ||
                head -c 65536 "$word" | awk -v fields=0 "$commands"
            ;;
        esac
    done
}

# Words are split, but stand for no files, unless that is asked for.
set -f
[ ! -d /run/systemd/system ] || echo systemd
processes_of cron crond

timers=$(
    TZ=UTC systemctl show '*.timer' 2>/dev/null \
        -p Id,Unit,ActiveState,UnitFileState,NextElapseUSecRealtime,LastTriggerUSec
) && {
    echo timers
    printf '%s\n' "$timers"
    echo
}
# shellcheck disable=SC2046 # a unit a word
systemctl show -p Id,ExecStart $(printf '%s\n' "$timers" | sed -n 's/^Unit=//p') |
    sed -n -e 's/^Id=/service /p' -e 's/.*argv\[\]=\(.*\) ; ignore_errors.*/\1/p' |
    while read -r line; do
        case $line in service\ *) echo "$line" ;; *) print_calls 0 "$line" ;; esac
    done

# cron and run-parts leave alone what another than root may write, and what may not be run.
set +f
for file in /etc/crontab /etc/cron.d/* /etc/cron.*ly/* /var/spool/cron/root \
    /var/spool/cron/crontabs/root; do
    set -f
    [ -e "$file" ] || explain_absence "$file"
    only_root_writes "$file" || continue
    contents=$(read_capped "$file") || continue
    echo "cron $file"
    fields=6
    case $file in
        */cron.*ly/*)
            [ ! -x "$file" ] || print_calls 0 "$contents"
            continue
            ;;
        */spool/*) fields=5 ;;
    esac
    printf '%s\n' "$contents" | while read -r line; do
        print_calls $fields "$line"
    done
done

set +f
read_all /etc/letsencrypt/renewal/*.conf | sed -n \
    -e 's/^==> .*\/\(.*\)\.conf <==$/lineage \1/p' \
    -e 's/^\(manual_auth_hook\) *= *[^ ].*/\1/p' \
    -e 's/^\(renew_before_expiry\|autorenew\|authenticator\) *= */\1 /p' ||
    not_whole /etc/letsencrypt/renewal
echo end
