"""What an ini file's ``addopts`` may set, and how it narrows a run: it stands for no person."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_droplet.options import OPTIONS, ini_name
from pytest_droplet.redact import redact
from pytest_droplet.text import one_line

if TYPE_CHECKING:
    from pytest_droplet.record import NarrowedEntry

# testinfra's, by argparse's names.
_REACH = ("ssh_config", "ssh_identity_file", "sudo", "sudo_user", "hosts", "connection")

# pytest's own, by argparse's names: with them it ends without a test.
_RUNS_NOTHING = {
    "collectonly": "--collect-only",
    "setupplan": "--setup-plan",
    "setuponly": "--setup-only",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "markers": "--markers",
    "cacheshow": "--cache-show",
    "help": "--help",
    "version": "--version",
}

# pytest's own that leave tests out.
_NARROWS = {
    "keyword": "-k",
    "markexpr": "-m",
    "deselect": "--deselect",
    "lf": "--lf",
    "stepwise": "--stepwise",
    "maxfail": "--maxfail",
    "ignore": "--ignore",
    "ignore_glob": "--ignore-glob",
    "noconftest": "--noconftest",
    "file_or_dir": "arguments",
}
_LONGEST = 500
_NOT_SET: tuple[Any, ...] = (None, False, 0, "", [])


def refuse(config: pytest.Config) -> None:
    """Refuse what an ini file's ``addopts`` may not set.

    Every option of ours; in an audit also those of testinfra that say how hosts are reached (an
    ssh config names commands and known_hosts files), those of pytest that run no test, and a page
    outside the ini file's folder.

    Raises:
        pytest.UsageError: Names the ini file, the option and its value.
    """
    found = _of_ini(config)
    if found is None or hasattr(config, "workerinput"):
        return
    audits = bool(config.getoption("--droplets"))
    own = {"droplets": "--droplets"} | {o.key: o.flag for o in OPTIONS}
    reach = {key: "--" + key.replace("_", "-") for key in _REACH} if audits else {}
    nothing = _RUNS_NOTHING if audits else {}
    for key, flag in (own | reach | nothing).items():
        value = getattr(found, key, None)
        if value in _NOT_SET:
            continue
        text = one_line(value[0] if type(value) is list else value, _LONGEST)
        shown = flag if value is True else f"{flag}={text}"
        ini = any(o.ini and o.key == key for o in OPTIONS)
        raise pytest.UsageError(
            f"{ini_name(config)}: addopts has {shown}: no file of a project may set it; "
            + (f"write {key} = {text} there" if ini else "type it on the command line")
        )
    page = getattr(found, "htmlpath", None)
    if page and audits and config.option.htmlpath == page:
        folder = (config.inipath or config.rootpath / "x").parent.resolve()
        if not (config.invocation_params.dir / page).resolve().is_relative_to(folder):
            raise pytest.UsageError(
                f"{ini_name(config)}: addopts has --html={page}: the page must be below the"
                " folder of that file; type another on the command line"
            )


def narrowed_by(config: pytest.Config) -> Iterator[NarrowedEntry]:
    """Yield the options of pytest that leave tests out of this run, and where each was set.

    Arguments are told of an ini file alone: on the command line they say what the run is about.
    """
    found = _of_ini(config) or Namespace()
    for key, flag in _NARROWS.items():
        of_ini = getattr(found, key, None)
        value = of_ini if key == "file_or_dir" else getattr(config.option, key, None)
        if value in _NOT_SET:
            continue
        text = shlex.join(map(str, value)) if isinstance(value, list) else str(value)
        yield {
            "option": flag,
            "value": "" if value is True else one_line(redact(text), _LONGEST),
            "source": ini_name(config) if value == of_ini else "command line",
        }


def _of_ini(config: pytest.Config) -> Namespace | None:
    """Return the values of an ini file's ``addopts``; None where it has none."""
    added = config.getini("addopts")
    if not added:
        return None
    found: Namespace = config._parser.parse_known_args(list(added))  # noqa: SLF001 no public way
    return found
