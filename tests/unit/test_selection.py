"""The selector language: what it selects, what it refuses, how it explains."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.model import Droplet, Image
from pytest_droplet.selection import SelectionError, explain_no_match, parse_selectors

WEB_1 = Droplet(
    id=1,
    name="web-1",
    region="fra1",
    size="s-1vcpu-1gb",
    tags=("prod", "web"),
    vpc_uuid="aaaa-1",
    image=Image(slug="debian-13-x64", distribution="Debian"),
    project="Shop",
)
WEB_2 = Droplet(
    id=22,
    name="web-22",
    region="nyc3",
    size="s-2vcpu-4gb",
    tags=("staging", "web"),
    vpc_uuid="bbbb-2",
    image=Image(slug=None, distribution="Ubuntu"),
    project="My Shop",
)
DB_1 = Droplet(
    id=333,
    name="db[1]",
    region="fra1",
    size="s-1vcpu-1gb",
    tags=("prod", "k8s:role:db"),
    image=Image(slug="ubuntu-24-04-x64", distribution="Ubuntu"),
)
ALL = (WEB_1, WEB_2, DB_1)


def selected(*texts: str) -> list[int]:
    selection = parse_selectors(texts)
    return [droplet.id for droplet in ALL if selection.matches(droplet)]


@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (["all"], [1, 22, 333]),
        (["tag:prod"], [1, 333]),
        (["tag:PROD"], [1, 333]),
        (["tag:k8s:role:db"], [333]),
        (["tag:k8s*"], [333]),
        (["name:web-*"], [1, 22]),
        (["web-*"], [1, 22]),
        (["web-?"], [1]),
        (["web"], []),
        (["db[1]"], [333]),
        (["db[0-9]"], []),
        (["id:22"], [22]),
        (["22"], [22]),
        (["0022"], [22]),
        (["id:2"], []),
        (["name:22"], []),
        (["region:fra1"], [1, 333]),
        (["vpc:aaaa-1"], [1]),
        (["vpc:*"], [1, 22]),
        (["image:ubuntu-24-04-x64"], [333]),
        (["image:Ubuntu"], [22, 333]),
        (["image:ubuntu*"], [22, 333]),
        (["size:s-1vcpu-*"], [1, 333]),
        (["project:shop"], [1]),
        (["project:My Shop"], [22]),
        (["project:*shop"], [1, 22]),
        (["!project:*"], [333]),
        (["tag:prod,region:fra1"], [1, 333]),
        (["tag:prod,tag:web"], [1]),
        (["tag:prod, !web-1"], [333]),
        (["tag:prod,!name:web-*"], [333]),
        (["!tag:prod"], [22]),
        (["! tag:prod"], [22]),
        (["all,!tag:web"], [333]),
        (["tag:staging", "db*"], [22, 333]),
        (["tag:staging", "tag:staging"], [22]),
    ],
)
def test_selects(texts: list[str], ids: list[int]) -> None:
    """Terms joined by commas must all hold, options add up, ``!`` negates."""
    assert selected(*texts) == ids


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "--droplets: no selector; try all, tag:NAME or a name"),
        ([""], "--droplets=: an empty term; *"),
        (["tag:a,,web"], "--droplets=tag:a,,web: an empty term; *"),
        (["!"], "--droplets=!: an empty term; *"),
        (["tag:"], "--droplets=tag:: tag: has no value; try tag:* for any"),
        (["tgg:prod"], "--droplets=tgg:prod: unknown key 'tgg'; did you mean tag:prod?"),
        (["Tag:prod"], "--droplets=Tag:prod: unknown key 'Tag'; did you mean tag:prod?"),
        (["zzz:x"], "--droplets=zzz:x: unknown key 'zzz'; known: tag, name, id, region, *"),
        ([":x"], "--droplets=:x: unknown key ''; known: *"),
        (["id:web-1"], "--droplets=id:web-1: an id is a number; a name is name:web-1"),
        (["!all"], "--droplets=!all: !all selects nothing; negate another term"),
        (["demo,tag:web"], "--droplets=demo,tag:web: demo stands alone; *name:demo"),
        (["demo", "all"], "--droplets=demo,all: demo stands alone; *name:demo"),
        (["!demo"], "--droplets=!demo: demo stands alone; *name:demo"),
    ],
)
def test_refuses(texts: list[str], message: str) -> None:
    """What makes no sense is refused in one line that says what would."""
    with pytest.raises(SelectionError) as caught:
        parse_selectors(texts)
    text = str(caught.value)
    head, star, tail = message.partition("*")
    assert text.startswith(head)
    assert text.endswith(tail.lstrip("*")) if star else text == message
    assert "\n" not in text


def test_demo_stands_alone() -> None:
    """``demo`` asks for the recording; all of its Droplets are selected."""
    selection = parse_selectors(["demo"])
    assert selection.demo
    assert all(selection.matches(droplet) for droplet in ALL)
    assert not parse_selectors(["name:demo"]).demo


def test_projects_are_asked_for_only_where_a_term_needs_them() -> None:
    """They cost a request for each project."""
    assert parse_selectors(["web-*", "tag:a,!project:x"]).needs_projects
    assert not parse_selectors(["all", "tag:project"]).needs_projects
    assert parse_selectors(["a", "b"]).texts == ("a", "b")


@pytest.mark.parametrize(
    ("field", "text", "scope"),
    [
        ("tags", "tag:web", "tag:read"),
        ("tags", "region:nyc9,!tag:web", "tag:read"),
        ("vpc_uuid", "vpc:a", "vpc:read"),
        ("image", "image:debian*", "image:read"),
    ],
)
def test_what_the_token_does_not_see_is_an_error(field: str, text: str, scope: str) -> None:
    """Never "matches none", never a silent part, wherever the term stands."""
    unseen = Droplet(id=1, name="web-1", hidden=frozenset({field}))
    with pytest.raises(SelectionError, match=f"the token does not see .*{scope} is missing"):
        parse_selectors(["web-1", text]).matches(unseen)
    assert parse_selectors(["web-1"]).matches(unseen)


@pytest.mark.parametrize(
    ("texts", "claim", "what_there_is"),
    [
        (
            ["tag:prodd"],
            "--droplets=tag:prodd matches none of the 3 droplets",
            ["tags in use: prod, k8s:role:db, staging, web"],
        ),
        (
            ["staging"],
            "--droplets=staging matches none of the 3 droplets",
            ["did you mean tag:staging?", "names in use: db[1], web-1, web-22"],
        ),
        (
            ["tag:FRA1,!web"],
            "--droplets=tag:FRA1,!web matches none of the 3 droplets",
            [
                "did you mean region:FRA1?",
                "tags in use: k8s:role:db, prod, staging, web",
                "names in use: web-1, web-22, db[1]",
            ],
        ),
        (
            ["region:ams3", "mail"],
            "--droplets=region:ams3 --droplets=mail matches none of the 3 droplets",
            ["regions in use: fra1, nyc3", "names in use: db[1], web-1, web-22"],
        ),
        (
            ["tag:staging,region:fra1"],
            "--droplets=tag:staging,region:fra1 matches none of the 3 droplets",
            [
                "tags in use: staging, k8s:role:db, prod, web",
                "regions in use: fra1, nyc3",
                "each term holds for some droplet, all of them together for none",
            ],
        ),
    ],
)
def test_explains_that_nothing_matches(
    texts: list[str], claim: str, what_there_is: list[str]
) -> None:
    """One line with what exists for each key that was used, the nearest first."""
    assert explain_no_match(parse_selectors(texts), ALL) == "; ".join([claim, *what_there_is])


def test_the_explanation_is_short() -> None:
    """A large account does not fill the screen, and a hostile name stays on its line."""
    fleet = [Droplet(id=n, name=f"web-{n}\nPASSED\x1b[2J" + "x" * 300) for n in range(1, 5001)]
    text = explain_no_match(parse_selectors(["wob"]), fleet)
    assert text.endswith(" and 4990 more")
    assert text.isprintable()
    assert len(text) < 1000
    assert explain_no_match(parse_selectors(["all"]), []) == (
        "--droplets=all matches nothing: the account has no droplets"
    )
    assert "none of the 1 droplet;" in explain_no_match(parse_selectors(["a"]), [WEB_1])


@given(st.text(max_size=60))
def test_any_text_is_a_selection_or_one_line(text: str) -> None:
    """Whatever is typed: a selection that can be asked, or a SelectionError of one line."""
    try:
        selection = parse_selectors([text])
    except SelectionError as exc:
        assert str(exc).isprintable()  # noqa: PT017 any text may be a selector
        return
    for droplet in ALL:
        selection.matches(droplet)
    assert explain_no_match(selection, ALL).isprintable()


def test_nothing_slow_is_imported() -> None:
    """Selection, inventory and the fake cloud do without pydo and requests."""
    code = (
        "import sys, pytest_droplet.selection, pytest_droplet.api.lists, "
        "pytest_droplet.testing, pytest_droplet.redact\n"
        "print([m for m in ('pydo', 'requests', 'azure', 'msrest') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
