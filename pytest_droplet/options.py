"""The options table: flag, ini key, environment, default and help of each, and their values."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_droplet.words import PROFILES, SEVERITIES, Severity

REPORT_FORMATS = ("jsonl", "sarif", "ocsf", "hdf", "csv", "markdown", "github", "oscal")


@dataclass(frozen=True)
class Option:
    """A row of the table: ``name`` makes ``--droplets-<name>`` and, with ``ini``, an ini key.

    ``kind`` is what the command line takes: one value, a whole number, a flag, or one value each
    time it is given.
    """

    name: str
    help: str
    default: str | int | None = None
    kind: Literal["value", "number", "flag", "list"] = "value"
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    ini: bool = False
    environment: str | None = None
    gate: bool = False

    @property
    def flag(self) -> str:
        """The long option of the command line."""
        return f"--droplets-{self.name}"

    @property
    def key(self) -> str:
        """The ini key, which is also argparse's destination."""
        return "droplets_" + self.name.replace("-", "_")


OPTIONS = (
    Option(
        "profile",
        "checks to run: droplet (what DigitalOcean's guide asks), cis1, cis2, extended, all, none;"
        " commas join",
        default="droplet",
        metavar="P[,P]",
        ini=True,
    ),
    Option(
        "address",
        "address of each Droplet to connect to",
        default="public",
        choices=("public", "private", "ipv6", "reserved"),
        ini=True,
    ),
    Option("user", "SSH user; default from ssh config, else root", metavar="NAME"),
    Option(
        "host-key",
        "strict: known_hosts decides; accept-new: unknown hosts are added to known_hosts",
        default="strict",
        choices=("strict", "accept-new"),
    ),
    Option(
        "connections",
        "hosts that are read at once",
        default=200,
        kind="number",
        metavar="N",
        ini=True,
    ),
    Option(
        "connect-timeout",
        "seconds to connect to a host",
        default=10,
        kind="number",
        metavar="S",
        ini=True,
    ),
    Option(
        "timeout", "seconds for all of one host", default=60, kind="number", metavar="S", ini=True
    ),
    Option(
        "probe",
        "look at each Droplet from outside too (SSH methods, TLS, HTTP); off: what needs it is"
        " unknown",
        default="on",
        choices=("on", "off"),
        ini=True,
    ),
    Option(
        "prefetch",
        "fetch what testinfra's modules asked the first host from all others ahead of time, in one"
        " batch each; answers are as of then",
        kind="flag",
    ),
    Option(
        "report",
        f"write a report, may be given again; formats: {', '.join(REPORT_FORMATS)}"
        " (HTML is --html)",
        kind="list",
        metavar="FORMAT:PATH",
    ),
    Option(
        "min-coverage",
        "percent of the Droplets that must have been reached",
        default=100,
        kind="number",
        metavar="PERCENT",
        ini=True,
        gate=True,
    ),
    Option(
        "unknown",
        "what a check that could not observe its facts does",
        default="fail",
        choices=("fail", "skip"),
        ini=True,
        gate=True,
    ),
    Option(
        "waivers",
        "accepted findings, with reason and expiry (default: droplet-waivers.toml beside the ini"
        " file, if there)",
        metavar="FILE",
        ini=True,
        gate=True,
    ),
    Option(
        "baseline",
        "an earlier jsonl record: say what is new, fixed, still failing",
        metavar="FILE",
        ini=True,
        gate=True,
    ),
    Option(
        "fail-on",
        "least severity of findings that fail the run; with ,new only those that the baseline"
        " had not",
        default="low",
        metavar="SEVERITY[,new]",
        ini=True,
        gate=True,
    ),
    Option(
        "shard",
        "run the I-th of N parts of the Droplets; `python -m pytest_droplet merge` joins the records",
        metavar="I/N",
    ),
    Option("record", "save every API answer, host reading and probe, redacted", metavar="DIR"),
    Option("replay", "run from a recording: no network", metavar="DIR"),
    Option(
        "eol-refresh",
        "ask endoflife.date for end-of-life dates first: they add releases and may shorten support,"
        " never lengthen it",
        kind="flag",
    ),
    Option(
        "doctl-context",
        "take the API token from this authentication context of doctl",
        metavar="NAME",
    ),
    Option("list", "print the selected Droplets and exit", kind="flag"),
    Option("explain", "print the page of a check and exit", metavar="ID"),
    Option("show-script", "print the script that hosts would be sent and exit", kind="flag"),
)


