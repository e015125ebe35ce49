"""The algebra of rules that allow and deny, against brute force over small universes."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.facts.firewall.reach import (
    EVERYWHERE,
    PRIVATE,
    PUBLIC,
    Addresses,
    Name,
    Piece,
    Ranges,
    Term,
    addresses,
    pieces,
)

LAST = 12
NUMBERS = range(LAST + 1)
ENDS = st.integers(0, LAST)
RANGES = st.lists(st.tuples(ENDS, ENDS).map(lambda ends: (min(ends), max(ends))), max_size=4)
SETS = RANGES.map(Ranges.of)
NAMES: tuple[Name, ...] = (("tag", "web"), ("Droplet", "7"))
TERMS = st.lists(
    st.builds(
        Term,
        st.booleans(),
        SETS,
        st.builds(Addresses, SETS, SETS),
        st.frozensets(st.sampled_from(NAMES)),
    ),
    max_size=5,
)


def numbers(ranges: Ranges) -> set[int]:
    return {number for number in NUMBERS if number in ranges}


@given(RANGES)
def test_ranges_are_the_numbers_between_their_ends(ranges: list[tuple[int, int]]) -> None:
    """Whatever overlaps or touches is one range; the ranges are in order."""
    made = Ranges.of(ranges)
    wanted = {n for first, last in ranges for n in range(first, last + 1)}
    assert numbers(made) == wanted
    assert (made.size, bool(made)) == (len(wanted), bool(wanted))
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(made.parts))


@given(SETS, SETS)
def test_ranges_are_sets(one: Ranges, other: Ranges) -> None:
    """Union, difference and intersection are those of Python's sets, and are well formed."""
    a, b = numbers(one), numbers(other)
    for made, wanted in ((one | other, a | b), (one - other, a - b), (one & other, a & b)):
        assert numbers(made) == wanted
        assert made == Ranges.of(made.parts)


def are_world(reached: Addresses) -> bool:
    """Whether they are half of IPv4 or half of the IPv6 internet."""
    return reached.have_world(4) or reached.have_world(6)


def allowed(terms: list[Term], port: int, version: int, address: int) -> bool:
    """Return what the rules do with one packet: any that denies wins over all that allow."""
    here = [
        term.allows
        for term in terms
        if port in term.ports
        and address in (term.addresses.four if version == 4 else term.addresses.six)
    ]
    return bool(here) and all(here)


@given(TERMS)
def test_pieces_are_what_the_rules_do_with_each_packet(terms: list[Term]) -> None:
    """Every port is in one piece, and there each address gets in or not as the rules say."""
    cut = pieces(terms, 0, LAST)
    assert [p for piece in cut for p in range(piece.first, piece.last + 1)] == list(NUMBERS)
    for piece in cut:
        for port in range(piece.first, piece.last + 1):
            for version, known in ((4, piece.addresses.four), (6, piece.addresses.six)):
                wanted = {n for n in NUMBERS if allowed(terms, port, version, n)}
                assert numbers(known) == wanted


@given(TERMS, SETS, SETS, st.data())
def test_somebody_is_true_for_all_that_named_peers_may_be(
    terms: list[Term], within: Ranges, named_in: Ranges, data: st.DataObject
) -> None:
    """Whatever addresses named peers have, a told answer is the true one.

    Each peer has one address or more where named peers are; one that is allowed has one within.
    """
    piece = pieces(terms, 0, LAST)[0]
    answer = piece.somebody(Addresses(within), Addresses(named_in))
    places = sorted(numbers(named_in))
    inside = sorted(numbers(named_in & within))
    if answer is None or not inside:
        return
    here = [term for term in terms if 0 in term.ports]
    held = {name: data.draw(st.sets(st.sampled_from(places), min_size=1)) for name in NAMES}
    for name in {name for term in here if term.allows for name in term.names}:
        held[name] |= {data.draw(st.sampled_from(inside))}
    peers = [
        (term.allows, numbers(term.addresses.four).union(*(held[n] for n in term.names)))
        for term in here
    ]
    let_in = set().union(*(of for allows, of in peers if allows))
    denied = set().union(*(of for allows, of in peers if not allows))
    assert answer == bool((let_in - denied) & numbers(within))


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (addresses("0.0.0.0/1"), True),
        (addresses("0.0.0.0/2", "64.0.0.0/2"), True),
        (addresses("0.0.0.0/2"), False),
        (addresses("0.0.0.0/1") - addresses("198.51.100.7/32", "10.0.0.0/8"), False),
        (EVERYWHERE - addresses("198.51.100.7/32", "::/0"), True),
        (EVERYWHERE - addresses("0.0.0.0/0", "2001:db8::7/128"), True),
        (addresses("2000::/4"), True),
        (addresses("2000::/5", "2800::/5"), True),
        (addresses("2000::/5"), False),
        (addresses("fc00::/7", "fe80::/10"), False),
        (addresses(), False),
    ],
)
def test_the_world_is_half_of_ipv4_or_half_of_the_ipv6_internet(
    left: Addresses, *, expected: bool
) -> None:
    """A hole of one address leaves the world open; half of it closed leaves less than that."""
    assert are_world(left) is expected


ADDRESS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(ADDRESS)
def test_a_public_address_is_one_that_python_calls_global(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Nothing private is public; what is global, in the IPv6 internet and no multicast, is."""
    alone = Addresses.of([ipaddress.ip_network(address)])
    if alone & PUBLIC:
        assert not alone & PRIVATE
        assert not address.is_multicast
        assert not address.is_loopback
        assert not address.is_link_local
    elif address.version == 4:
        assert not address.is_global or address.is_multicast or address in SPECIAL
    else:
        assert address not in ipaddress.ip_network("2000::/3") or not address.is_global


SPECIAL = ipaddress.ip_network("192.0.0.0/24")  # a few of its addresses are global in some Pythons


def test_ports_of_two_rules_are_one_range() -> None:
    """Rules that touch leave pieces that cover all ports together."""
    world = EVERYWHERE
    terms = [
        Term(True, Ranges(((1, 9999),)), world),  # noqa: FBT003 in the order of the fields
        Term(True, Ranges(((10000, 65535),)), world),  # noqa: FBT003 as above
        Term(False, Ranges(((22, 22),)), world),  # noqa: FBT003 as above
    ]
    cut = pieces(terms)
    assert [(p.first, p.last, are_world(p.addresses)) for p in cut] == [
        (1, 21, True),
        (22, 22, False),
        (23, 9999, True),
        (10000, 65535, True),
    ]
    assert sum(p.size for p in cut if are_world(p.addresses)) == 65534
    assert pieces([]) == [Piece(1, 65535)]
