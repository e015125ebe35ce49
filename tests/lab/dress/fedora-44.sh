# Fedora 44 with an update waiting that mends a bug: real dnf5 and rpm 6, and no Python.
os_release='NAME="Fedora Linux"
VERSION="44 (Cloud Edition)"
RELEASE_TYPE=stable
ID=fedora
VERSION_ID=44
VERSION_CODENAME=""
PLATFORM_ID="platform:f44"
PRETTY_NAME="Fedora Linux 44 (Cloud Edition)"
SUPPORT_END=2027-05-19
VARIANT="Cloud Edition"
VARIANT_ID=cloud'
release_text='Fedora release 44 (Forty Four)' release_file=fedora-release
release_package=fedora-release-44-12 releasever=44
database=/usr/lib/sysimage/rpm
installed='audit-4.1.2-3.fc44 audit-rules-4.1.2-3.fc44 bash-5.3.9-3.fc44 curl-8.18.0-4.fc44
  dnf5-5.4.1.0-1.fc44 glibc-2.43-4.fc44 nftables-1.1.6-2.fc44 openssh-server-10.2p1-7.fc44
  openssl-libs-3.5.5-2.fc44 rpm-6.0.1-4.fc44 sudo-1.9.17-9.p2.fc44 systemd-259.5-1.fc44'
base=fedora
repositories='fedora fedora Fedora 44 - x86_64
fedora-updates updates Fedora 44 - x86_64 - Updates'
offered='updates openssl-libs-3.5.6-1.fc44 FEDORA-2026-1a2b3c4d5e security
updates curl-8.18.0-6.fc44 FEDORA-2026-6f7a8b9c0d security'
upgraded=yes
ln -s dnf5 /usr/bin/dnf
rm -rf /usr/bin/python3* /usr/lib/python3*
