# The installed packages of kernels.
# Prints: == dpkg, STATUS PACKAGE VERSION, and the signature of the running kernel where it has
# one; or == rpm, PACKAGE VERSION; !! TOOL where it did not tell.
cd / || exit
if uses_apt; then
    echo '== dpkg'
    dpkg-query -W -f='${db:Status-Abbrev} ${Package} ${Version}\n' 'linux-image-*'
    # 1: there is no such package.
    [ $? -lt 2 ] || not_whole dpkg-query
    cat /proc/version_signature 2>/dev/null
else
    echo '== rpm'
    as_nobody rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}.%{ARCH}\n' 'kernel*' ||
        not_whole 'rpm -qa'
fi
:
