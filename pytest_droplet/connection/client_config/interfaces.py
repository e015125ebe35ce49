"""The addresses of this machine's network interfaces, for ``localnetwork`` and ``BindInterface``."""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache

_COMMANDS = (("ip", "-o", "address", "show", "up"), ("ifconfig", "-a"))
_NAME = re.compile(r"(?:\d+: )?([\w.@-]+?):? ")
_ADDRESS = re.compile(r"\binet6? (?:addr:)?\s*([0-9A-Fa-f.:]+)")


def in_networks(networks: Sequence[str]) -> bool:
    """Tell whether an interface that is up has an address in one of these networks.

    Raises:
        ValueError: What should be a network is none.
        OSError: The interfaces cannot be listed.
    """
    wanted = [ipaddress.ip_network(text.strip(), strict=False) for text in networks]
    mine = [ipaddress.ip_address(a) for _, a in addresses()]
    return any(address in network for address in mine for network in wanted)


@cache
def addresses() -> tuple[tuple[str, str], ...]:
    """Return interface and address of each that is up.

    Raises:
        OSError: No command lists them.
    """
    for command in _COMMANDS:
        try:
            done = subprocess.run(  # noqa: S603 fixed commands
                command, capture_output=True, text=True, check=True, timeout=10
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return tuple(_read(done.stdout))
    raise OSError("neither ip nor ifconfig lists the interfaces")


def _read(text: str) -> Iterator[tuple[str, str]]:
    name = ""
    for line in text.splitlines():
        found = _NAME.match(line)
        if found and not line[0].isspace():
            name = found[1].partition("@")[0]
        yield from ((name, address) for address in _ADDRESS.findall(line))