@dataclass(frozen=True)
class AuditConfig:
    """The values of all options of one run, parsed, and where each came from.

    ``sources`` maps an option's name to ``command line``, ``environment``, the ini file's name or
    ``default``.
    """

    selectors: tuple[str, ...]
    profiles: frozenset[str]
    address: Literal["public", "private", "ipv6", "reserved"]
    user: str | None
    host_key: Literal["strict", "accept-new"]
    connections: int
    connect_timeout_s: int
    timeout_s: int
    probe: bool
    prefetch: bool
    reports: tuple[tuple[str, Path], ...]
    min_coverage: int
    unknown: Literal["fail", "skip"]
    waivers: Path | None
    baseline: Path | None
    fail_on: Severity
    fail_on_new: bool
    shard: tuple[int, int] | None
    record: Path | None
    replay: Path | None
    eol_refresh: bool
    doctl_context: str | None
    html: Path | None
    sources: Mapping[str, str]

    @property
    def keeps_findings(self) -> bool:
        """Whether findings outlive the run, or are held against those of an earlier one."""
        return bool(self.reports or self.html or self.record or self.baseline)

    @property
    def shown(self) -> dict[str, str | int]:
        """Options that matter to a reader of the report; never a secret."""
        return ({} if self.shard is None else {"shard": "{}/{}".format(*self.shard)}) | {
            "profile": ",".join(sorted(self.profiles)) or "none",
            "address": self.address,
            "host-key": self.host_key,
            "probe": "on" if self.probe else "off",
            "unknown": self.unknown,
            "min-coverage": self.min_coverage,
            "fail-on": self.fail_on + (",new" if self.fail_on_new else ""),
        }


def add_options(parser: pytest.Parser) -> None:
    """Register ``--droplets`` and every row of the table."""
    group = parser.getgroup("droplets", "DigitalOcean Droplets (pytest-droplet)")
    group.addoption(
        "--droplets",
        action="append",
        metavar="SELECTOR",
        help="audit the Droplets that match: all, tag:T, name:GLOB, id:N, region:R, vpc:ID,"
        " image:GLOB, size:S, project:NAME, demo; commas mean and, ! negates, given again it"
        " adds up",
    )
    for option in OPTIONS:
        text = option.help
        if option.default is not None:
            text += f" (default: {option.default})"
        actions: dict[str, dict[str, Any]] = {
            "value": {"action": "store"},
            "number": {"action": "store"},
            "flag": {"action": "store_true", "default": False},
            "list": {"action": "append"},
        }
        extra = actions[option.kind]
        if option.kind != "flag":
            extra["metavar"] = option.metavar or "{" + ",".join(option.choices) + "}"
        group.addoption(option.flag, dest=option.key, help=text, **extra)
        if option.ini:
            parser.addini(option.key, f"default of {option.flag}: {option.help}", default=None)


def ini_name(config: pytest.Config) -> str:
    """Return the name of the file that ini keys come from."""
    return config.inipath.name if config.inipath else "the ini file"


