"""The parsers: what the API promises is taken, what it does not promise is named."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.api.answers import ApiError
from pytest_droplet.api.parsing import (
    parse_account_id,
    parse_backup,
    parse_backup_policy,
    parse_droplet,
    parse_firewall,
    parse_key,
)
from pytest_droplet.model import (
    Address,
    Backup,
    BackupPolicy,
    Image,
    PendingChange,
    Rule,
)
from pytest_droplet.testing import Cloud

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEFT_OUT = object()
NEW_FIELD = "is a field that this version of pytest-droplet does not know"
CLUSTER = "k8s:4de7ac8b-495b-4884-9a69-1050c6793cd6"


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(now=NOW)


class TestParse:
    """From an API object to frozen data."""

    def test_a_droplet(self, cloud: Cloud) -> None:
        """Every field that is kept."""
        raw = cloud.add(
            "web-1",
            tags=["a", "b"],
            public="203.0.113.5",
            private="10.0.0.5",
            ipv6="2001:DB8:0::5",
            backups=2,
            kernel={"id": 1, "name": "vmlinuz-6", "version": "6"},
            volume_ids=["506f78a4-e098-11e5-ad9f-000f53306ae1"],
        )
        droplet = parse_droplet(raw)
        assert (droplet.id, droplet.name, droplet.status) == (1001, "web-1", "active")
        assert droplet.created_at == NOW - timedelta(days=100)
        assert (droplet.region, droplet.size, droplet.disk_gigabytes) == (
            "fra1",
            "s-1vcpu-1gb",
            25,
        )
        assert (droplet.tags, droplet.features) == (("a", "b"), ("backups", "droplet_agent"))
        assert droplet.addresses == (
            Address("10.0.0.5", 4, "private"),
            Address("203.0.113.5", 4, "public"),
            Address("2001:db8::5", 6, "public"),
        )
        assert droplet.image == Image(
            raw["image"]["id"], "Debian", "debian-13-x64", "debian-13-x64", "base"
        )
        assert droplet.backup_ids == (1001000, 1001001)
        assert droplet.volume_ids == ("506f78a4-e098-11e5-ad9f-000f53306ae1",)
        assert droplet.vpc_uuid == "760e09ef-dc84-11e8-981e-3cfdfeaae000"
        assert (droplet.kernel, droplet.managed_by) == ("vmlinuz-6", None)
        assert droplet.hidden == frozenset()

    def test_a_bare_droplet_hides_what_it_lacks(self) -> None:
        """Absent fields are named: their emptiness says nothing."""
        droplet = parse_droplet({"id": "7", "name": "x", "status": "quarantined"})
        assert (droplet.id, droplet.status) == (7, "quarantined")
        assert droplet.hidden == {
            *("tags", "vpc_uuid", "image", "backup_ids", "snapshot_ids", "volume_ids"),
            "features",
        }

    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize(
        ("kind", "parsed"),
        [("private", "private"), ("public", "public"), (None, "public"), ("new", "public")],
    )
    def test_an_address_is_private_only_where_the_api_says_so(
        self, version: Literal[4, 6], kind: str | None, parsed: Any
    ) -> None:
        """Of either version: by the word of the API, not by the range."""
        ip = {4: "10.0.0.5", 6: "fd00::5"}[version]
        networks = {f"v{version}": [{"ip_address": ip, "type": kind}]}
        droplet = parse_droplet({"id": 7, "name": "x", "status": "new", "networks": networks})
        assert droplet.addresses == (Address(ip, version, parsed),)

    @pytest.mark.parametrize(
        ("tags", "kind", "owner"),
        [
            (["k8s", CLUSTER, "k8s:worker"], "base", "DigitalOcean Kubernetes"),
            ([], "admin", "DigitalOcean"),
            (["k8s"], "snapshot", None),
            (["k8s:worker"], "base", None),
            (["my-" + CLUSTER], "custom", None),
            ([CLUSTER + "-more"], "custom", None),
            ([CLUSTER + ":worker"], "custom", None),
            ([CLUSTER[:-1]], "custom", None),
        ],
    )
    def test_a_managed_droplet(
        self, cloud: Cloud, tags: list[str], kind: str, owner: str | None
    ) -> None:
        """Workers of DOKS are not ours to harden; a tag ``k8s`` alone is anybody's."""
        raw = cloud.add("node", tags=tags)
        raw["image"]["type"] = kind
        assert parse_droplet(raw).managed_by == owner

    def test_a_firewall(self) -> None:
        """Rules with all kinds of peers; ids of any type; changes that are pending."""
        firewall = parse_firewall(
            {
                "id": "fw-1",
                "name": "web",
                "status": "waiting",
                "droplet_ids": [1, "2"],
                "tags": ["web"],
                "inbound_rules": [
                    {
                        "protocol": "tcp",
                        "ports": "8000-9000",
                        "sources": {
                            "addresses": ["0.0.0.0/0"],
                            "droplet_ids": [3],
                            "load_balancer_uids": ["lb"],
                            "kubernetes_ids": ["k"],
                            "tags": ["office"],
                        },
                    },
                    {"protocol": "icmp", "sources": {"addresses": None}},
                ],
                "outbound_rules": [
                    {"protocol": "udp", "ports": "0", "destinations": {"addresses": ["::/0"]}}
                ],
                "pending_changes": [{"droplet_id": 1, "removing": True, "status": "waiting"}],
            }
        )
        assert firewall.inbound == (
            Rule("tcp", "8000-9000", ("0.0.0.0/0",), ("office",), (3,), ("lb",), ("k",)),
            Rule("icmp", "0"),
        )
        assert firewall.outbound == (Rule("udp", "0", ("::/0",)),)
        assert (firewall.droplet_ids, firewall.status) == ((1, 2), "waiting")
        assert firewall.pending == (PendingChange(1, removing=True, status="waiting"),)

    @pytest.mark.parametrize(
        ("change", "unclear"),
        [
            ({}, ()),
            ({"action": "allow"}, ()),
            ({"action": "deny"}, ()),
            ({"action": None}, ("action is null",)),
            ({"protocol": LEFT_OUT}, ("protocol is absent",)),
            ({"ports": LEFT_OUT}, ("ports is absent",)),
            ({"ports": None}, ("ports is null",)),
            ({"protocol": "icmp", "ports": LEFT_OUT}, ()),
            ({"sources": LEFT_OUT}, ("sources is absent",)),
            ({"sources": None}, ("sources is null",)),
            ({"schedule": None}, (f"schedule {NEW_FIELD}",)),
            ({"sources": {"vpc_ids": []}}, (f"sources.vpc_ids {NEW_FIELD}",)),
            ({"destinations": {}}, (f"destinations {NEW_FIELD}",)),
        ],
    )
    def test_what_a_rule_lacks_or_has_beyond_what_is_known(
        self, change: dict[str, Any], unclear: tuple[str, ...]
    ) -> None:
        """It is noted with its field; the rule is kept, and words are kept as they are."""
        rule = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["10.0.0.1"]}, **change}
        rule = {name: value for name, value in rule.items() if value is not LEFT_OUT}
        lists = {"inbound_rules": [rule], "outbound_rules": [], "pending_changes": []}
        (parsed,) = parse_firewall({"id": "x", **lists}).inbound
        assert parsed.unclear == unclear
        assert parsed.action == (rule.get("action") or "allow")

    @pytest.mark.parametrize(
        ("name", "value", "noted"),
        [
            ("mode", "monitor", True),
            ("enabled", False, True),
            ("vpc_ids", ["v"], True),
            ("vpc_ids", None, False),
            ("updated_at", "2026-01-01T00:00:00Z", False),
            ("disabled_at", "2026-01-01T00:00:00Z", True),
            ("expires_at", "2026-01-01T00:00:00Z", True),
            ("description", "the web", False),
        ],
    )
    def test_a_new_field_of_a_firewall(self, name: str, value: Any, *, noted: bool) -> None:
        """Only what labels the firewall, or is null, cannot change what its rules mean."""
        names = ("inbound_rules", "outbound_rules", "pending_changes")
        firewall = parse_firewall({"id": "x", **dict.fromkeys(names), name: value})
        assert firewall.unclear == ((f"{name} {NEW_FIELD}",) if noted else ())

    def test_a_firewall_of_nulls(self) -> None:
        """Null is legal for every list."""
        names = ("droplet_ids", "tags", "inbound_rules", "outbound_rules", "pending_changes")
        firewall = parse_firewall({"id": "x", "name": "x", **dict.fromkeys(names)})
        assert (firewall.inbound, firewall.outbound, firewall.pending) == ((), (), ())
        assert (firewall.droplet_ids, firewall.tags) == ((), ())

    def test_a_policy(self) -> None:
        """On with an unknown plan; off without a policy; neither is an error."""
        policy = {
            "plan": "intra_daily_4h",
            "weekday": "SUN",
            "hour": 0,
            "window_length_hours": 4,
            "retention_period_days": 30,
        }
        window = {"start": "2026-11-23T02:00:00+02:00", "end": None}
        assert parse_backup_policy(
            {"backup_enabled": True, "backup_policy": policy, "next_backup_window": window}
        ) == BackupPolicy(
            True,  # noqa: FBT003 in the order of the fields
            "intra_daily_4h",
            "SUN",
            0,
            4,
            30,
            datetime(2026, 11, 23, tzinfo=UTC),
        )
        assert parse_backup_policy(
            {"backup_enabled": False, "next_backup_window": None}
        ) == BackupPolicy(enabled=False)
        for answer in ({}, {"backup_enabled": None}, {"backup_enabled": "no"}, {"id": "x"}):
            with pytest.raises(ApiError, match=r"policies\{\}.backup_enabled"):
                parse_backup_policy(answer)

    def test_a_backup(self) -> None:
        """A date without zone is UTC; a size may be null, whole or broken."""
        assert parse_backup({"id": 1, "created_at": "2026-11-22T01:00:00"}) == Backup(
            1, datetime(2026, 11, 22, 1, tzinfo=UTC)
        )
        backup = {"id": 1, "created_at": "2026-11-22T01:00:00Z", "size_gigabytes": 3}
        assert parse_backup(backup).size_gigabytes == 3.0

    @pytest.mark.parametrize(
        ("parse", "change", "message"),
        [
            (parse_droplet, {"id": "web"}, "GET /v2/droplets: droplets[].id is str 'web', "),
            (parse_droplet, {"id": True}, "droplets[].id is bool True, expected a whole number"),
            (parse_droplet, {"id": 1.5}, "droplets[].id is float 1.5, expected"),
            (parse_droplet, {"id": 10**400}, "droplets[].id is a int, expected"),
            (parse_droplet, {"name": None}, "droplets[].name is absent, expected a text"),
            (parse_droplet, {"name": ["x"]}, "droplets[].name is a list, expected a text"),
            (parse_droplet, {"tags": "web"}, "droplets[].tags is str 'web', expected a list"),
            (parse_droplet, {"tags": [1]}, "droplets[].tags is int 1, expected a text"),
            (parse_droplet, {"image": []}, "droplets[].image is a list, expected an object"),
            (parse_droplet, {"created_at": "soon"}, "created_at is str 'soon', expected a date"),
            (parse_droplet, {"created_at": "0001-01-01T00:00:00+14:00"}, "expected a date"),
            (
                parse_droplet,
                {"networks": {"v4": [{"ip_address": "-oProxyCommand=x"}]}},
                "droplets[].networks is str '-oProxyCommand=x', expected an IP address",
            ),
            (
                parse_droplet,
                {"networks": {"v6": [{"ip_address": "fe80::1%$(id)"}]}},
                "expected an IP address",
            ),
            (parse_droplet, {"networks": {"v4": {"0": {}}}}, "networks.v4 is a dict, expected"),
            (parse_droplet, {"backup_ids": [None]}, "backup_ids is absent, expected a whole"),
            (parse_key, {"public_key": 1}, "GET /v2/account/keys: ssh_keys[].public_key is int"),
            (parse_firewall, {"id": 1}, "GET /v2/firewalls: firewalls[].id is int 1, expected"),
            (
                parse_firewall,
                {"id": "x", "inbound_rules": [{"protocol": 6}]},
                "inbound_rules.protocol is int 6, expected a text",
            ),
            (parse_firewall, {"id": "x"}, "firewalls[].inbound_rules is absent, expected a list"),
            (parse_firewall, {"id": "x\n"}, "firewalls[].id is str 'x\\n', expected a word"),
            (
                parse_firewall,
                {"id": "x", "inbound_rules": [{"protocol": "tcp", "ports": 22, "sources": {}}]},
                "inbound_rules.ports is int 22, expected a text",
            ),
            (
                parse_firewall,
                {"id": "x", "inbound_rules": [{"protocol": "tcp", "sources": ["10.0.0.1"]}]},
                "inbound_rules.sources is a list, expected an object",
            ),
            (
                parse_firewall,
                {"id": "x", "inbound_rules": None, "outbound_rules": []},
                "firewalls[].pending_changes is absent",
            ),
            (
                parse_firewall,
                {"id": "x", "droplet_ids": ["do:1"]},
                "firewalls[].droplet_ids is str",
            ),
            (parse_backup, {"size_gigabytes": math.nan}, "size_gigabytes is float nan, expected"),
            (parse_backup, {"size_gigabytes": 10**400}, "size_gigabytes is a int, expected"),
            (parse_backup, {"created_at": None}, "images[].created_at is absent, expected a date"),
        ],
    )
    def test_a_wrong_type_names_endpoint_and_field(
        self, parse: Callable[[Any], Any], change: dict[str, Any], message: str
    ) -> None:
        """One line, no traceback."""
        with pytest.raises(ApiError) as caught:
            parse({"id": 1, "name": "x", "status": "active", "created_at": "2026-01-01", **change})
        assert message in str(caught.value)
        assert str(caught.value).isprintable()

    @given(
        data=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "id",
                            "name",
                            "status",
                            "tags",
                            "image",
                            "networks",
                            "v4",
                            "ip_address",
                            "type",
                            "region",
                            "slug",
                            "disk",
                            "created_at",
                            "backup_ids",
                            "kernel",
                            "inbound_rules",
                            "sources",
                            "addresses",
                            "protocol",
                            "ports",
                            "pending_changes",
                            "droplet_id",
                            "removing",
                            "backup_enabled",
                            "backup_policy",
                            "next_backup_window",
                            "start",
                            "size_gigabytes",
                            "public_key",
                            "features",
                        ]
                    ),
                    inner,
                    max_size=6,
                )
            ),
            max_leaves=12,
        )
    )
    def test_any_json_is_parsed_or_refused(self, data: Any) -> None:
        """Nothing but ApiError, in one printable line."""
        for parse in (parse_droplet, parse_firewall, parse_key, parse_backup, parse_backup_policy):
            try:
                parse(data)
            except ApiError as exc:
                assert str(exc).isprintable()  # noqa: PT017 most data is no object of the API

    def test_a_lone_surrogate_can_be_printed(self) -> None:
        """JSON may hold one; no encoder takes it."""
        data = json.loads('{"id": 1, "name": "a\\ud800b", "status": "active"}')
        assert parse_droplet(data).name == "a?b"


