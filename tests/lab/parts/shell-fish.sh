usermod --shell /usr/bin/fish audit
