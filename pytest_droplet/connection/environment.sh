# What all sections run in, but for the login's own environment where testinfra asks.
LC_ALL=C LANG=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export LC_ALL LANG PATH
umask 077
unset ENV BASH_ENV
