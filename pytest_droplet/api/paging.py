"""Whole lists: every page of one, or an error, never a part."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Self

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.operations import OPERATIONS, PER_PAGE
from pytest_droplet.api.workers import IN_FLIGHT, Workers


@dataclass(slots=True)
class _Waits:
    """What is waited for of a path: pages that were read and are known, and who waits."""

    done: int = 0
    pages: int = 0
    waiters: int = 0


class Reader:
    """What every source of answers shares; a subclass says how one request is sent.

    ``on_answer``, where set, gets operation, parameters and raw answer of every request, and for
    one that failed the :class:`ApiError`; it may be called by several threads at once.
    """

    def __init__(self, endpoint: str, *, notice: Callable[[str], None] | None = None) -> None:
        self.endpoint = endpoint
        self.notice: Callable[[str], None] = notice or (lambda _: None)
        self.on_answer: Callable[[str, dict[str, Any], Any], None] | None = None
        self._underway: dict[str, _Waits] = {}
        self._counting = threading.Lock()

    def underway(self) -> str:
        """Return what is waited for: lists with their pages, in the order of the requests."""
        with self._counting:
            waits = [f"GET {p}: {w.done} of {w.pages}" for p, w in self._underway.items()]
        more = f" and {len(waits) - 2} more" if len(waits) > 2 else ""
        return f"{', '.join(waits[:2])}{more}" if waits else "the API"

    @contextlib.contextmanager
    def waiting(self, path: str, pages: int = 1, *, for_all: bool = True) -> Generator[_Waits]:
        """Count the pages of a path as waited for, for as long as the block takes.

        Args:
            path: With the names of its parameters: lists of one path are counted together.
            pages: How many are known to come.
            for_all: Whether they are counted where somebody waits for the path already.
        """
        with self._counting:
            waits = self._underway.setdefault(path, _Waits())
            waits.pages += pages if for_all or not waits.waiters else 0
            waits.waiters += 1
        try:
            yield waits
        finally:
            with self._counting:
                waits.waiters -= 1
                if not waits.waiters:
                    del self._underway[path]

    @property
    def requests(self) -> int:
        """How many requests were sent, retries included."""
        return 0

    def pause(self, seconds: float) -> None:
        """Wait before something is asked again: not at all where nothing can have changed."""

    def close(self) -> None:
        """Give back what the source holds; nothing may be asked any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, operation: str, **params: Any) -> dict[str, Any]:
        """Ask once and return the raw answer, which has the operation's key.

        Raises:
            NotFoundError: 404.
            ApiError: No answer, or not the one that the API promises.
        """
        try:
            body = _with_key(self._ask(operation, params), operation, params)
        except ApiError as exc:
            if self.on_answer is not None:
                self.on_answer(operation, params, exc)
            raise
        if self.on_answer is not None:
            self.on_answer(operation, params, body)
        return body

    def pages(self, operation: str, *, per_page: int = PER_PAGE, **params: Any) -> list[Any]:
        """Read all pages of a list.

        Page 1 comes first, the others together. Rows are told apart by the operation's identity
        and counted against ``meta.total``; where that does not fit, something was created or
        destroyed meanwhile and all pages are read once more.

        Returns:
            The rows. An answer that is a map (``policies``) gives its (key, value) pairs.

        Raises:
            NotFoundError: 404.
            ApiError: A page is missing, or the count does not fit in the second reading either.
        """
        found = total = 0
        for _ in range(2):
            rows, totals = self._all_pages(operation, params, per_page)
            found, total = len(rows), max(totals)
            if totals == {found}:
                return rows
        raise ApiError(
            f"{OPERATIONS[operation].request(params)}: {found} of {total} rows came in two "
            "readings: the list changes while it is read; run again"
        )

    def _all_pages(
        self, operation: str, params: dict[str, Any], per_page: int
    ) -> tuple[list[Any], set[int]]:
        known = OPERATIONS[operation]
        where = known.request(params)

        def page(number: int) -> dict[str, Any]:
            answer = self.get(operation, **params, page=number, per_page=per_page)
            waits.done += 1
            return answer

        of_many = known.path != where.removeprefix("GET ")
        with self.waiting(known.path, for_all=not of_many) as waits:
            answers = [page(1)]
            count = math.ceil(_total(answers[0], where) / per_page)
            if count > 1:
                waits.pages += count - 1
                with Workers(min(IN_FLIGHT, count - 1)) as workers:
                    asked = [workers.submit(page, number) for number in range(2, count + 1)]
                    answers += [answer.result() for answer in asked]
        rows: dict[Any, Any] = {}
        for answer in answers:
            for identity, row in _rows(answer[known.key], known.identity, f"{where}: {known.key}"):
                rows.setdefault(identity, row)
        return list(rows.values()), {_total(answer, where) for answer in answers}

    def _ask(self, operation: str, params: dict[str, Any]) -> Any:
        raise NotImplementedError


def _with_key(body: Any, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    known = OPERATIONS[operation]
    if isinstance(body, dict) and known.key in body:
        return body
    raise ApiError(
        f"{known.request(params)}: the answer has no {known.key!r}; "
        "is this DigitalOcean's API? Check DIGITALOCEAN_API_URL"
    )


def _total(answer: dict[str, Any], where: str) -> int:
    meta = answer.get("meta")
    total = meta.get("total") if isinstance(meta, dict) else None
    if isinstance(total, bool) or not isinstance(total, int) or not 0 <= total < 10**7:
        raise ApiError(
            f"{where}: the answer does not say how many rows there are (meta.total); "
            "is this DigitalOcean's API? Check DIGITALOCEAN_API_URL"
        )
    return total


def _rows(value: Any, identity: str | None, where: str) -> list[tuple[Any, Any]]:
    """Return each row with what tells it from another; a map's rows are its pairs."""
    if value is None:
        return []
    if identity is None and isinstance(value, dict):
        return [(key, (key, row)) for key, row in value.items()]
    if identity is not None and isinstance(value, list):
        marks = [row.get(identity) if isinstance(row, dict) else None for row in value]
        if all(isinstance(mark, str | int) for mark in marks):
            return list(zip(marks, value, strict=True))
    expected = "a map" if identity is None else f"a list of objects that have {identity!r}"
    raise ApiError(
        f"{where} is not {expected}; is this DigitalOcean's API? Check DIGITALOCEAN_API_URL"
    )
