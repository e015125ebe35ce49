# Ubuntu 26.04: sudo is sudo-rs, and most of coreutils is uutils.
version_id=26.04 codename=resolute codename_in_full='Resolute Raccoon' debian_version=forky/sid
ln -sf ../lib/cargo/bin/sudo /usr/bin/sudo
for program in /usr/lib/cargo/bin/coreutils/*; do
  case ${program##*/} in
    cp | mv | rm) ;;  # Ubuntu keeps GNU's
    *) [ ! -e "/usr/bin/${program##*/}" ] || ln -sf "$program" /usr/bin ;;
  esac
done
