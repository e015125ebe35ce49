"""The inventory: fewest requests, unknown where a list is missing, hostile answers named."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.inventory import WiderInventory
from pytest_droplet.api.parsing import (
    parse_volume_snapshot,
)
from pytest_droplet.api.replay import ReplayClient, answer_key, recorded
from pytest_droplet.audit import facts_of_hosts, needed_lists
from pytest_droplet.collection import shipped_of
from pytest_droplet.model import (
    API_LISTS,
    KUBERNETES,
    NotObservedError,
)
from pytest_droplet.selection import parse_selectors
from pytest_droplet.testing import SCOPES, Cloud
from pytest_droplet.words import PROFILES
from tests.support.accounts import USUAL, read_account
from tests.support.clock import FakeTime

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLUSTER = "k8s:4de7ac8b-495b-4884-9a69-1050c6793cd6"


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(now=NOW)


def read(cloud: Cloud, *selectors: str, scopes: Any = None, **options: Any) -> WiderInventory:
    time = FakeTime()
    reader = cloud.client(scopes, sleep=time.sleep, clock=time.clock)
    options = {"lists": USUAL} | options
    return read_account(reader, parse_selectors(selectors or ["all"]), now=NOW, **options)


def asked(cloud: Cloud, *selectors: str, **options: Any) -> list[str]:
    """Return the paths that an inventory asks for."""
    paths: list[str] = []
    cloud.on_request = lambda path, _: paths.append(path)
    inventory = read(cloud, *selectors, **options)
    assert inventory.requests == len(paths)
    return sorted(paths)


class TestRequests:
    """The fewest that answer what the checks ask."""

    @pytest.mark.parametrize("count", [1, 10, 201, 1000])
    def test_an_account_costs_few_requests(self, cloud: Cloud, count: int) -> None:
        """Droplets twice, pools, policies, firewalls, keys, images; none for each."""
        for number in range(count):
            cloud.add(f"web-{number}", tags=["web"], backups=4)
        cloud.add_firewall("web", tags=["web"])
        cloud.add_key("ops")
        pages = math.ceil(count / 200)
        images = 1 if count == 1 else math.ceil(4 * count / 200)
        paths = asked(cloud)
        assert len(paths) == (pages + 1) + 1 + pages + 1 + 1 + images
        assert sum("/images" in path for path in paths) == (0 if count == 1 else images)

    def test_clusters_only_where_a_droplet_shows_no_tag(self, cloud: Cloud) -> None:
        """A node has tags that name its cluster; only one that shows none may be one unseen."""
        cloud.add("web", tags=["web"])
        assert "/v2/kubernetes/clusters" not in asked(cloud)
        assert "/v2/kubernetes/clusters" in asked(cloud, scopes=SCOPES - {"tag:read"})
        cloud.add("bare")
        assert "/v2/kubernetes/clusters" in asked(cloud)

    def test_projects_and_reserved_ips_only_where_needed(self, cloud: Cloud) -> None:
        """A request for each project, one for the IPs."""
        web = cloud.add("web", tags=["web"])["id"]
        cloud.add("db", tags=["db"])
        cloud.add_project("shop", [web])
        cloud.add_project("empty")
        plain = asked(cloud)
        more = asked(cloud, "project:shop", reserved=True)
        extra = [path for path in more if path not in plain]
        assert len(extra) == 4
        assert sum("/projects" in path for path in extra) == 3
        inventory = read(cloud, "project:sh*")
        assert [(d.name, d.project) for d in inventory.selection] == [("web", "shop")]

    def test_firewalls_of_a_droplet_only_where_tags_are_hidden(self, cloud: Cloud) -> None:
        """And only of selected Droplets; of none where the account has no firewall."""
        bare = cloud.add("bare-x", tags=["x"])["id"]
        cloud.add("unselected", tags=["y"])
        blind = {"scopes": SCOPES - {"tag:read"}}
        for scopes in ({}, blind):
            assert read(cloud, "bare-*", **scopes).attached[bare].get() == ()
            assert not any("/droplets/1" in p for p in asked(cloud, "bare-*", **scopes))
        direct = cloud.add("bare-direct", tags=["x"])["id"]
        by_tag = cloud.add("bare-by-tag", tags=["x", "web"])["id"]
        cloud.add_firewall("web", tags=["web"], droplets=[direct])
        assert not any("/droplets/1" in p for p in asked(cloud, "bare-*"))
        seen = read(cloud, "bare-*").attached
        assert {i: r.get() for i, r in seen.items()} == {bare: ()}
        per_droplet = [p for p in asked(cloud, "bare-*", **blind) if "/droplets/1" in p]
        assert per_droplet == [f"/v2/droplets/{i}/firewalls" for i in (bare, direct, by_tag)]
        seen = read(cloud, "bare-*", **blind).attached
        assert {i: len(r.get()) for i, r in seen.items()} == {bare: 0, direct: 1, by_tag: 1}

    def test_a_droplet_without_a_backup_is_not_asked_for_one(self, cloud: Cloud) -> None:
        """The list of Droplets names its backups: there is none, whatever its policy."""
        for _ in range(30):
            cloud.add("web", tags=["a"], backups=0)
        lists = ("backup_policies", "backups")
        paths = asked(cloud, lists=lists)
        assert len(paths) == 2 + 1 + 1
        assert set(read(cloud, lists=lists).backups.get().values()) == {()}

    @pytest.mark.parametrize("name", API_LISTS)
    def test_a_list_that_nobody_needs_is_not_asked_for(self, cloud: Cloud, name: str) -> None:
        """It is missing, with the reason; nobody takes it for empty."""
        web = cloud.add("web", tags=["a"], backups=2, volume_ids=["v-1"])
        cloud.add_firewall("web", droplets=[web["id"]])
        assert asked(cloud, lists=()) == [
            *("/v2/droplets", "/v2/droplets", "/v2/droplets/autoscale")
        ]
        known = getattr(read(cloud, lists=()), name)
        if known:
            with pytest.raises(NotObservedError, match="not asked: no selected check needs it"):
                known.get()
        assert len(asked(cloud, lists=(name,))) < len(asked(cloud, lists=API_LISTS))

    @pytest.mark.parametrize(
        ("count", "profiles", "most"),
        [
            (1000, {"droplet"}, 35),
            (1000, PROFILES, 70),
            pytest.param(10_000, {"droplet"}, 310, marks=pytest.mark.slow),
        ],
    )
    def test_the_budget_of_requests(
        self, cloud: Cloud, count: int, profiles: Iterable[str], most: int
    ) -> None:
        """With four backups each; all profiles cost at most twice that."""
        for number in range(count):
            volumes = ["v-1"] if number % 10 == 0 else []
            cloud.add(f"web-{number}", tags=["web"], backups=4, volume_ids=volumes)
        cloud.add_firewall("web", tags=["web"])
        cloud.add_key("ops")
        checks = shipped_of(frozenset(profiles))
        lists = {*needed_lists(checks, facts_of_hosts(checks)), "account_id"}
        assert {"firewalls", "keys", "backup_policies", "backups"} <= lists
        assert read(cloud, lists=lists).requests <= most

    def test_one_droplet_of_many_is_asked_by_itself(self, cloud: Cloud) -> None:
        """Its backups cost one request, the images of the account a dozen."""
        for number in range(300):
            cloud.add(f"web-{number}", tags=["web"], backups=7)
        paths = asked(cloud, "web-7")
        assert [p for p in paths if "images" in p or p.endswith("/backups")] == [
            "/v2/droplets/1008/backups"
        ]

    def test_actions_only_of_droplets_that_have_no_backup_yet(self, cloud: Cloud) -> None:
        """Backups on and none there: when were they enabled?"""
        young = cloud.add("young", tags=["a"], backups=0)["id"]
        cloud.add("old", tags=["a"], backups=2)
        cloud.add("off", tags=["a"])
        cloud.actions[young].insert(
            0, {**cloud.actions[young][0], "id": 1, "completed_at": None, "status": "errored"}
        )
        inventory = read(cloud)
        assert inventory.enabled_at.keys() == {young}
        assert inventory.enabled_at[young].get() == NOW
        cloud.actions[young] = []
        assert read(cloud).enabled_at[young].get() is None

    def test_nothing_is_asked_of_managed_droplets(self, cloud: Cloud) -> None:
        """They are not judged."""
        node = cloud.add("node", tags=[CLUSTER], backups=0)["id"]
        cloud.add_firewall("other", tags=["web"])
        assert not any(str(node) in path for path in asked(cloud))


class TestManaged:
    """Droplets that a pool or a cluster makes and destroys."""

    def test_members_of_pools_are_told_by_the_lists(self, cloud: Cloud) -> None:
        """Nothing of the Droplet itself names its pool; its backups are not asked for."""
        first, second, own = (cloud.add("web", tags=["a"], backups=2)["id"] for _ in range(3))
        cloud.add_pool("shop", [first, second])
        cloud.add_pool("empty")
        inventory = read(cloud)
        assert [d.pool for d in inventory.selection] == ["shop", "shop", None]
        assert inventory.droplet(first).ephemeral == "autoscale pool shop"
        assert inventory.droplet(own).ephemeral is None
        assert all(d.managed_by is None for d in inventory.droplets)
        assert inventory.notes == ()

    @pytest.mark.parametrize("hidden", ["absent", "null", "empty"])
    def test_nodes_are_told_where_tags_are_hidden(self, hidden: Any) -> None:
        """By the list of clusters; a node that has no Droplet yet is none."""
        cloud = Cloud(now=NOW, hidden=hidden)
        node = cloud.add("node", tags=[CLUSTER])["id"]
        web = cloud.add("web", tags=["a"])["id"]
        cloud.add_cluster("k", [node, ""])
        for scopes in (None, SCOPES - {"tag:read"}):
            inventory = read(cloud, scopes=scopes)
            assert inventory.droplet(node).managed_by == KUBERNETES == "DigitalOcean Kubernetes"
            assert inventory.droplet(node).ephemeral == KUBERNETES
            assert inventory.droplet(web).managed_by is None

    def test_a_token_that_may_not_read_them_knows_less(self, cloud: Cloud) -> None:
        """The run goes on; it is said where it matters: a tag names a node's cluster, too."""
        node = cloud.add("node", tags=[CLUSTER])["id"]
        cloud.add_pool("shop", [node])
        cloud.fail("/v2/droplets/autoscale", 403)
        inventory = read(cloud, scopes=SCOPES - {"kubernetes:read"})
        assert inventory.droplet(node).managed_by == KUBERNETES
        (note,) = inventory.notes
        assert note.startswith(
            "members of autoscale pools look like any Droplet: GET /v2/droplets/autoscale: 403 "
        )
        blind = read(cloud, scopes=SCOPES - {"kubernetes:read", "tag:read"})
        assert blind.droplet(node).managed_by is None
        (note,) = blind.notes
        assert note.startswith("nodes of DOKS may look like any Droplet: GET /v2/kubernetes/")
        assert note.endswith("the token lacks the scope kubernetes:read")

    @pytest.mark.parametrize("pool", ["../../v2/account", "", 5, None])
    def test_a_hostile_pool_id_is_refused(self, cloud: Cloud, pool: Any) -> None:
        """It would become part of a path; the Droplets are known nevertheless."""
        web = cloud.add("web", tags=["a"])["id"]
        cloud.add_pool("shop", [web])["id"] = pool
        inventory = read(cloud)
        assert inventory.droplet(web).pool is None
        assert inventory.notes[0].startswith("members of autoscale pools look like any Droplet")

    def test_no_template_is_kept(self, cloud: Cloud) -> None:
        """Its user_data may hold any secret: a recording does without."""
        cloud.add_pool("shop", [cloud.add("web", tags=["a"])["id"]])
        kept: list[Any] = []
        reader = cloud.client()
        reader.on_answer = lambda operation, params, answer: kept.append(recorded(answer))
        read_account(reader, now=NOW)
        assert "autoscale_pools" in json.dumps(kept)
        assert "not-to-be-kept" not in json.dumps(kept)


