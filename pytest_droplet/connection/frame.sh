# The frame: runs every section on its own, and prints what it said between markers that no
# output of the host can foretell (NONCE). It writes no file: it has no here-document, as bash
# keeps one in a temporary file. All of it is one function that the last line calls, so that a
# script that was cut on its way runs nothing.
droplet_read() {
    ENVIRONMENT
    prelude=PRELUDE
    line_feed='
'
    mark() { # WORDS...
        printf '\n--NONCE %s\n' "$*"
    }

    uid=$(id -u)
    # Root that has neither CAP_DAC_OVERRIDE nor CAP_DAC_READ_SEARCH reads its own files alone.
    case $uid$(grep CapEff /proc/self/status) in 0*[0189]) uid=bounded ;; esac
    # When the login began, AGE seconds ago.
    export "began=$(($(date +%s) - AGE))"
    mark begin _id
    printf '%s\n%s\n%.400s' "$uid" "$(id -un)" "$DROPLET_SUDO"
    mark end _id rc=0
    unset DROPLET_SUDO

    # The time limit of a section, in the first form that this host's timeout(1) takes.
    for limit in 'timeout -k 5 SECONDS' 'timeout SECONDS' ''; do
        $limit true </dev/null >/dev/null 2>&1 && break
    done

    # section NAME ADDRESS-SPACE TEXT: runs TEXT, and prints its output, its standard error and its
    # status. A process of it has so many MiB at most; - is no limit. Descriptor 9 is the script's
    # own output, 8 takes the status, 7 the section's standard error.
    section() {
        mark begin "$1"
        bound=
        [ "$2" = - ] || bound="ulimit -v $(($2 * 1024)) 2>/dev/null$line_feed"
        ended=$( { errors=$( {
            { $limit sh -c "$bound$prelude$3" </dev/null 2>&7 7>&- 8>&- 9>&-; echo $? >&8; } |
                { head -c STDOUT >&9 7>&- 8>&- 9>&- || echo lost >&8; }
        } 7>&1 | tail -c STDERR 8>&- 9>&-; printf x ); } 8>&1; printf x%s "$errors" )
        errors=${ended#*"$line_feed"x}
        errors=${errors%x}
        [ -z "$errors" ] || {
            mark err "$1"
            printf %s "$errors"
        }
        code=${ended%%"$line_feed"x*}
        # Not all of the output came through head(1): the section counts as killed.
        case $code in *lost*) code=137 ;; esac
        mark end "$1" "rc=$code"
    }

    # as_root NAME ADDRESS-SPACE TEXT: the same as root; without root it only says that it was
    # left out.
    as_root() {
        if [ "$uid" = 0 ]; then
            section "$1" "$2" "$3"
        else
            mark skip "$1"
        fi
    }

    SECTIONS
    mark eof
}
droplet_read 9>&1
