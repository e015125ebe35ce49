# AlmaLinux 9 with two updates waiting, one of them for security.
os_release='NAME="AlmaLinux"
VERSION="9.8"
ID="almalinux"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.8"
PLATFORM_ID="platform:el9"
PRETTY_NAME="AlmaLinux 9.8"'
release_text='AlmaLinux release 9.8' release_file=almalinux-release
release_package=almalinux-release-9.8-1.el9 releasever=9
database=/var/lib/rpm
installed='audit-3.1.5-7.el9 bash-5.1.8-9.el9 curl-7.76.1-35.el9 dnf-4.14.0-31.el9
  firewalld-1.3.4-15.el9 glibc-2.34-231.el9 nftables-1.0.9-4.el9 openssh-server-8.7p1-46.el9
  openssl-libs-3.5.1-3.el9 rpm-4.16.1.3-39.el9 sudo-1.9.5p2-13.el9 systemd-252-55.el9'
base=baseos
repositories='almalinux-baseos baseos AlmaLinux 9 - BaseOS
almalinux-appstream appstream AlmaLinux 9 - AppStream'
offered='baseos bash-5.1.8-10.el9 ALBA-2026:0002 bugfix
baseos openssl-libs-3.5.1-4.el9_8 ALSA-2026:0001 security
appstream nginx-1.20.1-24.el9'
upgraded=''
