"""The only module that imports pydo: one request, sent and read within its time.

pydo builds the request and holds the connections. The door takes the answer before pydo reads
it: pydo would return a 404 as if it were data, parse every body twice, and as XML where the
header says so.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, NoReturn

import pydo
from azure.core.exceptions import (
    AzureError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport

from pytest_droplet.api.answers import Answer, ApiError, NoAnswerError, decode
from pytest_droplet.api.http import bounded_session, root_cause
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