def read_options(config: pytest.Config) -> AuditConfig:
    """Parse the options of a run.

    Raises:
        pytest.UsageError: A value is not possible; the text names the option, the value, where
            it came from and the choices.
    """
    _refuse_unknown_keys(config)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in OPTIONS:
        values[option.name], sources[option.name] = _value(option, config)
    html = getattr(config.option, "htmlpath", None)
    least, new = parse_fail_on(values["fail-on"], sources["fail-on"])
    if new and not values["baseline"]:
        raise pytest.UsageError(
            f"--droplets-fail-on={values['fail-on']}: `new` needs --droplets-baseline=FILE"
        )
    return AuditConfig(
        selectors=tuple(config.getoption("--droplets") or ()),
        profiles=_profiles(values["profile"], sources["profile"]),
        address=values["address"],
        user=values["user"],
        host_key=values["host-key"],
        connections=_at_least(1, "connections", values, sources),
        connect_timeout_s=_at_least(1, "connect-timeout", values, sources),
        timeout_s=_at_least(1, "timeout", values, sources),
        probe=values["probe"] == "on",
        prefetch=values["prefetch"],
        reports=tuple(
            parse_report(text, config.invocation_params.dir) for text in values["report"]
        ),
        min_coverage=percent(values["min-coverage"], sources["min-coverage"]),
        unknown=values["unknown"],
        waivers=_file("waivers", values, sources, config),
        baseline=_file("baseline", values, sources, config),
        fail_on=least,
        fail_on_new=new,
        shard=_shard(values["shard"]),
        record=_path(values["record"], config.invocation_params.dir),
        replay=_path(values["replay"], config.invocation_params.dir),
        eol_refresh=values["eol-refresh"],
        doctl_context=values["doctl-context"],
        html=_path(html, config.invocation_params.dir),
        sources=sources,
    )


def gates_from_ini(audit: AuditConfig) -> str:
    """Return one line on the gate options that an ini file set; empty where none was."""
    found = [
        f"{o.flag}={getattr(audit, o.name.replace('-', '_'))} ({audit.sources[o.name]})"
        for o in OPTIONS
        if o.gate and audit.sources[o.name] not in {"default", "command line", "environment"}
    ]
    return ", ".join(found)


def _value(option: Option, config: pytest.Config) -> tuple[Any, str]:
    given = config.getoption(option.key)
    if given not in (None, False):
        return _parsed(option, given, "command line"), "command line"
    if option.environment and (text := os.environ.get(option.environment)):
        return _parsed(option, text, "environment"), "environment"
    if option.ini and (text := _ini_text(option.key, config)):
        where = ini_name(config)
        return _parsed(option, text, where), where
    if option.kind == "list":
        return [], "default"
    return (False if option.kind == "flag" else option.default), "default"


def _ini_text(key: str, config: pytest.Config) -> str:
    """Return an ini key's value; of pytest's native TOML tables as an ini file would have it."""
    found = getattr(config, "_inicfg", {}).get(key)
    value = getattr(found, "value", found)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(config.getini(key) or "") if value is None or isinstance(value, str) else str(value)


def _refuse_unknown_keys(config: pytest.Config) -> None:
    """Refuse ini keys that would be ours if there were such keys.

    Raises:
        pytest.UsageError: Names the file, the key, and what was meant.
    """
    known = [option.key for option in OPTIONS if option.ini]
    flags = {"droplets": "--droplets"} | {o.key: o.flag for o in OPTIONS if not o.ini}
    for key in sorted(config._get_unknown_ini_keys()):  # noqa: SLF001 it has no public way
        name = key.replace("-", "_")
        if name != "droplets" and not name.startswith("droplets_"):
            continue
        if name in flags:
            hint = f"no file of a project may set it; type {flags[name]} on the command line"
        else:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)
            hint = f"there is no such key; did you mean {near[0]}?"
        raise pytest.UsageError(f"{ini_name(config)}: {key}: {hint}")


def _parsed(option: Option, value: Any, where: str) -> Any:
    if option.choices and value not in option.choices:
        raise pytest.UsageError(
            f"{option.flag}={value} ({where}): choose from {', '.join(option.choices)}"
        )
    if option.kind == "number":
        try:
            return int(value)
        except ValueError:
            raise pytest.UsageError(
                f"{option.flag}={value} ({where}): expected a whole number"
            ) from None
    return value