class TestBackups:
    """Joined from images, or asked Droplet by Droplet: the same backups."""

    def test_images_and_droplets_say_the_same(self, cloud: Cloud) -> None:
        """Whichever way was cheaper."""
        web = cloud.add("web", tags=["a"], backups=3)["id"]
        cloud.add("web", tags=["b"], backups=3)
        by_images, by_droplet = read(cloud), read(cloud, "tag:a")
        assert by_images.backups.source == "GET /v2/images?private=true"
        assert by_droplet.backups.source == "GET /v2/droplets/{id}/backups"
        assert by_images.backups.get()[web] == by_droplet.backups.get()[web]
        assert [b.created_at for b in by_images.backups.get()[web]] == [
            NOW - timedelta(days=n, hours=6) for n in range(3)
        ]

    @pytest.mark.parametrize("damage", ["missing", "refused", "broken"])
    def test_where_images_do_not_answer_the_droplet_is_asked(
        self, cloud: Cloud, damage: str
    ) -> None:
        """No Droplet's backups depend on how the image list sees them."""
        for _ in range(3):
            cloud.add("web", tags=["a"], backups=2)
        if damage == "missing":
            cloud.images.pop()
        elif damage == "refused":
            cloud.fail("/v2/images", 403)
        else:
            cloud.images[-1]["created_at"] = 5
        found = read(cloud).backups.get()
        assert {i: len(kept) for i, kept in found.items()} == {1001: 2, 1002: 2, 1003: 2}

    def test_where_the_droplet_does_not_answer_images_are_asked(self, cloud: Cloud) -> None:
        """Also what makes a part of a recording replay alone."""
        web = cloud.add("web", tags=["a"], backups=2)["id"]
        cloud.add("web", tags=["b"], backups=2)
        cloud.fail(f"/v2/droplets/{web}/backups", 500, times=3)
        assert len(read(cloud, "tag:a").backups.get()[web]) == 2

    def test_no_answer_is_no_empty_list(self, cloud: Cloud) -> None:
        """A Droplet whose backups could not be read has no entry; all of them: no value."""
        first = cloud.add("web", tags=["a"], backups=2)["id"]
        second = cloud.add("web", tags=["a"], backups=2)["id"]
        cloud.fail("/v2/images", 500, times=9)
        cloud.fail(f"/v2/droplets/{second}/backups", 500, times=9)
        assert read(cloud).backups.get().keys() == {first}
        cloud.heal()
        for path in ("/v2/images", *(f"/v2/droplets/{i}/backups" for i in (first, second))):
            cloud.fail(path, 500, times=9)
        with pytest.raises(NotObservedError, match=r"GET /v2/images\?private=true: 500"):
            read(cloud).backups.get()

    @pytest.mark.parametrize("hidden", ["absent", "null"])
    def test_backups_that_the_token_does_not_see_are_not_none(self, hidden: Any) -> None:
        """Each Droplet is asked by itself; where that is refused nothing is known of it."""
        cloud = Cloud(now=NOW, hidden=hidden)
        web = cloud.add("web", backups=2)["id"]
        few = SCOPES - {"image:read"}
        assert len(read(cloud, scopes=few).backups.get()[web]) == 2
        cloud.fail(f"/v2/droplets/{web}/backups", 403)
        with pytest.raises(NotObservedError, match="403"):
            read(cloud, scopes=few).backups.get()


