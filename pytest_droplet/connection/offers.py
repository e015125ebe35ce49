"""Which keys are offered to a host, and in which order: as OpenSSH's client does.

Keys of the agent that a file names come first, then the agent's others, then those of the files;
a certificate comes behind its key, but those of ``CertificateFile`` come first of all files.

Source: ``pubkey_prepare`` of OpenSSH's sshconnect2.c.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from pytest_droplet.connection.credentials import Credentials

_CERTIFICATE = "-cert-v01@openssh.com"


@dataclass
class Agents:
    """Connections to the user's agents: each is asked once which keys it has."""

    timeout: float
    _clients: dict[str, asyncssh.SSHAgentClient] = field(default_factory=dict)
    _held: dict[str, asyncio.Task[list[Any]]] = field(default_factory=dict)

    async def keys(self, path: str | None) -> list[asyncssh.SSHAgentKeyPair]:
        """Return the keys of an agent, for one login; none where it does not answer."""
        if path is None:
            return []
        if path not in self._held:
            self._clients[path] = asyncssh.SSHAgentClient(path)
            self._held[path] = asyncio.create_task(self._ask(self._clients[path]))
        held = await asyncio.shield(self._held[path])
        return [copy.copy(pair) for pair in held]  # a login notes its server's choices in them

    def close(self) -> None:
        """Close the connections."""
        for task in self._held.values():
            task.cancel()
        for client in self._clients.values():
            client.close()

    async def _ask(self, client: asyncssh.SSHAgentClient) -> list[Any]:
        try:
            async with asyncio.timeout(self.timeout):
                return list(await client.get_keys())
        except (OSError, ValueError, asyncssh.Error):
            return []


def in_order(
    credentials: Credentials,
    agent: Sequence[asyncssh.SSHAgentKeyPair],
    *,
    accepted: Iterable[str],
    only_named: bool = False,
) -> list[asyncssh.SSHKeyPair]:
    """Return what is offered, first things first.

    Args:
        credentials: What the config names.
        agent: The keys of the agent.
        accepted: Algorithms of keys that the config allows.
        only_named: ``IdentitiesOnly``: what the agent has and no file names is not offered.
    """
    named = set(credentials.public)
    first = [pair for pair in agent if pair.public_data in named]
    others = [] if only_named else [pair for pair in agent if pair.public_data not in named]
    held = {pair.public_data for pair in agent}
    allowed = set(accepted)
    files = [pair for pair in _of_files(credentials, agent) if pair.public_data not in held]
    return [pair for pair in (*first, *others, *files) if _is_allowed(pair, allowed)]


def _of_files(
    credentials: Credentials, agent: Sequence[asyncssh.SSHAgentKeyPair]
) -> list[asyncssh.SSHKeyPair]:
    keys = [item[0] if isinstance(item, tuple) else item for item in credentials.keys]
    private = {key.public_data: key for key in keys}
    found: list[asyncssh.SSHKeyPair] = []
    for certificate in credentials.certificates:
        if certificate.key.public_data in private:
            key = private[certificate.key.public_data]
            found += asyncssh.load_keypairs([(key, certificate)])
            continue
        for pair in agent:
            if pair.public_data == certificate.key.public_data:
                signed = copy.copy(pair)
                signed.set_certificate(certificate)
                found.append(signed)
    for item in credentials.keys:
        bare = item[0] if isinstance(item, tuple) else item
        found += asyncssh.load_keypairs([bare])
        if isinstance(item, tuple) and item[1] not in credentials.certificates:
            found += asyncssh.load_keypairs([item])
    return found


def _is_allowed(pair: asyncssh.SSHKeyPair, allowed: set[str]) -> bool:
    name = pair.get_algorithm()
    if name.endswith(_CERTIFICATE):
        kinds = {name}
        if "rsa" in name:
            kinds |= {f"rsa-sha2-{bits}{_CERTIFICATE}" for bits in (256, 512)}
    else:
        kinds = {n.decode("ascii") for n in pair.sig_algorithms} | {name}
    return bool(kinds & allowed)
