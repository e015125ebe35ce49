"""HTTP as seen from outside: what the host answers for each of its names, following nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.tls.apache import APACHE
from pytest_droplet.facts.tls.asking import names_of
from pytest_droplet.facts.tls.nginx import NGINX
from pytest_droplet.facts.tls.tls import TLS, PortState, for_each
from pytest_droplet.facts.tls.virtual_hosts import name_to_ask, served_names
from pytest_droplet.model import HostReading, NotObservedError, Probe
from pytest_droplet.text import one_line

HTTP_PORT = 80
MOST_NAMES = 60
_MOST_HOPS = 3
_MAX_AGE = re.compile(r"""(?:^|;)\s*max-age\s*=\s*"?(\d{1,18})"?\s*(?:;|$)""", re.IGNORECASE)
_TO_HTTPS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer to ``HEAD /``.

    ``hsts`` is the header Strict-Transport-Security, None where it was not sent.
    """

    status: int
    location: str | None = None
    hsts: str | None = None

    @property
    def redirect(self) -> str | None:
        """Where it sends the client; None: nowhere."""
        return self.location if self.status in _TO_HTTPS else None

    @property
    def hsts_seconds(self) -> int | None:
        """``max-age`` of the header; None: no header, or none that counts."""
        found = _MAX_AGE.search(self.hsts or "")
        return int(found[1]) if found else None

    def __str__(self) -> str:
        return f"{self.status}" + (f" to {self.location}" if self.location else "")


@dataclass(frozen=True, slots=True)
class Http:
    """What ports 80 and 443 answer to ``HEAD /`` for each name.

    A text in place of answers is the reason why there is none. Under ``plain`` a name has the
    answers on the way: where the first sends the client to another http address of this host,
    the next is that one's.
    """

    port: PortState
    plain: Mapping[str, tuple[Answer, ...] | str] = field(default_factory=dict)
    secure: Mapping[str, Answer | str] = field(default_factory=dict)

    def plain_answers(self, name: str) -> tuple[Answer, ...]:
        """Return the answers on port 80.

        Raises:
            NotObservedError: There was none.
        """
        found = self.plain.get(name, "not asked for")
        if isinstance(found, str):
            raise NotObservedError(f"http://{name}/: {found}")
        return found

    def secure_answer(self, name: str) -> Answer:
        """Return the answer on port 443.

        Raises:
            NotObservedError: There was none.
        """
        found = self.secure.get(name, "not asked for")
        if isinstance(found, str):
            raise NotObservedError(f"https://{name}/: {found}")
        return found

    def __str__(self) -> str:
        parts = [f"port {HTTP_PORT} {self.port}"]
        for name, found in list(self.plain.items())[:3]:
            said = found if isinstance(found, str) else " then ".join(map(str, found))
            parts.append(f"http://{name}/: {said}")
        for name, answer in list(self.secure.items())[:3]:
            sent = answer.hsts if isinstance(answer, Answer) else None
            hsts = f", {sent}" if sent else ""
            parts.append(f"https://{name}/: {answer}{hsts}")
        return one_line("; ".join(parts), 390)


def target_of(location: str | None) -> tuple[str, str, int | None]:
    """Return scheme, host name and port that a redirect leads to; nothing where it is no URL."""
    try:
        parts = urlsplit(location or "")
        port = parts.port
    except ValueError:
        return "", "", None
    return parts.scheme, parts.hostname or "", port


async def _ask(address: str, reading: HostReading) -> dict[str, Any]:
    from pytest_droplet.connection.probe import tcp_connect  # noqa: PLC0415 network only here

    state = await tcp_connect(address, HTTP_PORT)
    names = names_of(reading)[:MOST_NAMES] or (address,)
    plain = await for_each(names, lambda n: _plain(address, n)) if state == "open" else {}
    return {"port": state, "plain": plain}


async def _plain(address: str, name: str) -> dict[str, Any]:
    """Ask on port 80, and again where the host sends the client to a further http address."""
    from pytest_droplet.connection.probe import http_head  # noqa: PLC0415 network only here

    host = name_to_ask(name)
    answers: list[dict[str, Any]] = []
    while len(answers) < _MOST_HOPS:
        seen = await http_head(address, HTTP_PORT, host)
        answers.append({"status": seen["status"], "location": seen["location"]})
        scheme, hostname, port = target_of(answers[-1]["location"])
        named = served_names((hostname,))
        if scheme != "http" or port not in {None, HTTP_PORT} or not named:
            break
        host = named[0]
    return {"answers": answers}


HTTP = Probe("http", _ask, sections=(NGINX, APACHE))


@fact("curl -I http://NAME/ and https://NAME/, at the Droplet's address", probes=(HTTP, TLS))
def droplet_http(observation: Observation) -> Http:
    """What ports 80 and 443 answer from outside: status, redirect, HSTS header, by name."""
    try:
        handshakes = observation.probe(TLS.name)
    except NotObservedError as exc:
        handshakes = {"names": {}, "error": str(exc)}
    return parse_http(observation.probe(HTTP.name), handshakes, observation.host.address)


def parse_http(answer: Any, handshakes: Any = None, address: str = "") -> Http:
    """Read the results of the probes ``http`` and ``tls``.

    Args:
        answer: ``port``; ``plain`` and ``secure`` by name, with ``answers`` (of ``plain``),
            ``status``, ``location`` and ``hsts``, or ``error``.
        handshakes: ``names`` with their ``head``, as ``secure`` has them where it is not there.
        address: Stands for no name.

    Raises:
        NotObservedError: It is not of this form.
    """
    port = answer.get("port") if isinstance(answer, dict) else None
    if not isinstance(port, str) or port not in {"open", "refused", "filtered"}:
        raise NotObservedError("the probe's result is not of its form")
    plain, secure = answer.get("plain") or {}, answer.get("secure")
    if secure is None:
        names = handshakes.get("names") if isinstance(handshakes, dict) else None
        secure = {n or address: _of_handshake(seen) for n, seen in (names or {}).items()}
    if not isinstance(plain, dict) or not isinstance(secure, dict):
        raise NotObservedError("the probe's result is not of its form")
    return Http(
        port=answer["port"],
        plain={str(n): _answers(seen) for n, seen in plain.items()},
        secure={str(n): _answer(seen) for n, seen in secure.items()},
    )


def _of_handshake(seen: Any) -> Any:
    """Return what was answered behind a handshake, or why there was none."""
    return (
        seen.get("head", {"error": seen.get("error", "not asked for")})
        if isinstance(seen, dict)
        else None
    )


def _answers(seen: Any) -> tuple[Answer, ...] | str:
    raw = seen.get("answers") if isinstance(seen, dict) else None
    if not isinstance(raw, list) or not raw:
        return _error(seen)
    found = [_answer(one) for one in raw]
    read = tuple(a for a in found if isinstance(a, Answer))
    return read if len(read) == len(found) else _error(seen)


def _answer(seen: Any) -> Answer | str:
    if not isinstance(seen, dict) or not isinstance(seen.get("status"), int):
        return _error(seen)
    location, hsts = seen.get("location"), seen.get("hsts")
    return Answer(
        status=seen["status"],
        location=one_line(str(location), 200) if location is not None else None,
        hsts=one_line(str(hsts), 120) if hsts is not None else None,
    )


def _error(seen: Any) -> str:
    said = seen.get("error") if isinstance(seen, dict) else None
    return one_line(str(said or "no answer"), 160)
