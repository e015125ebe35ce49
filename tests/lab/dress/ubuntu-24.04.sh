# Ubuntu 24.04.
version_id=24.04 codename=noble codename_in_full='Noble Numbat' debian_version=trixie/sid