TEAM = "5df3e3004a17e242b7c20ca6c9fc25b701a47ece"


@pytest.mark.parametrize(
    ("account", "account_id"),
    [
        ({"uuid": "me", "team": {"uuid": TEAM, "name": "Shop"}}, TEAM),
        ({"uuid": "me", "team": {"name": "Shop"}}, "me"),
        ({"uuid": "me", "team": {"uuid": None}}, "me"),
        ({"uuid": "me", "team": None}, "me"),
        ({"uuid": "a" * 64}, "a" * 64),
    ],
)
def test_an_account_is_known_by_its_team(account: Any, account_id: str) -> None:
    """Everybody of a team, and each of their tokens, sees the same Droplets."""
    assert parse_account_id(account) == account_id


@pytest.mark.parametrize("value", ["", "a" * 65, "a b", "a\n", "ü", "me@example.com", 7, ["a"]])
@pytest.mark.parametrize("place", ["uuid", "team"])
def test_an_id_of_another_form_is_refused(value: Any, place: str) -> None:
    """Also that of the team: the account's own would not stand for the same."""
    account = {"uuid": value} if place == "uuid" else {"uuid": "me", "team": {"uuid": value}}
    with pytest.raises(ApiError):
        parse_account_id(account)


@pytest.mark.parametrize("account", [None, [], "x", {}, {"team": []}, {"team": {}}])
def test_an_account_of_another_form_is_refused(account: Any) -> None:
    """An answer is foreign input."""
    with pytest.raises(ApiError):
        parse_account_id(account)
