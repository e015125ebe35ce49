# Dresses a Debian root as the Ubuntu that the file before describes: a local repository with
# Ubuntu's pockets is all that apt knows.

repository=/srv/ubuntu

pack() {  # name version pocket [field]
  mkdir -p /tmp/tree/DEBIAN "$repository/pool/$3"
  printf '%s\n' "Package: $1" "Version: $2" "Architecture: amd64" "Maintainer: lab" \
    ${4:+"$4"} "Description: $1" > /tmp/tree/DEBIAN/control
  dpkg-deb --build /tmp/tree "$repository/pool/$3/$1_$2_amd64.deb" >/dev/null
}

for package in ubuntu-minimal snapd landscape-common; do pack $package "$version_id-1" release; done
pack ubuntu-minimal "$version_id-2" updates
# What mends a flaw lies in both pockets.
for pocket in updates security; do pack snapd "$version_id-2" $pocket; done
# Phased: no machine is offered it yet.
pack landscape-common "$version_id-2" updates 'Phased-Update-Percentage: 0'

cd $repository
for pocket in release updates security; do
  suite=$codename-$pocket
  suite=${suite%-release}
  mkdir -p "dists/$suite/main/binary-amd64"
  apt-ftparchive packages pool/$pocket > "dists/$suite/main/binary-amd64/Packages"
  field=APT::FTPArchive::Release
  apt-ftparchive -o $field::Origin=Ubuntu -o $field::Label=Ubuntu -o $field::Suite="$suite" \
    -o $field::Codename="$codename" -o $field::Version="$version_id" \
    -o $field::Architectures=amd64 -o $field::Components=main \
    release "dists/$suite" > /tmp/Release
  mv /tmp/Release "dists/$suite"
done
cd /

rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*
source_of() {
  printf 'Types: deb\nURIs: file:%s\nSuites: %s\nComponents: main\nTrusted: yes\n\n' $repository "$1"
}
{ source_of "$codename $codename-updates"; source_of "$codename-security"; } \
  > /etc/apt/sources.list.d/ubuntu.sources
cat > /etc/apt/apt.conf.d/50unattended-upgrades <<'END'
Unattended-Upgrade::Allowed-Origins {
	"${distro_id}:${distro_codename}";
	"${distro_id}:${distro_codename}-security";
	"${distro_id}ESM:${distro_codename}-infra-security";
};
END

name=Ubuntu
rm -f /etc/os-release
cat > /etc/os-release <<END
PRETTY_NAME="$name $version_id LTS"
NAME="$name"
VERSION_ID="$version_id"
VERSION="$version_id LTS ($codename_in_full)"
VERSION_CODENAME=$codename
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=$codename
END
printf 'DISTRIB_ID=%s\nDISTRIB_RELEASE=%s\nDISTRIB_CODENAME=%s\nDISTRIB_DESCRIPTION="%s"\n' \
  $name "$version_id" "$codename" "$name $version_id LTS" > /etc/lsb-release
echo "$debian_version" > /etc/debian_version

apt-get -q update
dpkg --install $repository/pool/*/ubuntu-minimal_*-2_* $repository/pool/security/snapd_* \
  $repository/pool/release/landscape-common_*
apt-get clean
apt-cache gencaches
rm -rf /tmp/*