class TestUnknown:
    """A list that failed is missing with its reason; without the Droplets there is no run."""

    @pytest.mark.parametrize(
        ("scope", "field", "message"),
        [
            ("firewall:read", "firewalls", "GET /v2/firewalls: 403 You are not .* firewall:read"),
            ("ssh_key:read", "keys", "GET /v2/account/keys: 403 You are not .* ssh_key:read"),
        ],
    )
    def test_a_missing_scope_makes_a_list_unknown(
        self, cloud: Cloud, scope: str, field: str, message: str
    ) -> None:
        """Never an empty list; the source is named once."""
        cloud.add("web", tags=["web"])
        reading = getattr(read(cloud, scopes=SCOPES - {scope}), field)
        with pytest.raises(NotObservedError, match=f"^{message}$"):
            reading.get()

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/v2/firewalls", "firewalls"),
            ("/v2/account/keys", "keys"),
            ("/v2/droplets/backups/policies", "backup_policies"),
        ],
    )
    def test_a_broken_list_is_unknown(self, cloud: Cloud, path: str, field: str) -> None:
        """Status 500, a hostile row, another form."""
        cloud.add("web", tags=["web"])
        cloud.fail(path, 500, times=3)
        assert "500" in getattr(read(cloud), field).missing
        key = path.rsplit("/", 1)[-1].replace("keys", "ssh_keys")
        for rows in ([{"id": 1}], {"1": {"x": 1}}, ["x"], "x"):
            cloud.fail(path, 200, times=2, body={key: rows, "meta": {"total": 1}})
            assert getattr(read(cloud), field).missing
            cloud.heal()

    def test_a_firewall_of_a_droplet_may_be_unknown(self, cloud: Cloud) -> None:
        """The others are known."""
        first, second = (cloud.add("web", tags=["a"])["id"] for _ in range(2))
        cloud.add_firewall("x", tags=["b"])
        cloud.fail(f"/v2/droplets/{first}/firewalls", 500, times=3)
        attached = read(cloud, scopes=SCOPES - {"tag:read"}).attached
        assert attached[second].get() == ()
        with pytest.raises(NotObservedError, match="500"):
            attached[first].get()

    @pytest.mark.parametrize("path", ["/v2/droplets", "/v2/projects", "/v2/reserved_ips"])
    def test_what_decides_the_run_must_answer(self, cloud: Cloud, path: str) -> None:
        """Which Droplets, and where they are: else the run cannot start."""
        cloud.add_project("shop", [cloud.add("web", tags=["web"])["id"]])
        cloud.fail(path, 500, times=6)
        with pytest.raises(ApiError, match=f"GET {path}: 500"):
            read(cloud, "project:shop", reserved=True)

    def test_a_hostile_droplet_ends_the_run(self, cloud: Cloud) -> None:
        """No Droplet is left out because it cannot be parsed."""
        cloud.add("web")
        cloud.add("evil")["status"] = None
        with pytest.raises(ApiError, match=r"droplets\[\].status is absent"):
            read(cloud)

    @pytest.mark.parametrize("project", ["../../v2/account", "", 5, None])
    def test_a_hostile_project_id_is_refused(self, cloud: Cloud, project: Any) -> None:
        """It would become part of a path."""
        cloud.add("web", tags=["a"])
        cloud.add_project("x")
        cloud.projects[0]["id"] = project
        with pytest.raises(ApiError, match="GET /v2/projects"):
            read(cloud, "project:x")

    def test_a_vpc_that_some_droplets_lack_is_seen(self, cloud: Cloud) -> None:
        """Only where no Droplet shows one is the field hidden."""
        cloud.add("new", tags=["a"])
        cloud.add("ancient", tags=["a"], vpc_uuid=None)
        inventory = read(cloud, "!vpc:*")
        assert [d.name for d in inventory.selection] == ["ancient"]
        assert all(d.hidden == frozenset() for d in inventory.droplets)


