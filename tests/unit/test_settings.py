"""Settings of the checks: read, validated, and explained in one line where they are wrong."""

from __future__ import annotations

import ast
import dataclasses
import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytest_droplet
from pytest_droplet.settings import Port, Settings, load_settings, parse_settings, ports
from pytest_droplet.toml_tables import TableError

KEY = "SHA256:dUQYH8kbVuGPbD8EIGgDFjZ0vrs9zSPRBoT0hPpOBIs"
MD5 = "c0:6f:fc:d8:0b:71:44:ac:0c:1a:5e:68:38:63:4e:5b"


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """A project without settings has those of the guide."""
    assert load_settings(tmp_path) == Settings()


def test_droplet_toml_wins_over_pyproject(tmp_path: Path) -> None:
    """One file holds the settings: droplet.toml where there is one."""
    (tmp_path / "pyproject.toml").write_text("[tool.droplet]\nindex_max_age_days = 3\n")
    assert load_settings(tmp_path).index_max_age_days == 3
    (tmp_path / "droplet.toml").write_text(f"known_keys = ['{KEY}']\n")
    assert load_settings(tmp_path) == Settings(known_keys=(KEY,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("known_key = []", "droplet.toml: unknown key 'known_key'; did you mean known_keys?"),
        ("index_max_age_days = 'x'", "droplet.toml: index_max_age_days = 'x': expected int"),
        ("index_max_age_days = -1", "droplet.toml: index_max_age_days = -1: expected 0 or more"),
        ("accept_host_firewall = 1", "droplet.toml: accept_host_firewall = 1: expected bool"),
        ("tls_names = 'a'", "droplet.toml: tls_names = 'a': expected a list of str"),
        ("tls_names = [1]", "droplet.toml: tls_names = 1: expected str"),
        ("tls_names = ['']", "droplet.toml: tls_names = '': expected a host name"),
        ("tls_names = ['https://a']", "droplet.toml: tls_names = 'https://a': expected a host"),
        ("tls_names = ", "droplet.toml: is not TOML: "),
        ("expected_ports = [70000]", "droplet.toml: expected_ports = 70000: expected a port from"),
        ("expected_ports = [0]", "droplet.toml: expected_ports = 0: expected a port from 1 to"),
        ("expected_ports = ['ssh']", "droplet.toml: expected_ports = 'ssh': expected a port"),
        ("expected_ports = [2.5]", "droplet.toml: expected_ports = 2.5: expected int or str"),
        ("expected_ports = 22", "droplet.toml: expected_ports = 22: expected a list of int or"),
        ("sensitive_ports = ['53/sctp']", "droplet.toml: sensitive_ports = '53/sctp': expected a"),
        ("required_services = [70000]", "droplet.toml: required_services = 70000: expected 1 to"),
        ("required_services = ['80']", "droplet.toml: required_services = '80': expected int"),
        ("eol_min_days = -90", "droplet.toml: eol_min_days = -90: expected 0 or more"),
        ("eol_min_days = 99999", "droplet.toml: eol_min_days = 99999: expected 0 to 36500"),
        ("backup_shrink_percent = 101", "droplet.toml: backup_shrink_percent = 101: expected 0 t"),
        ("backup_max_interval_hours = 0", "droplet.toml: backup_max_interval_hours = 0: expected"),
        ("min_rsa_bits = 3", "droplet.toml: min_rsa_bits = 3: expected 2048 to 16384"),
        ("known_keys = ['']", "droplet.toml: known_keys = '': expected a fingerprint as ssh-key"),
        ("denied_keys = ['SHA256:x']", "droplet.toml: denied_keys = 'SHA256:x': expected a fing"),
        ("departed_users = [' ']", "droplet.toml: departed_users = ' ': expected a user name"),
        ("allow_key_sources = ['']", "droplet.toml: allow_key_sources = '': expected some text"),
        ("audit_rule_groups = ['times']", "droplet.toml: audit_rule_groups = 'times': expected "),
        ("key_inventory = []", "droplet.toml: key_inventory = []: expected a table"),
        ("key_inventory = {x = 2026-01-02}", "droplet.toml: key_inventory = 'x' = '2026-01-02': "),
        (f"key_inventory = {{'{KEY}' = 'May'}}", f"droplet.toml: key_inventory: '{KEY}' = 'May':"),
        (f"key_inventory = {{'{KEY}' = 1}}", f"droplet.toml: key_inventory: '{KEY}' = 1: expect"),
        ("ca_bundle = '/etc/ca.pem'", "droplet.toml: ca_bundle = '/etc/ca.pem': expected a file"),
        ("ca_bundle = '../ca.pem'", "droplet.toml: ca_bundle = '../ca.pem': expected a file bel"),
        ("ca_bundle = 'no.pem'", "droplet.toml: ca_bundle = 'no.pem': there is no such file"),
        ('ca_bundle = "a\\u0000"', "droplet.toml: ca_bundle = 'a\\x00': cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The line names the file, the key and the value."""
    (tmp_path / "droplet.toml").write_text(text)
    with pytest.raises(TableError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_bundle_of_authorities_is_found_beside_the_settings(tmp_path: Path) -> None:
    """Wherever pytest was started; a link out of the folder leads nowhere."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "ca.pem").write_text("")
    (site / "pyproject.toml").write_text("[tool.droplet]\nca_bundle = 'ca.pem'\n")
    assert load_settings(site).ca_bundle == str(site / "ca.pem")

    (tmp_path / "other.pem").write_text("")
    (site / "ca.pem").unlink()
    (site / "ca.pem").symlink_to(tmp_path / "other.pem")
    with pytest.raises(TableError, match=r"^pyproject.toml \[tool.droplet\]: ca_bundle = 'ca.pem"):
        load_settings(site)


def test_settings_survive_the_record(tmp_path: Path) -> None:
    """What a record keeps as JSON gives the same settings, dates and unset lists too."""
    (tmp_path / "droplet.toml").write_text(
        f"known_keys = ['{KEY}', '{MD5}']\nexpected_ports = [22, '53/udp']\n"
        f"[key_inventory]\n'{KEY}' = 2026-01-02\n'MD5:{MD5.upper()}' = '2025-12-31'\n"
    )
    settings = load_settings(tmp_path)
    kept = json.loads(json.dumps(dataclasses.asdict(settings)))

    assert parse_settings(kept, "the record") == settings
    assert settings.key_inventory[KEY].date == date(2026, 1, 2)
    assert settings.required_services is None


def test_ports_have_a_protocol() -> None:
    """TCP unless it says UDP."""
    assert ports((443, "443/tcp", "53/udp")) == (
        Port("tcp", 443),
        Port("tcp", 443),
        Port("udp", 53),
    )


def test_every_default_is_a_value_that_may_be_set() -> None:
    """The defaults pass the checks of the values."""
    assert parse_settings(dataclasses.asdict(Settings()), "the defaults") == Settings()


@given(
    st.dictionaries(
        st.sampled_from([f.name for f in dataclasses.fields(Settings)]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.dates()
        | st.lists(st.integers() | st.text() | st.lists(st.none()))
        | st.dictionaries(st.text(), st.integers() | st.text() | st.dates()),
        max_size=3,
    )
)
def test_any_table_is_settings_or_one_line(table: dict[str, Any]) -> None:
    """Nothing but TableError, which has one line."""
    said = ""
    try:
        parse_settings(table, "droplet.toml")
    except TableError as exc:
        said = str(exc)
    assert "\n" not in said


@cache
def _read_settings() -> set[str]:
    """Return the attributes of whatever is named ``settings`` in checks, facts and the audit."""
    package = Path(pytest_droplet.__file__).parent
    paths = [*package.glob("checks/*.py"), *package.glob("facts/*/*.py"), package / "audit.py"]
    nodes = (
        node
        for path in [*paths, package / "discovery.py"]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    )
    return {node.attr for node in nodes if ast.unparse(node.value).endswith("settings")}


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Settings)])
def test_every_setting_is_read_by_a_check_or_a_fact(name: str) -> None:
    """A setting that nothing reads would be validated, documented, and change nothing."""
    assert name in _read_settings()
