# CentOS Stream 10, upgraded. No repository of it tells which updates are for security.
os_release='NAME="CentOS Stream"
VERSION="10 (Coughlan)"
ID="centos"
ID_LIKE="rhel fedora"
VERSION_ID="10"
PLATFORM_ID="platform:el10"
PRETTY_NAME="CentOS Stream 10 (Coughlan)"'
release_text='CentOS Stream release 10 (Coughlan)' release_file=centos-release
release_package=centos-stream-release-10.0-14.el10 releasever=10
database=/usr/lib/sysimage/rpm
installed='audit-4.0.3-5.el10 audit-rules-4.0.3-5.el10 bash-5.2.26-6.el10 curl-8.12.1-3.el10
  dnf-4.20.0-20.el10 firewalld-2.4.0-1.el10 glibc-2.39-70.el10 nftables-1.1.1-7.el10
  openssh-server-9.9p1-14.el10 openssl-libs-3.5.4-1.el10 rpm-4.19.1.1-22.el10
  sudo-1.9.17-4.p2.el10 systemd-257-17.el10'
base=baseos
repositories='centos baseos CentOS Stream 10 - BaseOS
centos appstream CentOS Stream 10 - AppStream'
offered='baseos openssl-libs-3.5.4-2.el10
appstream nginx-1.26.3-3.el10'
upgraded=yes
