# What the boot loader will start next, from the files of GRUB and of the Boot Loader
# Specification.
# Prints: F FILE, then those of its lines that tell of entries and arguments; !! FILE not read.

print_matching() { # PATTERN FILE...
    pattern=$1
    shift
    {
        read_all "$@" | sed -nE -e 's/^==> (\/.*) <==$/F \1/p' -e "/$pattern/p" || not_whole "$1"
    } | tr -d '\000' || not_whole "$1"
}

print_matching '^[[:space:]]*GRUB_(CMDLINE_LINUX|DEFAULT)' \
    /etc/default/grub /etc/default/grub.d/*.cfg
print_matching '^(options|title|version)[[:space:]]' /boot/loader/entries/*.conf
print_matching '^default[[:space:]]' /boot/loader/loader.conf
print_matching '^[[:space:]]*(menuentry|submenu|linux(16|efi)?|set default=|blscfg|[}])' \
    /boot/grub/grub.cfg /boot/grub2/grub.cfg
print_matching '^(kernelopts|saved_entry|next_entry|tuned_params)=' \
    /boot/grub/grubenv /boot/grub2/grubenv
:
