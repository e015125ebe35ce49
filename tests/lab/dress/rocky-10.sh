# Rocky Linux 10, upgraded: its advisories are heeded.
os_release='NAME="Rocky Linux"
VERSION="10.2 (Red Quartz)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="10.2"
PLATFORM_ID="platform:el10"
PRETTY_NAME="Rocky Linux 10.2 (Red Quartz)"'
release_text='Rocky Linux release 10.2 (Red Quartz)' release_file=rocky-release
release_package=rocky-release-10.2-1.3.el10 releasever=10
database=/usr/lib/sysimage/rpm
installed='audit-4.0.3-4.el10 audit-rules-4.0.3-4.el10 bash-5.2.26-6.el10 curl-8.12.1-2.el10
  dnf-4.20.0-18.el10 firewalld-2.3.1-1.el10 glibc-2.39-58.el10 nftables-1.1.1-6.el10
  nginx-1.26.3-1.el10 openssh-server-9.9p1-12.el10 openssl-libs-3.5.1-3.el10 rpm-4.19.1.1-20.el10
  sudo-1.9.15-8.p5.el10 systemd-257-13.el10'
base=baseos
repositories='rocky baseos Rocky Linux 10 - BaseOS
rocky appstream Rocky Linux 10 - AppStream'
offered='baseos openssl-libs-3.5.1-4.el10_2 RLSA-2026:0001 security
baseos bash-5.2.26-7.el10 RLBA-2026:0002 bugfix
appstream nginx-1.26.3-2.el10_2 RLSA-2026:0003 security'
upgraded=yes
