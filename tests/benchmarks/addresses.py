"""Which Droplet is at which address."""

FIRST_ID = 600_000_000


def address(index: int) -> str:
    """Return a host's address: 198.18.0.0/16 is all the fleet's."""
    return f"198.18.{index // 250}.{index % 250 + 1}"


def index_of(ip: str) -> int:
    """Return the number of the host at an address."""
    third, fourth = ip.split(".")[2:]
    return int(third) * 250 + int(fourth) - 1
