# What all sections run in, but for the login's own environment where testinfra asks. The folders
# of the system come before those that others than root may write to on many hosts.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:/snap/bin
export LC_ALL PATH
umask 077
# The host's own work comes first.
{ renice -n 10 $$; ionice -c 2 -n 7 -p $$; } >/dev/null 2>&1
