"""The service's limits: kept from this side, and waited for where it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_droplet.api.answers import ApiError
from pytest_droplet.testing import Cloud
from tests.support.clock import FakeTime


class TestPace:
    """Below the limits of the service, and patient where it says how long."""

    def test_slows_down_when_a_fifth_of_the_minute_is_left(
        self, cloud: Cloud, time: FakeTime
    ) -> None:
        """200 at once, then what is left of the minute evenly."""
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(200):
            reader.get("droplets.list")
        assert time.slept == []
        reader.get("droplets.list")
        reader.get("droplets.list")
        assert time.slept == pytest.approx([1.2])

    def test_never_sends_more_than_the_minute_allows(self, cloud: Cloud, time: FakeTime) -> None:
        """In any minute at most 250."""
        sent: list[float] = []
        cloud.on_request = lambda *_: sent.append(time.now)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(900):
            reader.get("droplets.list")
        assert len(sent) == 900
        assert all(b - a >= 60 for a, b in zip(sent, sent[250:], strict=False))
        assert time.now - 1000 < 5 * 60

    def test_the_services_count_slows_down_too(self, cloud: Cloud, time: FakeTime) -> None:
        """Another program may use the same token."""
        cloud.remaining = 40
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(3):
            reader.get("droplets.list")
        assert time.slept == pytest.approx([1.2, 1.2])

    def test_ten_key_lists_a_minute(self, cloud: Cloud, time: FakeTime) -> None:
        """``/v2/account/keys`` has a limit of its own; the user hears of the wait."""
        said: list[str] = []
        reader = cloud.client(sleep=time.sleep, clock=time.clock, notice=said.append)
        for _ in range(10):
            reader.get("ssh_keys.list")
        reader.get("droplets.list")
        assert time.slept == []
        reader.get("ssh_keys.list")
        assert time.slept == pytest.approx([60])
        (line,) = said
        assert line.startswith("GET /v2/account/keys: waiting 60 s to stay within DigitalOcean's")

    @pytest.mark.parametrize(("passed", "waits"), [(59.5, [1.2]), (60.0, [])])
    def test_a_minute_has_sixty_seconds(
        self, cloud: Cloud, time: FakeTime, passed: float, waits: list[float]
    ) -> None:
        """What was sent counts for 60 s: half a second less, and it still slows down."""
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(200):
            reader.get("droplets.list")
        time.now += passed
        for _ in range(2):
            reader.get("droplets.list")
        assert time.slept == pytest.approx(waits)

    @pytest.mark.parametrize(("passed", "waits"), [(59.5, [0.5]), (60.0, [])])
    def test_the_minute_of_a_path_has_sixty_seconds(
        self, cloud: Cloud, time: FakeTime, passed: float, waits: list[float]
    ) -> None:
        """The eleventh list of keys waits for what is left of the first one's minute."""
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        for _ in range(10):
            reader.get("ssh_keys.list")
        time.now += passed
        reader.get("ssh_keys.list")
        assert time.slept == pytest.approx(waits)

    def test_a_shorter_wait_does_not_cut_a_longer_one(
        self, cloud: Cloud, time: FakeTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two requests are refused, one for 30 s and then one for 5 s: nobody sends for 30 s."""
        cloud.fail("/v2/firewalls", 429, headers={"retry-after": "30"})
        cloud.fail("/v2/droplets", 429, headers={"retry-after": "5"})
        slept: list[float] = []
        fault = cloud.fault

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 1:
                raise TimeoutError  # the first request still waits while the second is refused
            time.sleep(seconds)

        def another_is_refused_meanwhile(path: str, query: Mapping[str, str]) -> Any:
            monkeypatch.setattr(cloud, "fault", fault)
            with pytest.raises(TimeoutError):
                reader.get("firewalls.list")
            return fault(path, query)

        monkeypatch.setattr(cloud, "fault", another_is_refused_meanwhile)
        reader = cloud.client(sleep=sleep, clock=time.clock)
        reader.get("droplets.list")
        assert slept == pytest.approx([30, 30])

    def test_honours_retry_after(self, cloud: Cloud, time: FakeTime) -> None:
        """The minute's 429 says how long: wait, say so, go on."""
        cloud.fail("/v2/droplets", 429, times=2, headers={"Retry-After": "12"})
        said: list[str] = []
        reader = cloud.client(sleep=time.sleep, clock=time.clock, notice=said.append)
        assert reader.pages("droplets.list") == []
        assert sum(time.slept) == pytest.approx(24)
        assert said == ["DigitalOcean's limit per minute is reached: waiting 12 s"] * 2

    def test_a_wait_holds_every_thread(self, cloud: Cloud, time: FakeTime) -> None:
        """While one request waits for the limit, no other is sent."""
        cloud.fail("/v2/droplets", 429, headers={"retry-after": "30"})
        sent: list[float] = []
        cloud.on_request = lambda *_: sent.append(time.now)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        reader.pages("droplets.list")
        reader.pages("firewalls.list")
        assert min(sent) >= 1030

    @pytest.mark.parametrize("seconds", ["61", "3600", "1e9"])
    def test_does_not_wait_for_ever(self, cloud: Cloud, time: FakeTime, seconds: str) -> None:
        """More than a minute is not waited for."""
        cloud.fail("/v2/droplets", 429, times=9, headers={"retry-after": seconds})
        with pytest.raises(ApiError, match=r"429, DigitalOcean asks to wait \d+ s"):
            cloud.client(sleep=time.sleep).pages("droplets.list")
        assert time.slept == []

    def test_gives_up_when_the_limit_stays(self, cloud: Cloud, time: FakeTime) -> None:
        """Somebody else uses up the minute, again and again."""
        cloud.fail("/v2/droplets", 429, times=99, headers={"retry-after": "1"})
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        with pytest.raises(ApiError, match=r"refused 5 times.*another program"):
            reader.pages("droplets.list")
        assert reader.requests == 5

    @pytest.mark.parametrize("retry_after", [None, "soon", "nan", "inf"])
    def test_the_hours_limit_ends_the_run(
        self, cloud: Cloud, time: FakeTime, retry_after: str | None
    ) -> None:
        """A 429 that does not say how long is the hour's: stop, and say when it resets."""
        headers = {"ratelimit-remaining": "0", "ratelimit-reset": "4102444800"}
        if retry_after:
            headers["retry-after"] = retry_after
        cloud.fail("/v2/droplets", 429, headers=headers)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        with pytest.raises(ApiError) as caught:
            reader.pages("droplets.list")
        assert str(caught.value) == (
            "GET /v2/droplets: 429, the token's limit of requests per hour is used up; "
            "the oldest request expires at 2100-01-01 00:00:00 UTC; run again then"
        )
        assert (caught.value.status, reader.requests, time.slept) == (429, 1, [])

    @pytest.mark.parametrize(
        "left",
        [
            {"ratelimit-remaining": "4711", "ratelimit-reset": "4102444800"},
            {"ratelimit-remaining": "4711", "ratelimit-reset": "1604778000"},
            {"ratelimit-remaining": "0", "ratelimit-reset": "1604778000"},
            {"ratelimit-remaining": "1", "retry-after": "soon"},
            {"ratelimit-remaining": "0", "ratelimit-reset": "0"},
            {"ratelimit-reset": "1604778000"},
            {"ratelimit-reset": "soon"},
            {},
        ],
    )
    def test_a_429_that_cannot_be_the_hours_is_tried_again(
        self, cloud: Cloud, time: FakeTime, left: dict[str, str]
    ) -> None:
        """Requests are left, the reset is past, or nothing is told: a little later it works."""
        cloud.fail("/v2/droplets", 429, times=3, headers=left)
        said: list[str] = []
        reader = cloud.client(sleep=time.sleep, clock=time.clock, notice=said.append)
        assert reader.pages("droplets.list") == []
        assert (reader.requests, sum(time.slept)) == (4, pytest.approx(2 + 4 + 8))
        assert len(said) == 3

    def test_a_429_without_a_time_is_not_tried_for_ever(
        self, cloud: Cloud, time: FakeTime
    ) -> None:
        """A few tries, each a little later, then one line."""
        headers = {"ratelimit-remaining": "4711"}
        cloud.fail("/v2/droplets", 429, times=99, headers=headers)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        with pytest.raises(ApiError, match=r"429, DigitalOcean gives no time \(refused 5 times\)"):
            reader.pages("droplets.list")
        assert (reader.requests, sum(time.slept)) == (5, pytest.approx(2 + 4 + 8 + 16))

    @pytest.mark.parametrize(
        ("until", "seconds"),
        [
            ("Sun, 22 Nov 2026 12:00:09 GMT", 9),
            ("Sunday, 22-Nov-26 12:00:09 GMT", 9),
            ("Sun Nov 22 12:00:09 2026", 9),
        ],
    )
    def test_a_date_to_wait_for_is_understood(
        self, cloud: Cloud, time: FakeTime, until: str, seconds: float
    ) -> None:
        """Every form that RFC 9110 has, by the service's own clock."""
        headers = {"retry-after": until, "date": "Sun, 22 Nov 2026 12:00:00 GMT"}
        cloud.fail("/v2/droplets", 429, headers=headers)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        assert reader.pages("droplets.list") == []
        assert sum(time.slept) == pytest.approx(seconds)

    @pytest.mark.parametrize("until", ["0", "-5", "-1e9", "Sun, 22 Nov 2026 11:00:00 GMT"])
    def test_a_time_that_is_over_is_not_tried_without_a_pause(
        self, cloud: Cloud, time: FakeTime, until: str
    ) -> None:
        """Whoever may try again, and is refused again, waits a little longer each time."""
        headers = {
            "retry-after": until,
            "date": "Sun, 22 Nov 2026 12:00:00 GMT",
            "ratelimit-remaining": "0",
            "ratelimit-reset": "4102444800",
        }
        cloud.fail("/v2/droplets", 429, times=3, headers=headers)
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        assert reader.pages("droplets.list") == []
        assert (reader.requests, sum(time.slept)) == (4, pytest.approx(2 + 4 + 8))

    @pytest.mark.parametrize("reset", ["", "x", "9e99", "nan"])
    def test_a_senseless_reset_is_not_shown(self, cloud: Cloud, reset: str) -> None:
        """A hostile header makes no traceback."""
        headers = {"ratelimit-remaining": "0", "ratelimit-reset": reset}
        cloud.fail("/v2/droplets", 429, headers=headers)
        with pytest.raises(ApiError, match=r"is used up; .*run again"):
            cloud.client().pages("droplets.list")
