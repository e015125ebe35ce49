"""What pytest and its plugins show of ordinary tests: no secret, nothing that acts on a terminal.

Assertions, arguments, parameters and captured output have in them what hosts and the API said.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from warnings import WarningMessage

import pytest
from _pytest.junitxml import xml_key

from pytest_droplet.redact import redact, redact_json
from pytest_droplet.text import harmless, harmless_line

_PICTURES = ("image", "video")


def ids(metafunc: pytest.Metafunc) -> None:
    """Mask secrets in the ids of parameters: node ids, names and check ids are made of them.

    Two that would become one are numbered in their order.
    """
    shown: dict[str, str] = {}
    for number, call in enumerate(metafunc._calls):  # noqa: SLF001 no hook sees ids that are given
        metafunc._calls[number] = replace(  # noqa: SLF001
            call,
            _idlist=[_id(text, shown) for text in call._idlist],  # noqa: SLF001
        )


def _id(text: str, shown: dict[str, str]) -> str:
    masked = redact(text)
    if masked == text:
        return text
    if text not in shown:
        earlier = sum(other.startswith(masked) for other in shown.values())
        shown[text] = f"{masked}{earlier + 1}" if earlier else masked
    return shown[text]


def report(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make all texts of a report harmless; done twice it changes no more."""
    report.sections = [(_line(name), _text(text)) for name, text in report.sections]
    given: list[tuple[str, Any]] = getattr(report, "user_properties", [])
    given[:] = [(_text(name), _value(value)) for name, value in given]
    if reason := getattr(report, "wasxfail", None):
        report.wasxfail = _text(reason)  # type: ignore[union-attr]
    _context(getattr(report, "context", None))
    report.longrepr = _longrepr(report.longrepr)


def properties_of_suite(config: pytest.Config) -> None:
    """Mask secrets in what tests say of the whole run by ``record_testsuite_property``."""
    if (junit := config.stash.get(xml_key, None)) is not None:
        junit.global_properties = [(_text(n), _text(v)) for n, v in junit.global_properties]


def extras(found: list[Any]) -> list[Any]:
    """Return pytest-html's extras without secrets; pictures stay as they are."""
    return [
        extra
        if not isinstance(extra, dict) or extra.get("format_type") in _PICTURES
        else redact_json(extra)
        for extra in found
    ]


def warning(message: WarningMessage) -> None:
    """Mask secrets in a warning that pytest lists at the end of the run."""
    text = str(message.message)
    if (masked := redact(text)) != text:
        message.message = UserWarning(masked)


def _text(text: str) -> str:
    return harmless(redact(text).expandtabs())


def _value(value: object) -> object:
    """Return the value of a user property; one that is no text becomes one where it must."""
    if isinstance(value, str):
        return _text(value)
    text = str(value)
    return value if redact(text) == text else redact(text)


def _context(context: Any) -> None:
    """Clean what a subtest was given; pytest's class is frozen, and makes reprs of what is set."""
    if context is not None:
        msg = None if context.msg is None else harmless_line(redact(str(context.msg)))
        kwargs = {_line(key): _line(value) for key, value in context.kwargs.items()}
        object.__setattr__(context, "msg", msg)
        object.__setattr__(context, "kwargs", kwargs)


def _line(value: object) -> str:
    return harmless_line(redact(str(value)))


def _longrepr(longrepr: Any) -> Any:
    if longrepr is None:
        return None
    if isinstance(longrepr, str):
        return _text(longrepr)
    if isinstance(longrepr, tuple):
        return (*longrepr[:2], _line(longrepr[2]))
    parts = getattr(longrepr, "chain", None)
    if parts is None and hasattr(longrepr, "reprtraceback"):  # --tb=native
        parts = [(longrepr.reprtraceback, getattr(longrepr, "reprcrash", None), None)]
    if parts is None:
        return _text(str(longrepr))
    for traceback, crash, _ in parts:
        if crash is not None:
            crash.message = _text(crash.message)
        _traceback(traceback)
    longrepr.sections = [(_line(n), _text(text), sep) for n, text, sep in longrepr.sections]
    return longrepr


def _traceback(traceback: Any) -> None:
    for entry in traceback.reprentries:
        if entry.style == "native":
            entry.lines = [_text("".join(entry.lines)) + "\n"]
            continue
        entry.lines = _lines(entry.lines)
        if entry.reprfuncargs:
            entry.reprfuncargs.args = [(n, _text(v)) for n, v in entry.reprfuncargs.args]
        if entry.reprlocals:
            entry.reprlocals.lines = _lines(entry.reprlocals.lines)
        if entry.reprfileloc:
            entry.reprfileloc.message = _text(entry.reprfileloc.message)


def _lines(lines: list[str]) -> list[str]:
    """Return lines without secrets; a private key stands on several."""
    return [_text(line) for line in redact("\n".join(lines)).split("\n")] if lines else []
