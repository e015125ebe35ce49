# Makes an RPM host of a Debian root: a real rpm database of small packages, a real local
# repository with advisories, and neither dpkg nor apt. Two updates are pending, one of them
# for security.

build() {  # name version-release [directive]
  version=${2%-*} release=${2##*-}
  cat > "/tmp/$1.spec" <<END
Name: $1
Version: $version
Release: $release
Summary: $1
License: MIT
${3:-}
%description
$1
%files
END
  rpmbuild -bb --quiet --target x86_64 --define '_topdir /tmp/rpm' --define 'debug_package %{nil}' \
    --define "_rpmdir $folder" --define '_build_name_fmt %{NAME}-%{VERSION}-%{RELEASE}.x86_64.rpm' \
    "/tmp/$1.spec"
}

# Debian's rpm keeps a database in each user's home.
mkdir -p /etc/rpm
echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros.dbpath

repository=/srv/repository
mkdir -p /tmp/installed $repository/baseos $repository/appstream

folder=/tmp/installed
build almalinux-release 9.8-1.el9 'Provides: system-release(releasever) = 9'
for package in \
  audit-3.1.5-7.el9 bash-5.1.8-9.el9 curl-7.76.1-35.el9 dnf-4.14.0-31.el9 firewalld-1.3.4-15.el9 \
  glibc-2.34-231.el9 nftables-1.0.9-4.el9 openssh-server-8.7p1-46.el9 openssl-libs-3.5.1-3.el9 \
  rpm-4.16.1.3-39.el9 sudo-1.9.5p2-13.el9 systemd-252-55.el9
do
  version_release=$(echo "$package" | grep -oE '[^-]+-[^-]+$')
  build "${package%-"$version_release"}" "$version_release"
done
cp $folder/* $repository/baseos
folder=$repository/baseos
build bash 5.1.8-10.el9
build openssl-libs 3.5.1-4.el9_8
folder=$repository/appstream
build nginx 1.20.1-24.el9

cat > /tmp/updateinfo.xml <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<updates>
  <update from="lab" status="final" type="security" version="1">
    <id>ALSA-2026:0001</id>
    <title>Important: openssl security update</title>
    <issued date="2026-11-01 00:00:00"/>
    <severity>Important</severity>
    <description>A security update.</description>
    <pkglist><collection short="baseos"><name>baseos</name>
      <package name="openssl-libs" version="3.5.1" release="4.el9_8" epoch="0" arch="x86_64">
        <filename>openssl-libs-3.5.1-4.el9_8.x86_64.rpm</filename>
      </package>
    </collection></pkglist>
  </update>
  <update from="lab" status="final" type="bugfix" version="1">
    <id>ALBA-2026:0002</id>
    <title>bash bug fix update</title>
    <issued date="2026-11-02 00:00:00"/>
    <severity>None</severity>
    <description>A bug fix.</description>
    <pkglist><collection short="baseos"><name>baseos</name>
      <package name="bash" version="5.1.8" release="10.el9" epoch="0" arch="x86_64">
        <filename>bash-5.1.8-10.el9.x86_64.rpm</filename>
      </package>
    </collection></pkglist>
  </update>
</updates>
END
for name in baseos appstream; do createrepo_c --quiet $repository/$name; done
modifyrepo_c --mdtype=updateinfo /tmp/updateinfo.xml $repository/baseos/repodata >/dev/null

mkdir -p /etc/yum.repos.d
for name in baseos appstream; do
  printf '[%s]\nname=AlmaLinux 9 - %s\nbaseurl=file://%s\nenabled=1\ngpgcheck=0\n' \
    $name $name $repository/$name > /etc/yum.repos.d/almalinux-$name.repo
done
cat > /etc/os-release <<'END'
NAME="AlmaLinux"
VERSION="9.8"
ID="almalinux"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.8"
PLATFORM_ID="platform:el9"
PRETTY_NAME="AlmaLinux 9.8"
END
echo 'AlmaLinux release 9.8' | tee /etc/almalinux-release /etc/redhat-release > /etc/system-release
# Long before any machine's boot: what is installed after it asks for a reboot.
SOURCE_DATE_EPOCH=1767225600 rpm --force-debian -i --nodeps --nosignature /tmp/installed/*.rpm
dnf -q makecache

rm -rf /tmp/* /etc/debian_version /etc/apt /etc/dpkg /var/lib/apt /var/lib/dpkg /var/cache/apt \
  /var/cache/debconf /usr/lib/apt /usr/bin/apt* /usr/bin/dpkg* /usr/lib/dpkg /var/log/apt \
  /usr/lib/systemd/system/apt-* /usr/lib/systemd/system/dpkg-* \
  /etc/systemd/system/timers.target.wants/apt-* /etc/systemd/system/timers.target.wants/dpkg-*
