"""The recording that ships with the package looks like that of a fleet of Droplets."""

import json
from datetime import datetime, timedelta

from pytest_droplet.api.endpoint import DEFAULT_ENDPOINT
from pytest_droplet.api.parsing import parse_account_id
from pytest_droplet.recording import DEMO, load_recording


def test_it_was_asked_of_the_public_api_for_an_account() -> None:
    """Its endpoint is DigitalOcean's, no file names a port of this machine, and it has an owner."""
    recording = load_recording(None)

    assert recording.endpoint == DEFAULT_ENDPOINT
    assert parse_account_id(recording.answers["account.get"]["account"])
    for file in DEMO.rglob("*.json*"):
        assert "http://127.0.0.1:" not in file.read_text("utf-8"), file


def test_its_baseline_is_a_week_older_and_of_the_same_account() -> None:
    """What is new and what was fixed since is told of a week, not of a minute."""
    recording = load_recording(None)
    header = json.loads((DEMO / "baseline.jsonl").read_text("utf-8").partition("\n")[0])

    age = recording.recorded_at - datetime.fromisoformat(header["judged_at"])
    assert timedelta(days=6) < age < timedelta(days=8)
    assert header["endpoint"] == DEFAULT_ENDPOINT.removeprefix("https://")
    account = recording.answers["account.get"]["account"]
    assert header["account"]["id"] == parse_account_id(account)
