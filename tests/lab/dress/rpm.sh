# Dresses a Debian root with rpm and dnf as another distribution, which the file before describes:
# a real rpm database of small packages, a real local repository with advisories, and neither dpkg
# nor apt.

repository=/srv/repository

build() {  # folder name-version-release [directive]
  name=${2%-*-*} version=${2#"${2%-*-*}-"}
  mkdir -p "$1"
  cat > "/tmp/$name.spec" <<END
Name: $name
Version: ${version%-*}
Release: ${version#*-}
Summary: $name
License: MIT
${3:-}
%description
$name
%files
END
  rpmbuild -bb --quiet --target x86_64 --define '_topdir /tmp/rpm' --define 'debug_package %{nil}' \
    --define "_rpmdir $1" --define '_build_name_fmt %{NAME}-%{VERSION}-%{RELEASE}.x86_64.rpm' \
    "/tmp/$name.spec"
}

update_of() {  # advisory type name-version-release: its entry of updateinfo.xml
  name=${3%-*-*} version=${3#"${3%-*-*}-"}
  cat <<END
  <update from="lab" status="final" type="$2" version="1">
    <id>$1</id>
    <title>$name: $2</title>
    <issued date="2026-11-01 00:00:00"/>
    <severity>$(if [ "$2" = security ]; then echo Important; else echo None; fi)</severity>
    <description>What an advisory says.</description>
    <pkglist><collection short="lab"><name>lab</name>
      <package name="$name" version="${version%-*}" release="${version#*-}" epoch="0" arch="x86_64">
        <filename>$3.x86_64.rpm</filename>
      </package>
    </collection></pkglist>
  </update>
END
}

# Debian's rpm keeps a database in each user's home.
mkdir -p /etc/rpm "$database"
echo "%_dbpath $database" > /etc/rpm/macros.dbpath

build /tmp/installed "$release_package" \
  "$(printf 'Provides: system-release\nProvides: system-release(releasever) = %s' "$releasever")"
for package in $installed; do build /tmp/installed "$package"; done

mkdir -p /etc/yum.repos.d
echo "$repositories" | while read -r file id title; do
  mkdir -p $repository/"$id"
  printf '[%s]\nname=%s\nbaseurl=file://%s\nenabled=1\ngpgcheck=0\n\n' \
    "$id" "$title" "$repository/$id" >> "/etc/yum.repos.d/$file.repo"
done
cp /tmp/installed/* $repository/"$base"
echo "$offered" | while read -r id package advisory type; do
  build $repository/"$id" "$package"
  if [ -n "$advisory" ]; then update_of "$advisory" "$type" "$package" >> "/tmp/$id.updates"; fi
done
for folder in $repository/*; do
  createrepo_c --quiet "$folder"
  updates=/tmp/${folder##*/}.updates
  if [ -e "$updates" ]; then
    { echo '<?xml version="1.0" encoding="UTF-8"?><updates>'; cat "$updates"; echo '</updates>'; } \
      > /tmp/updateinfo.xml
    modifyrepo_c --mdtype=updateinfo /tmp/updateinfo.xml "$folder/repodata" >/dev/null
  fi
done

rm -f /etc/os-release
echo "$os_release" > /etc/os-release
echo "$release_text" | tee "/etc/$release_file" /etc/redhat-release > /etc/system-release
# Long before any machine's boot: what is installed after it asks for a reboot.
export SOURCE_DATE_EPOCH=1767225600
if rpm --force-debian --version >/dev/null 2>&1; then force=--force-debian; else force=; fi
rpm $force -i --nodeps --nosignature /tmp/installed/*.rpm
dnf -q makecache
if [ -n "$upgraded" ]; then dnf -q -y --nogpgcheck upgrade; fi
unset SOURCE_DATE_EPOCH

rm -rf /tmp/* /etc/debian_version /etc/apt /etc/dpkg /var/lib/apt /var/lib/dpkg /var/cache/apt \
  /var/cache/debconf /usr/lib/apt /usr/bin/apt* /usr/bin/dpkg* /usr/lib/dpkg /var/log/apt \
  /usr/lib/systemd/system/apt-* /usr/lib/systemd/system/dpkg-* \
  /etc/systemd/system/timers.target.wants/apt-* /etc/systemd/system/timers.target.wants/dpkg-*
