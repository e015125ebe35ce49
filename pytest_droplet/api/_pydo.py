"""The only module that imports pydo: one request, sent and read within its time.

pydo builds the request and holds the connections. The door takes the answer before pydo reads
it: pydo would return a 404 as if it were data, parse every body twice, and as XML where the
header says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any, NoReturn

import pydo
import requests
import urllib3
from azure.core.exceptions import (
    AzureError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from pytest_droplet.api.client import (
    ANSWER_LIMIT_BYTES,
    IN_FLIGHT,
    Answer,
    ApiError,
    NoAnswerError,
    decode,
)
from pytest_droplet.api.deadline import POOLS, Deadline
from pytest_droplet.redact import Secret, redact
from pytest_droplet.text import one_line


class _Answered(Exception):  # noqa: N818 no error: it carries the answer past pydo
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class _Door(SansIOHTTPPolicy):  # type: ignore[misc]
    """Lets ``GET`` to the endpoint through, with the token, and takes the answer."""

    def __init__(self, endpoint: str, token: Secret) -> None:
        self._prefix = f"{endpoint}/v2/"
        self._token = token

    def on_request(self, request: Any) -> None:
        sent = request.http_request
        if sent.method != "GET":
            raise ApiError(f"{sent.method} refused: the audit only reads, with GET")
        if not sent.url.startswith(self._prefix):
            raise ApiError("a request to another place than the endpoint was refused")
        sent.headers["Authorization"] = f"Bearer {self._token.reveal()}"

    def on_response(self, _: Any, response: Any) -> NoReturn:
        got = response.http_response
        raise _Answered(decode(got.status_code, got.headers, got.content))


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
            except Exception:
                if not deadline.passed:
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


class Transport:
    """pydo's client with a session of its own, shared by threads."""

    def __init__(
        self,
        endpoint: str,
        token: Secret,
        timeouts: tuple[float, float],
        answer_timeout: float,
    ) -> None:
        self._timeouts = timeouts
        self._session = bounded_session(endpoint, answer_timeout)
        nothing = SansIOHTTPPolicy()
        self._client = pydo.Client(
            "held by the door",
            endpoint=endpoint,
            transport=RequestsTransport(
                session=self._session,
                session_owner=False,
                connection_timeout=timeouts[0],
                read_timeout=timeouts[1],
            ),
            authentication_policy=_Door(endpoint, token),
            redirect_policy=nothing,
            retry_policy=nothing,
            logging_policy=nothing,
            http_logging_policy=nothing,
            user_agent=f"pytest-droplet/{version('pytest-droplet')}",
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(self, operation: str, params: dict[str, Any]) -> Answer:
        """Send the request of an operation.

        Raises:
            NoAnswerError: No whole answer came.
        """
        group, method = operation.split(".")
        call = getattr(getattr(self._client, group), method)
        try:
            call(**params)
        except _Answered as exc:
            return exc.answer
        except ServiceRequestTimeoutError:
            reason = f"no connection within {self._timeouts[0]:g} s; check the network"
        except ServiceResponseTimeoutError:
            reason = f"no answer within {self._timeouts[1]:g} s; check the network"
        except ServiceRequestError as exc:
            cause = one_line(redact(root_cause(exc)), 200)
            reason = f"no connection ({cause}); check DIGITALOCEAN_API_URL, the network, the proxy"
        except AzureError as exc:
            reason = f"no answer ({one_line(redact(root_cause(exc)), 200)}); check the network"
        else:
            reason = "pydo returned without sending anything; is its version supported?"
        raise NoAnswerError(reason)


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
