"""A session of requests that bounds every answer, and gives away nothing that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from pytest_droplet.api.answers import NoAnswerError
from pytest_droplet.api.deadline import POOLS, Deadline
from pytest_droplet.api.workers import IN_FLIGHT
from pytest_droplet.text import one_line

ANSWER_LIMIT_BYTES = 64 * 2**20


def bounded_session(endpoint: str, answer_timeout: float) -> requests.Session:
    """Return a session that bounds every answer, keeps no cookie and sends no password.

    Args:
        endpoint: Where it will ask: a proxy of the environment is used for https alone.
        answer_timeout: Seconds for one whole answer, from the connect to its last byte.
    """
    session = requests.Session()
    session.auth = _NoNetrc()
    session.trust_env = endpoint.startswith("https:")  # no proxy sees a plain request
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(answer_timeout))
    return session


def root_cause(exc: BaseException) -> str:
    """Return the text of the innermost cause: what wraps it only repeats the address."""
    for _ in range(8):
        inner = getattr(exc, "inner_exception", None) or getattr(exc, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((a for a in exc.args if isinstance(a, BaseException)), None)
        if inner is None:
            break
        exc = inner
    return str(exc) or type(exc).__name__


def _refuse_files(exc: Exception) -> None:
    """Name what is to be checked where requests could not read a file that a variable names.

    Raises:
        NoAnswerError: It could not.
    """
    if isinstance(exc, OSError) and not isinstance(exc, requests.RequestException):
        raise NoAnswerError(
            f"{one_line(exc, 200)}; check REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE", again=False
        ) from None


class _NoNetrc(AuthBase):
    """Leaves the header alone; without it requests would put ``~/.netrc`` in its place."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return r


class _Adapter(HTTPAdapter):
    """Reads an answer whole, within its time and its size, where requests has no limits."""

    def __init__(self, answer_timeout: float) -> None:
        self._answer_timeout = answer_timeout
        super().__init__(pool_maxsize=IN_FLIGHT)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if proxy.lower().startswith("http"):  # for SOCKS it has connections of its own
            manager.pool_classes_by_scheme = POOLS
        return manager

    def send(  # noqa: PLR0917 the signature of requests
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 the signature of requests
        timeout: Any = None,
        verify: Any = True,  # noqa: FBT002 the signature of requests
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        with Deadline(self._answer_timeout) as deadline:
            try:
                response = super().send(
                    request,
                    stream=stream,
                    timeout=timeout,
                    verify=verify,
                    cert=cert,
                    proxies=dict(proxies or {}),
                )
                self._take(response)
            except Exception as exc:
                if not deadline.passed:
                    _refuse_files(exc)
                    raise
        if deadline.passed:
            raise NoAnswerError(
                f"the answer was not whole within {self._answer_timeout:g} s; check the network,"
                " and the proxy if any",
                again=False,
            )
        return response

    def _take(self, response: requests.Response) -> None:
        """Read the body into the response."""
        try:
            response._content = self._read(response.raw)  # noqa: SLF001 see the class
        except BaseException:
            response.close()
            raise
        response._content_consumed = True  # noqa: SLF001

    def _read(self, raw: Any) -> bytes:
        read = getattr(raw, "read1", raw.read)
        parts: list[bytes] = []
        size = 0
        try:
            while part := read(2**16, decode_content=True):
                parts.append(part)
                size += len(part)
                if size > ANSWER_LIMIT_BYTES:
                    raise NoAnswerError(
                        f"the answer is longer than {ANSWER_LIMIT_BYTES >> 20} MiB", again=False
                    )
        except urllib3.exceptions.ReadTimeoutError:
            raise NoAnswerError("the answer stalled; check the network") from None
        except (urllib3.exceptions.HTTPError, OSError):
            raise NoAnswerError(
                "the answer broke off before its end; check the network, and the proxy if any"
            ) from None
        return b"".join(parts)
