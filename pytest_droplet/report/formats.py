"""The formats that a report can be asked for in, and their writers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_droplet.files import Draft, hold
from pytest_droplet.report.document import Document
from pytest_droplet.report.github import STDOUT

Asked = Sequence[tuple[str, Path]]
_FOLDERS = frozenset({"hdf"})


class Places:
    """Where reports go: each is put to its place when it is whole.

    The record, which is written as verdicts come, has its own way.

    Attributes:
        asked: Format and path of each that is drawn by :meth:`write`: neither record nor page.
    """

    def __init__(self, reports: Asked) -> None:
        """Make sure that each report can be written, before anything is sent.

        Raises:
            OSError: One cannot be.
            pytest.UsageError: Two are to be written to one place.
        """
        self.asked = [(form, path) for form, path in reports if form not in {"jsonl", "html"}]
        self._drafts: dict[Path, Draft] = {}
        self._folders: list[Draft] = []
        _refuse_two_at_one_place(reports)
        try:
            for form, path in reports:
                if path != STDOUT and form != "jsonl":
                    self._prepare(form, path)
        except OSError:
            self.close()
            raise

    def _prepare(self, form: str, path: Path) -> None:
        if form in _FOLDERS:
            self._folders.append(hold(path))
        elif ":" in form:  # it is appended to
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
        else:
            self._drafts[path] = Draft(path)

    @contextmanager
    def writing(self, path: Path) -> Generator[Path]:
        """Give the path to write a report to, and put it to its place afterwards.

        Raises:
            OSError: It cannot be put there.
        """
        draft = self._drafts.get(path)
        yield draft.path if draft else path
        if draft:
            draft.put()

    def write(self, form: str, document: Document, path: Path) -> None:
        """Write one report.

        Raises:
            OSError: It cannot be written.
        """
        with self.writing(path) as beside:
            _writer(form)(document, beside)

    def write_all(self, document: Document) -> list[str]:
        """Write each report but the record itself, and return their paths.

        Raises:
            OSError: One cannot be written.
        """
        for form, path in self.asked:
            self.write(form, document, path)
        return [str(path) for _, path in self.asked if path != STDOUT]

    def close(self) -> None:
        """Remove what was not put to its place."""
        for draft in [*self._drafts.values(), *self._folders]:
            draft.discard()


def _refuse_two_at_one_place(reports: Asked) -> None:
    seen: dict[Path, str] = {}
    for form, path in reports:
        if path != STDOUT and (other := seen.setdefault(path.resolve(), form)) != form:
            raise pytest.UsageError(f"--droplets-report: {other} and {form} both go to {path}")


def to_stdout(reports: Asked) -> bool:
    """Whether one of the reports is written to standard output."""
    return any(path == STDOUT for _, path in reports)


def _writer(form: str) -> Callable[[Document, Path], None]:
    name, _, how = form.partition(":")
    module = importlib.import_module(f"{__package__}.{name}")
    writer: Callable[[Document, Path], None] = module.append if how else module.write
    return writer
