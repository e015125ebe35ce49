"""The formats that a report can be asked for in, and their writers."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_droplet.report.document import Document
from pytest_droplet.report.github import STDOUT

Asked = Sequence[tuple[str, Path]]
_FOLDERS = frozenset({"hdf"})


def prepare(reports: Asked) -> None:
    """Make sure that each report can be written, before anything is sent.

    Raises:
        OSError: One cannot be.
        pytest.UsageError: Two are to be written to one place.
    """
    seen: dict[Path, str] = {}
    for form, path in reports:
        if path == STDOUT:
            continue
        if (other := seen.setdefault(path.resolve(), form)) != form:
            raise pytest.UsageError(f"--droplets-report: {other} and {form} both go to {path}")
        if form in _FOLDERS:
            path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()


def write_all(reports: Asked, document: Document) -> list[str]:
    """Write each report but the record itself, and return their paths.

    Raises:
        OSError: One cannot be written.
    """
    asked = [(form, path) for form, path in reports if form != "jsonl"]
    for form, path in asked:
        write(form, document, path)
    return [str(path) for _, path in asked if path != STDOUT]


def write(form: str, document: Document, path: Path) -> None:
    """Write one report.

    Raises:
        OSError: It cannot be written.
    """
    _writer(form)(document, path)


def to_stdout(reports: Asked) -> bool:
    """Whether one of the reports is written to standard output."""
    return any(path == STDOUT for _, path in reports)


def _writer(form: str) -> Callable[[Document, Path], None]:
    name, _, how = form.partition(":")
    module = importlib.import_module(f"{__package__}.{name}")
    writer: Callable[[Document, Path], None] = module.append if how else module.write
    return writer