def _at_least(least: int, name: str, values: Mapping[str, Any], sources: Mapping[str, str]) -> int:
    value: int = values[name]
    if value < least:
        raise pytest.UsageError(
            f"--droplets-{name}={value} ({sources[name]}): expected {least} or more"
        )
    return value


def percent(value: int, where: str) -> int:
    """Return the percent of Droplets that must have been reached.

    Raises:
        pytest.UsageError: It is below 0 or above 100.
    """
    if not 0 <= value <= 100:
        raise pytest.UsageError(
            f"--droplets-min-coverage={value} ({where}): expected a percentage from 0 to 100"
        )
    return value


def _profiles(text: str, where: str) -> frozenset[str]:
    names = {name.strip() for name in text.split(",")}
    known = {*PROFILES, "all", "none"}
    if wrong := sorted(names - known):
        raise pytest.UsageError(
            f"--droplets-profile={text} ({where}): {wrong[0]!r} is none of"
            f" {', '.join((*PROFILES, 'all', 'none'))}"
        )
    if "all" in names:
        return frozenset(PROFILES)
    if "cis2" in names:
        names.add("cis1")
    return frozenset(names - {"none"})


def parse_fail_on(text: str, where: str) -> tuple[Severity, bool]:
    """Return the least severity that fails a run, and whether new findings alone do.

    Raises:
        pytest.UsageError: The severity is not known.
    """
    name, comma, new = text.partition(",")
    for severity in SEVERITIES:
        if name == severity and (not comma or new == "new"):
            return severity, bool(comma)
    raise pytest.UsageError(
        f"--droplets-fail-on={text} ({where}): expected one of {', '.join(SEVERITIES)},"
        " and `,new` behind it for new findings alone"
    )


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    part, _, parts = text.partition("/")
    if part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise pytest.UsageError(f"--droplets-shard={text}: expected I/N, as 1/8 to 8/8")


def _file(
    name: str, values: Mapping[str, Any], sources: Mapping[str, str], config: pytest.Config
) -> Path | None:
    """Return a path; one from an ini file is below its folder."""
    if values[name] is None or config.inipath is None or sources[name] != config.inipath.name:
        return _path(values[name], config.invocation_params.dir)
    folder = config.inipath.parent.resolve()
    path: Path = (folder / values[name]).resolve()
    if not path.is_relative_to(folder):
        raise pytest.UsageError(
            f"{config.inipath.name}: droplets_{name} = {values[name]}: the file must be below the"
            f" folder of {config.inipath.name}; name another with --droplets-{name}"
        )
    return path


def parse_report(text: str, folder: Path) -> tuple[str, Path]:
    """Return format and path of a report.

    ``github:-`` is standard output; ``markdown:auto`` the file that ``$GITHUB_STEP_SUMMARY``
    names, with the format ``markdown:auto``: the page is appended to it.

    Raises:
        pytest.UsageError: The format is not known, or the variable is not set.
    """
    form, colon, path = text.partition(":")
    if not colon or not path or form not in REPORT_FORMATS:
        hint = ""
        if form == "html":
            hint = f"; the page is --html={path or 'PATH'}"
        elif near := difflib.get_close_matches(form, REPORT_FORMATS, n=1):
            hint = f"; did you mean {near[0]}:{path or 'PATH'}?"
        raise pytest.UsageError(
            f"--droplets-report={text}: expected FORMAT:PATH with one of the formats"
            f" {', '.join(REPORT_FORMATS)}{hint}"
        )
    if text == "github:-":
        return form, Path(path)
    if text == "markdown:auto":
        path = os.environ.get("GITHUB_STEP_SUMMARY", "")
        if not path:
            raise pytest.UsageError(
                f"--droplets-report={text}: GITHUB_STEP_SUMMARY is not set; outside GitHub Actions"
                " name a file: markdown:PATH"
            )
        form = text
    return form, folder / Path(path).expanduser()


def _path(text: str | None, folder: Path) -> Path | None:
    return None if text is None else folder / Path(text).expanduser()