class TestWider:
    """What is asked only for some checks."""

    VOLUME = "506f78a4-e098-11e5-ad9f-000f53306ae1"

    def test_snapshots_of_volumes_only_where_there_is_a_volume(self, cloud: Cloud) -> None:
        """One list for the whole account, and only if it was wanted."""
        web = cloud.add("web", tags=["a"])
        cloud.add_volume_snapshot(self.VOLUME, days=2)
        cloud.add_volume_snapshot(str(web["id"]), resource_type="droplet")
        assert "/v2/snapshots" not in asked(cloud, lists=API_LISTS)
        web["volume_ids"] = [self.VOLUME]
        assert "/v2/snapshots" not in asked(cloud)
        assert asked(cloud, lists=API_LISTS).count("/v2/snapshots") == 1
        assert read(cloud).volume_snapshots is None
        (snapshot,) = read(cloud, lists=API_LISTS).volume_snapshots.get()
        assert (snapshot.volume_id, snapshot.created_at) == (self.VOLUME, NOW - timedelta(days=2))

    def test_snapshots_that_may_not_be_read_are_missing(self, cloud: Cloud) -> None:
        """Never an empty list."""
        cloud.add("web", tags=["a"], volume_ids=[self.VOLUME])
        inventory = read(cloud, lists=API_LISTS, scopes=SCOPES - {"snapshot:read"})
        with pytest.raises(NotObservedError, match=r"403 .*snapshot:read"):
            inventory.volume_snapshots.get()

    @pytest.mark.parametrize("field", ["id", "resource_id", "created_at"])
    def test_a_snapshot_names_volume_and_date(self, cloud: Cloud, field: str) -> None:
        """Else it cannot be counted."""
        raw = cloud.add_volume_snapshot(self.VOLUME)
        raw[field] = None
        with pytest.raises(ApiError, match=rf"snapshots\[\]\.{field} is absent"):
            parse_volume_snapshot(raw)

    def waiting(self, cloud: Cloud, **raw: Any) -> dict[str, Any]:
        """Add a Droplet whose firewall is still applying changes, and return the firewall."""
        web = cloud.add("web", tags=["a"])
        change = {"droplet_id": web["id"], "removing": False, "status": "waiting"}
        raw = {"status": "waiting", "pending_changes": [change], **raw}
        return cloud.add_firewall("web", droplets=[web["id"]], **raw)

    def test_firewalls_that_wait_are_read_again_a_minute_later(self, cloud: Cloud) -> None:
        """Both readings are kept: the first for all other checks, the second beside it."""
        firewall = self.waiting(cloud)
        time, notices = FakeTime(), []
        reader = cloud.client(sleep=time.sleep, clock=time.clock, notice=notices.append)

        def settle(path: str, query: Mapping[str, str]) -> None:
            if query.get("per_page") == "100":
                assert time.clock() >= 60
                firewall.update(status="succeeded", pending_changes=[])

        cloud.on_request = settle
        inventory = read_account(reader, parse_selectors(["all"]), now=NOW, lists=API_LISTS)
        assert [f.status for f in inventory.firewalls.get()] == ["waiting"]
        assert [f.status for f in inventory.firewalls_again.get()] == ["succeeded"]
        assert inventory.firewalls_again.observed_at == NOW + timedelta(seconds=60)
        assert notices == ["firewall web is still applying changes: reading it again in 60 s"]

    def test_nobody_waits_without_need(self, cloud: Cloud) -> None:
        """Not unless it was wanted, not for other Droplets, not where all is applied."""
        self.waiting(cloud)
        other = cloud.add("db", tags=["b"])
        assert read(cloud).firewalls_again is None
        assert read(cloud, "tag:b", lists=API_LISTS).firewalls_again is None
        for status, droplet_id in (("succeeded", other["id"]), ("failed", 7)):
            change = {"droplet_id": droplet_id, "removing": False, "status": "waiting"}
            cloud.firewalls[0].update(status=status, pending_changes=[change])
            assert read(cloud, "tag:a", lists=API_LISTS).firewalls_again is None

    def test_a_firewall_that_is_attached_by_tag_may_wait(self, cloud: Cloud) -> None:
        """Also where the token does not see tags: the Droplet's own list has it."""
        self.waiting(cloud, tags=["a"])["droplet_ids"] = []
        assert read(cloud, lists=API_LISTS).firewalls_again is not None
        blind = SCOPES - {"tag:read"}
        assert read(cloud, lists=API_LISTS, scopes=blind).firewalls_again is not None

    def test_a_second_reading_that_fails_leaves_the_first(self, cloud: Cloud) -> None:
        """Only what needs the second is unknown."""
        self.waiting(cloud)
        cloud.fail("/v2/firewalls?per_page=100", 500, times=3)
        inventory = read(cloud, lists=API_LISTS)
        assert inventory.firewalls.get()
        with pytest.raises(NotObservedError, match="500"):
            inventory.firewalls_again.get()

    def test_a_recording_keeps_both_readings(self, cloud: Cloud) -> None:
        """And its replay waits for nothing."""
        firewall = self.waiting(cloud)
        cloud.droplets[0]["volume_ids"] = [self.VOLUME]
        cloud.add_volume_snapshot(self.VOLUME)
        answers: dict[str, Any] = {}

        def keep(operation: str, params: Mapping[str, Any], answer: Any) -> None:
            answers[answer_key(operation, params)] = json.loads(json.dumps(recorded(answer)))
            if operation == "firewalls.list":
                firewall.update(status="succeeded", pending_changes=[])

        time = FakeTime()
        reader = cloud.client(sleep=time.sleep, clock=time.clock)
        reader.on_answer = keep
        wanted = {"now": NOW, "lists": API_LISTS}
        live = read_account(reader, parse_selectors(["all"]), **wanted)
        replayed = read_account(ReplayClient(answers), parse_selectors(["all"]), **wanted)
        assert replayed.firewalls == live.firewalls
        assert replayed.firewalls_again == live.firewalls_again
        assert replayed.volume_snapshots == live.volume_snapshots
        assert [f.status for f in replayed.firewalls.get()] == ["waiting"]
        assert [f.status for f in replayed.firewalls_again.get()] == ["succeeded"]


