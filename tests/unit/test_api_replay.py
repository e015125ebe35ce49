"""A recording in place of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_droplet.api.answers import ApiError, NotFoundError
from pytest_droplet.api.replay import ReplayClient, answer_key, recorded
from pytest_droplet.testing import Cloud
from tests.support.accounts import fill, ids


class TestReplay:
    """A recording answers as the service did."""

    def _record(self, cloud: Cloud, **options: Any) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        reader = cloud.client(**options)
        reader.on_answer = lambda operation, params, answer: answers.__setitem__(
            answer_key(operation, params), recorded(answer)
        )
        reader.pages("droplets.list")
        reader.pages("droplets.list", type="gpus")
        reader.pages("images.list", private=True)
        with pytest.raises(ApiError):
            reader.pages("firewalls.list")
        with pytest.raises(NotFoundError):
            reader.pages("droplets.list_backups", droplet_id=1)
        return json.loads(json.dumps(answers))  # type: ignore[no-any-return]

    def test_replays_answers_and_errors(self, cloud: Cloud) -> None:
        """The same rows, the same errors, without a request."""
        fill(cloud, 201)
        scopes = ["droplet:read", "image:read", "tag:read"]
        replay = ReplayClient(self._record(cloud, scopes=scopes))
        assert ids(replay.pages("droplets.list")) == ids(cloud.droplets)
        assert replay.pages("droplets.list", type="gpus") == []
        assert replay.pages("images.list", private=True) == []
        with pytest.raises(ApiError, match="lacks the scope firewall:read") as caught:
            replay.pages("firewalls.list")
        assert caught.value.status == 403
        with pytest.raises(NotFoundError):
            replay.pages("droplets.list_backups", droplet_id=1)
        assert replay.requests == 0

    def test_keys_are_stable(self) -> None:
        """Recordings outlive versions: the form of the key is an interface."""
        assert answer_key("droplets.list", {"per_page": 200, "page": 1}) == (
            "droplets.list?page=1&per_page=200"
        )
        assert answer_key("images.list", {"private": True}) == "images.list?private=true"
        assert answer_key("tags.list", {}) == "tags.list"

    def test_a_missing_answer_is_an_error(self) -> None:
        """It says which one, never an empty list."""
        with pytest.raises(ApiError) as caught:
            ReplayClient({}).pages("ssh_keys.list")
        assert str(caught.value) == (
            "GET /v2/account/keys: the recording has no answer for "
            "ssh_keys.list?page=1&per_page=200; record again with this selection"
        )

    @pytest.mark.parametrize("answer", [None, [], "x", {}, {"droplets": []}, {"api_error": 1}])
    def test_a_hostile_recording_is_an_error(self, answer: Any) -> None:
        """A recording is foreign input, too."""
        with pytest.raises(ApiError):
            ReplayClient({"droplets.list?page=1&per_page=200": answer}).pages("droplets.list")

    @pytest.mark.parametrize(
        ("account", "kept"),
        [
            ({"uuid": "me", "team": {"uuid": "us", "name": "Shop"}}, {"uuid": "us"}),
            ({"uuid": "me", "email": "me@example.com", "name": "Me"}, {"uuid": "me"}),
            ({"uuid": {"email": "me@example.com"}}, {}),
            ({"uuid": "me@example.com"}, {}),
            ("me@example.com", {}),
        ],
    )
    def test_of_the_account_the_id_alone_is_kept(self, account: Any, kept: Any) -> None:
        """Neither a name nor an e-mail address is in a recording."""
        assert recorded({"account": account, "me": "me@example.com"}) == {"account": kept}
