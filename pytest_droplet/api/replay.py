"""A recording in place of the API: what is kept of an answer, and answers from what was kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from pytest_droplet.api.answers import ApiError, NotFoundError
from pytest_droplet.api.endpoint import DEFAULT_ENDPOINT
from pytest_droplet.api.operations import OPERATIONS
from pytest_droplet.api.paging import Reader
from pytest_droplet.api.parsing import parse_account_id
from pytest_droplet.text import one_line


def answer_key(operation: str, params: Mapping[str, Any]) -> str:
    """Return the name of an answer in a recording: ``droplets.list?page=1&per_page=200``."""
    query = urlencode(sorted((name, _query_text(value)) for name, value in params.items()))
    return f"{operation}?{query}" if query else operation


def _query_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def recorded(answer: Any) -> Any:
    """Return what a recording keeps of what ``on_answer`` got: JSON-able.

    The template of an autoscale pool is left out: its ``user_data`` may hold any secret. Of the
    account only its id is kept: no name and no e-mail address.
    """
    if isinstance(answer, ApiError):
        return {"api_error": str(answer), "status": answer.status}
    if isinstance(answer, dict) and "account" in answer:
        return {"account": _id_alone(answer["account"])}
    if isinstance(answer, dict) and isinstance(pools := answer.get("autoscale_pools"), list):
        kept = [
            {k: v for k, v in p.items() if k != "droplet_template"} if isinstance(p, dict) else p
            for p in pools
        ]
        return {**answer, "autoscale_pools": kept}
    return answer


def _id_alone(account: Any) -> dict[str, str]:
    try:
        return {"uuid": parse_account_id(account)}
    except ApiError:
        return {}


class ReplayClient(Reader):
    """Answers from a recording; nothing is sent.

    Args:
        answers: By :func:`answer_key`: the raw answer, or ``{"api_error": text, "status": 403}``
            for a request that failed (:func:`recorded` makes both).
        endpoint: Where the recording was made.
        notice: Gets one line where the user waits: never.
    """

    def __init__(
        self,
        answers: Mapping[str, Any],
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(endpoint, notice=notice)
        self._answers = answers

    def _ask(self, operation: str, params: dict[str, Any]) -> Any:
        what = OPERATIONS[operation].request(params)
        key = answer_key(operation, params)
        if key not in self._answers:
            raise ApiError(
                f"{what}: the recording has no answer for {key}; record again with this selection"
            )
        answer = self._answers[key]
        if isinstance(answer, dict) and isinstance(text := answer.get("api_error"), str):
            status = answer.get("status")
            kind = NotFoundError if status == 404 else ApiError
            raise kind(one_line(text, 500), status if isinstance(status, int) else None)
        return answer