class TestWhole:
    """The account as a whole."""

    def test_an_empty_account(self, cloud: Cloud) -> None:
        """Known to be empty, not unknown."""
        inventory = read(cloud)
        assert (inventory.droplets, inventory.selected) == ((), ())
        assert (inventory.firewalls.get(), inventory.keys.get()) == ((), ())
        assert inventory.backups.get() == {}

    def test_every_droplet_is_kept_whatever_is_selected(self, cloud: Cloud) -> None:
        """Sorted by id; firewalls and keys are joined with the whole account."""
        for droplet_id in (30, 10, 20):
            cloud.add("web", id=droplet_id, tags=["even" if droplet_id % 20 == 0 else "odd"])
        inventory = read(cloud, "tag:odd")
        assert [d.id for d in inventory.droplets] == [10, 20, 30]
        assert inventory.selected == (10, 30)
        assert not inventory.covers_account
        assert (inventory.read_at, inventory.endpoint) == (NOW, "https://api.digitalocean.com")

    def test_a_recording_gives_the_same_inventory(self, cloud: Cloud) -> None:
        """Also for a part of what was selected when it was made."""
        for number in range(30):
            cloud.add(f"web-{number}", tags=["a" if number % 2 else "b"], backups=number % 3)
        cloud.add_firewall("x", tags=["a"])
        cloud.add_key("ops")
        answers: dict[str, Any] = {}

        def keep(operation: str, params: Mapping[str, Any], answer: Any) -> None:
            answers[answer_key(operation, params)] = recorded(answer)

        reader = cloud.client(SCOPES - {"ssh_key:read"})
        reader.on_answer = keep
        live = read_account(reader, parse_selectors(["all"]), now=NOW)
        replay = ReplayClient(json.loads(json.dumps(answers)))
        again = read_account(replay, parse_selectors(["all"]), now=NOW)
        assert again.keys.missing == live.keys.missing
        for field in ("droplets", "selected", "firewalls", "backups", "attached", "enabled_at"):
            assert getattr(again, field) == getattr(live, field)
        part = read_account(replay, parse_selectors(["web-2"]), now=NOW)
        (web,) = part.selection
        assert part.backups.get()[web.id] == live.backups.get()[web.id]
        assert part.attached[web.id].get() == live.attached[web.id].get()


