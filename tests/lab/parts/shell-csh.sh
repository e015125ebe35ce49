for user in root audit; do usermod --shell /bin/tcsh $user; done
