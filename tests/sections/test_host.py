"""The sections of the host itself, and the frame's proof that it is the Droplet."""

from __future__ import annotations

from .case import DROPLET_ID, Seen, case

# A web server that answers as the metadata service does.
METADATA = """
ip address add 169.254.169.254/32 dev lo
busybox httpd -p 169.254.169.254:80 -h /srv
until_true curl -s http://169.254.169.254/
"""


@case(
    "droplet_identity", matrix=True, files={"/var/lib/cloud/data/instance-id": f"{DROPLET_ID}\n"}
)
def test_cloud_init_names_the_droplet(seen: Seen) -> None:
    """Where its file has the id, nobody else is asked."""
    assert seen["droplet_identity"].stdout == f"cloud-init {DROPLET_ID}\n"


@case(
    "droplet_identity",
    files={"/run/cloud-init/.instance-id": "i-other\n", "/srv/metadata/v1/id": f"{DROPLET_ID}"},
    prepare=METADATA,
)
def test_the_metadata_service_is_asked_where_cloud_init_does_not_tell(seen: Seen) -> None:
    """Another id in the file of cloud-init is told, and so is what the service has."""
    assert seen["droplet_identity"].stdout.split() == ["cloud-init", "i-other", "metadata", "1"]


@case(
    "droplet_identity",
    root="bookworm-wget",
    files={"/srv/metadata/v1/id": f"{DROPLET_ID}"},
    prepare=f"{METADATA}\nrm /usr/bin/curl",
)
def test_wget_asks_the_metadata_service_where_curl_is_absent(seen: Seen) -> None:
    """It is the one that distributions bring."""
    assert seen["droplet_identity"].stdout == f"metadata {DROPLET_ID}\n"


@case("kernel", matrix=True)
def test_the_kernel_tells_its_start(seen: Seen) -> None:
    """Release, clock and start of the running kernel are read."""
    kernel = seen.fact("droplet_kernel")

    assert kernel.system == "Linux"
    assert kernel.booted_at < kernel.clock


@case("cmdline", matrix=True)
def test_the_arguments_of_the_kernel_are_read(seen: Seen) -> None:
    """They are those of the machine."""
    assert " ".join(seen.fact("droplet_kernel_arguments").tokens) == seen["cmdline"].stdout.strip()


@case("os", matrix=True)
def test_the_distribution_names_itself(seen: Seen) -> None:
    """The root is of Debian 12."""
    found = seen.fact("droplet_os_release")

    assert (found.id, found.version_id, found.codename) == ("debian", "12", "bookworm")


@case("os", prepare="rm /etc/os-release")
def test_the_distribution_names_itself_below_usr(seen: Seen) -> None:
    """A host without the link in /etc is read all the same."""
    assert seen.fact("droplet_os_release").id == "debian"


@case("debian_version", matrix=True)
def test_the_point_release_is_read(seen: Seen) -> None:
    """Debian's file has it."""
    assert seen.fact("droplet_debian_version").startswith("12.")


@case("debian_version", root="almalinux-9")
def test_another_distribution_has_no_point_release(seen: Seen) -> None:
    """Without the file it is unknown, by the file's name."""
    assert "/etc/debian_version could not be read" in seen.missing("droplet_debian_version")


@case("ubuntu_pro", matrix=True)
def test_a_host_without_ubuntu_pro_is_not_attached(seen: Seen) -> None:
    """No file of its client: not attached."""
    assert not seen.fact("droplet_ubuntu_pro").attached


@case(
    "ubuntu_pro",
    files={
        "/var/lib/ubuntu-advantage/status.json": (
            '{"attached": true, "services": [{"name": "esm-infra", "status": "enabled"}]}'
        )
    },
)
def test_the_state_of_ubuntu_pro_is_read(seen: Seen) -> None:
    """The file of its client is read as it is."""
    assert seen.fact("droplet_ubuntu_pro").esm_infra


@case("units", matrix=True)
def test_units_are_unknown_without_systemd(seen: Seen) -> None:
    """Where systemd is not PID 1, no unit is told of."""
    assert "is systemd PID 1?" in seen.missing("droplet_units")


@case(
    "addresses",
    matrix=True,
    prepare="interface eth0 203.0.113.10/20 2001:db8::10/64",
)
def test_addresses_are_read_with_their_interfaces(seen: Seen) -> None:
    """Those of global scope, of both families."""
    found = seen.fact("droplet_interfaces")

    assert found.addresses == (("eth0", "203.0.113.10"), ("eth0", "2001:db8::10"))
    assert found.ipv6


@case("addresses", prepare="mount --bind /srv /proc/sys/net")
def test_a_kernel_without_ipv6_has_it_off(seen: Seen) -> None:
    """Without the switch there is no IPv6."""
    assert not seen.fact("droplet_interfaces").ipv6


LISTENERS = """
busybox httpd -p 127.0.0.1:8080
python3 -c '
import socket, time
kept = socket.socket(type=socket.SOCK_DGRAM)
kept.bind(("0.0.0.0", 5353))
time.sleep(1000)
' &
until_true grep -q :14E9 /proc/net/udp
"""


@case("listeners", matrix=True, prepare=LISTENERS)
def test_listening_programs_are_named(seen: Seen) -> None:
    """Root sees which program holds a socket."""
    found = {
        (s.protocol, str(s.address), s.port): s.names
        for s in seen.fact("droplet_listeners").sockets
    }

    assert found.pop(("udp", "0.0.0.0", 5353))[0].startswith("python3")
    assert found == {("tcp", "127.0.0.1", 8080): ("busybox",)}


@case("listeners", prepare=LISTENERS, as_user="1000:1000")
def test_listening_programs_are_not_seen_without_root(seen: Seen) -> None:
    """Sockets are read, and the programs are unknown."""
    found = seen.fact("droplet_listeners")

    assert {s.port for s in found.sockets} == {8080, 5353}
    assert not found.owners
    assert {s.programs for s in found.sockets} == {None}


@case(
    "listeners",
    prepare="unreadable /srv/proc/net/tcp\nmount --rbind /srv/proc /proc",
)
def test_a_table_of_sockets_that_cannot_be_read_is_not_empty(seen: Seen) -> None:
    """The list of sockets is unknown then."""
    assert "tcp could not be read to its end" in seen.missing("droplet_listeners")


@case("listeners", prepare="failing find 2")
def test_programs_are_unknown_where_find_fails(seen: Seen) -> None:
    """What find could not list is not taken for a socket that nobody holds."""
    assert "find could not be read to its end" in seen.missing("droplet_listeners")