class TestAccountId:
    """The account's id is asked for where findings carry it, and is never missed."""

    def test_it_is_one_request(self, cloud: Cloud) -> None:
        """More than without it, and none where nobody needs it."""
        more = asked(cloud, lists=("account_id",))
        assert sorted([*asked(cloud, lists=API_LISTS), "/v2/account"]) == sorted(
            asked(cloud, lists=(*API_LISTS, "account_id"))
        )
        assert more.count("/v2/account") == 1
        assert read(cloud, lists=("account_id",)).account_id == cloud.account["team"]["uuid"]
        assert read(cloud, lists=API_LISTS).account_id == ""

    @pytest.mark.parametrize("status", [401, 403, 404, 500])
    def test_without_an_answer_it_is_not_known(self, cloud: Cloud, status: int) -> None:
        """A narrow token: no failure, and no word about it."""
        cloud.fail("/v2/account", status, times=9)
        inventory = read(cloud, lists=("account_id",))
        assert (inventory.account_id, inventory.notes) == ("", ())

    def test_a_scope_is_missing(self, cloud: Cloud) -> None:
        """All else is read as before."""
        cloud.add("web", tags=["web"])
        cloud.add_key("ops")
        scopes = SCOPES - {"account:read"}
        inventory = read(cloud, lists=("keys", "account_id"), scopes=scopes)
        assert (inventory.account_id, len(inventory.keys.get())) == ("", 1)

    @pytest.mark.parametrize("body", [{"account": "x"}, {"accounts": []}, [], "<html>", None])
    def test_an_answer_of_another_form_is_none(self, cloud: Cloud, body: Any) -> None:
        """It is foreign input, as every answer."""
        cloud.fail("/v2/account", 200, body=body if body is not None else "null")
        assert read(cloud, lists=("account_id",)).account_id == ""

    def test_a_recording_gives_the_same(self, cloud: Cloud) -> None:
        """One of before has no such answer: the id is not known then."""
        answers: dict[str, Any] = {}

        def keep(operation: str, params: Mapping[str, Any], answer: Any) -> None:
            answers[answer_key(operation, params)] = recorded(answer)

        reader = cloud.client()
        reader.on_answer = keep
        lists = ("account_id",)
        live = read_account(reader, now=NOW, lists=lists)
        assert live.account_id
        again = read_account(ReplayClient(json.loads(json.dumps(answers))), now=NOW, lists=lists)
        assert again.account_id == live.account_id
        del answers["account.get"]
        assert read_account(ReplayClient(answers), now=NOW, lists=lists).account_id == ""
