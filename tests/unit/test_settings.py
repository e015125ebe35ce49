"""Settings of the checks: read, validated, and explained in one line where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_droplet.settings import Settings, load_settings
from pytest_droplet.tables import TableError


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """A project without settings has those of the guide."""
    assert load_settings(tmp_path) == Settings()


def test_droplet_toml_wins_over_pyproject(tmp_path: Path) -> None:
    """One file holds the settings: droplet.toml where there is one."""
    (tmp_path / "pyproject.toml").write_text("[tool.droplet]\nindex_max_age_days = 3\n")
    assert load_settings(tmp_path).index_max_age_days == 3
    (tmp_path / "droplet.toml").write_text("known_keys = ['SHA256:abc']\n")
    assert load_settings(tmp_path) == Settings(known_keys=("SHA256:abc",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("known_key = []", "droplet.toml: unknown key 'known_key'; did you mean known_keys?"),
        ("index_max_age_days = 'x'", "droplet.toml: index_max_age_days = 'x': expected int"),
        ("index_max_age_days = -1", "droplet.toml: index_max_age_days = -1: expected 0 or more"),
        ("accept_host_firewall = 1", "droplet.toml: accept_host_firewall = 1: expected bool"),
        ("tls_names = 'a'", "droplet.toml: tls_names = 'a': expected a list of str"),
        ("tls_names = [1]", "droplet.toml: tls_names = 1: expected str"),
        ("tls_names = ", "droplet.toml: is not TOML: "),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The line names the file, the key and the value."""
    (tmp_path / "droplet.toml").write_text(text)
    with pytest.raises(TableError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
