"""The HTML report: safe for hostile input, small, and usable in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_droplet.report.html import write_html
from pytest_droplet.report.html_script import MODULES, joined, source_of
from pytest_droplet.report.rate import SENTENCE
from pytest_droplet.tables import RECOMMENDATIONS
from tests.support import sample_record as sample
from tests.support.browser import Browser, axe_source, chromium

VERDICTS = ("pass", "fail", "unknown", "error", "notapplicable", "waived")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


class _Parsed(HTMLParser):
    """Tags and attributes of a page, the texts of its scripts and styles, and all other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in self.raw and self.cdata_elem:
            self.raw[self.tags[-1]].append(data)
        else:
            self.text += data


def draw(tmp_path: Path, records: list[dict[str, Any]], **options: Any) -> str:
    path = tmp_path / "audit.html"
    write_html(records, path, **options)
    return path.read_text(encoding="utf-8")


def data_of(text: str) -> dict[str, Any]:
    block = text.split('<script type="application/json" id="data">')[1].partition("</script>")[0]
    found: dict[str, Any] = json.loads(block)
    return found


def one(*verdicts: str, **more: Any) -> list[dict[str, Any]]:
    """Return a whole record of one Droplet with these verdicts, each of a check of its own."""
    lines = [sample.header(()), sample.droplet(0)]
    lines += [
        sample.result(f"ssh.check-{n}", 417000001, verdict, **more)
        for n, verdict in enumerate(verdicts)
    ]
    return [*lines, sample.summary(lines)]


def test_no_text_of_a_host_becomes_markup(tmp_path: Path) -> None:
    """Whatever hosts and the API said adds no tag, no attribute and no script to the page."""
    page = _Parsed(draw(tmp_path, sample.hostile()))

    assert set(page.tags) <= set(_Parsed(draw(tmp_path, sample.fleet())).tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("script") == 2
    assert sample.HOSTILE_NAME in page.text


def test_the_data_block_holds_no_character_that_acts(tmp_path: Path) -> None:
    """No tag or entity for the HTML parser, no control, surrogate or turned writing for a reader."""
    text = draw(tmp_path, sample.hostile())
    block = text.split('id="data">')[1].split("</script>")[0]

    assert not re.search("[<>&\u2028\u2029]", block)
    shown = "".join(data_of(text)["strings"])
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]",
        shown,
    )
    assert "\ufffd[31mred" in shown
    assert "lone � surrogate" in shown


@cache
def shape(word: str) -> tuple[list[str], list[str]]:
    """Tags and attribute names of a page whose name, message and reason is this word."""
    lines = [
        sample.header(()),
        sample.droplet(0, name=word, coverage="unreachable", reason=word),
        sample.result("ssh.one", 417000001, "fail", message=word),
    ]
    with pytest.MonkeyPatch.context() as patch:
        written: list[bytes] = []
        patch.setattr(Path, "write_bytes", lambda _, data: written.append(data))
        write_html(lines, Path("x.html"))
    page = _Parsed(written[0].decode())
    return page.tags, [name for name, _ in page.attributes]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=60))
@pytest.mark.slow
def test_any_text_leaves_the_page_as_it_is(text: str) -> None:
    """The same tags and attribute names come out whatever a name, message or reason holds."""
    assert shape(text) == shape("web-1")


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    """A message of 200 KB is cut, says so, and does not blow up the page."""
    text = draw(tmp_path, one("fail", message="x" * 200_000))

    assert len(text) < 150_000
    assert "196,000 more characters in the record" in data_of(text)["strings"][1]


@pytest.mark.slow
def test_a_large_fleet_fits(tmp_path: Path) -> None:
    """1,000 Droplets with 42 checks and their evidence take at most 6 MB."""
    text = draw(tmp_path, sample.fleet(1000, 45))

    assert len(data_of(text)["verdict"]) == 42_006
    assert len(text.encode()) <= 6_000_000


def test_the_script_stays_small() -> None:
    """The page's script is under 48 KB: a small part of a page, whose data is what weighs."""
    assert len(joined().encode()) < 49_152


def test_modules_import_what_is_there_from_those_before_them() -> None:
    """Joined in their order each name stands before what uses it, and none stands twice."""
    page = Path(str(files("pytest_droplet.report") / "page"))
    assert {path.stem for path in page.glob("*.js")} == set(MODULES)
    exported: dict[str, set[str]] = {}
    declared: list[str] = []
    for module in MODULES:
        source = source_of(module)
        for names, other in re.findall(
            r"^import \{([^}]+)\} from '\./(\w+)\.js';", source, re.MULTILINE
        ):
            assert {name.strip() for name in names.split(",") if name.strip()} <= exported[other]
        assert source.count("\nimport ") == len(
            re.findall(r"^import \{[^}]+\} from", source, re.MULTILINE)
        )
        lists = re.findall(r"^export const \{([^}]+)\}", source, re.MULTILINE)
        alone = re.findall(r"^export (?:const|let) ([\w$]+)", source, re.MULTILINE)
        exported[module] = {*alone, *(n.strip() for names in lists for n in names.split(","))}
        declared += re.findall(r"^(?:export )?(?:const|let) ([\w$]+)", source, re.MULTILINE)
    assert len(declared) == len(set(declared))
    assert not re.search(r"^(import|export) ", joined(), re.MULTILINE)


def test_the_policy_allows_our_script_and_style_and_nothing_else(tmp_path: Path) -> None:
    """The hashes of the policy are those of the inline style and script; nothing is inline else."""
    page = _Parsed(draw(tmp_path, sample.fleet()))
    policy = next(value for _, value in page.attributes if value and "default-src" in value)

    def allowed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert policy == (
        f"default-src 'none'; script-src {allowed(page.raw['script'][-1])}; "
        f"style-src {allowed(page.raw['style'][-1])}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert "style" not in {name for name, _ in page.attributes}


def test_every_verdict_is_counted(tmp_path: Path) -> None:
    """Each of the six verdicts has its number on top, and its letter in the data."""
    text = draw(tmp_path, one(*VERDICTS, severity="high"))

    assert data_of(text)["verdict"] == "pfuenw"
    top = " ".join(_Parsed(text.split("<main")[0]).text.split())
    assert "1 finding on 1 of 1 Droplet" in top
    assert "1 verdict is unknown and 1 verdict broke" in top
    assert "1 passed, 1 waived and 1 not applicable." in top


@pytest.mark.parametrize(
    ("verdicts", "exit_code", "headline", "tone"),
    [
        (("pass", "notapplicable"), 0, "No findings", "good"),
        (("pass",), 1, "No findings, but the run ended with exit code 1", "open"),
        (("pass", "unknown"), 1, "No findings, but not everything is known", "open"),
        (("pass", "unknown"), 0, "No findings, but not everything is known", "good"),
        (("pass", "something-new"), 1, "No findings, but not everything is known", "open"),
        (("pass", "error"), 1, "No findings, but not everything is known", "bad"),
        (("fail",), 1, "1 finding on 1 of 1 Droplet", "bad"),
        (("fail",), 0, "1 finding on 1 of 1 Droplet", "good"),
        ((), 5, "Nothing was judged", "open"),
    ],
)
def test_the_exit_code_decides_what_looks_like_success(
    tmp_path: Path, verdicts: tuple[str, ...], exit_code: int, headline: str, tone: str
) -> None:
    """As on the terminal; what was found, and that not all is known, stands there all the same."""
    lines = one(*verdicts)
    lines[-1]["exit_code"] = exit_code
    text = draw(tmp_path, lines)

    assert f"<h1>{headline}</h1>" in text
    assert f'class="top tone-{tone}"' in text


def test_a_cut_run_says_so(tmp_path: Path) -> None:
    """A record without a summary is drawn as far as it goes, with a warning, and is not good."""
    text = draw(tmp_path, one("pass")[:-1])

    assert "This run was cut before its end" in text
    assert 'class="top tone-open"' in text


def test_a_run_that_was_stopped_is_not_good(tmp_path: Path) -> None:
    """Though all that it judged is."""
    lines = one("pass")
    lines[-1] |= {"not_run": 3, "exit_code": 2}
    text = draw(tmp_path, lines)

    assert "This run was stopped: 3 tests did not run" in text
    assert "<h1>No findings, but not everything is known</h1>" in text
    assert 'class="top tone-open"' in text


def test_a_replay_and_a_low_coverage_are_noted(tmp_path: Path) -> None:
    """What qualifies the figures stands beside them."""
    replay = {"recorded_at": "2026-11-20T09:30:00Z", "source": "demo"}
    lines = [sample.header((), replay=replay), sample.droplet(0)]
    lines.append(sample.droplet(1, coverage="unreachable", reason="web-2: no answer"))

    text = draw(tmp_path, [*lines, sample.summary(lines)])

    assert "A replay of the recording demo of 2026-11-20 09:30 UTC" in text
    assert "Coverage is 50 %, less than the 100 % that this run requires." in text
    assert "web-2: no answer" in text


def test_what_to_fix_first_goes_by_severity_and_droplets(tmp_path: Path) -> None:
    """A critical finding comes before ten high ones, these before one; effects are folded."""
    lines = [sample.header(())]
    for number in range(10):
        droplet = 417000001 + number
        lines.append(sample.droplet(number))
        lines.append(sample.result("auditd.installed", droplet, "fail", severity="high"))
        lines.append(
            sample.result("auditd.running", droplet, "fail", severity="high",
                          caused_by="auditd.installed")
        )  # fmt: skip
    lines.append(sample.result("backups.enabled", 417000001, "fail", severity="high"))
    lines.append(sample.result("os.release-supported", 417000001, "fail", severity="critical"))

    first = draw(tmp_path, lines).split('<ol class="first">')[1].split("</ol>")[0]

    assert re.findall(r'href="#(.+?)"', first) == [
        "check=os.release-supported",
        "check=auditd.installed",
        "check=backups.enabled",
    ]
    assert "fails on 10 Droplets" in first
    assert "causes 10 more" in first


def test_changes_since_the_baseline_mark_the_findings(tmp_path: Path) -> None:
    """New and still failing findings are told apart; the time between the two runs is named."""
    records = sample.fleet()
    text = draw(tmp_path, records)
    baseline = records[-1]["baseline"]
    marks = [more.get("change") for more in data_of(text)["more"].values()]

    assert marks.count("new") == len(baseline["new"])
    assert marks.count("still") == len(baseline["still"])
    assert "7 days earlier" in text
    assert "Droplets that went: <bdi>web-0</bdi>" in text


def test_waivers_show_their_expiry(tmp_path: Path) -> None:
    """Expired waivers come first; each says how many days are left or gone."""
    text = draw(tmp_path, sample.fleet()).split('id="waivers"')[1].split("</section>")[0]

    assert re.findall("Expired|Matches nothing|In use", text) == [
        "Expired", "Matches nothing", "In use",
    ]  # fmt: skip
    assert "(22 days ago)" in text
    assert "(39 days left)" in text


def test_waivers_are_drawn_from_the_results_of_a_cut_run(tmp_path: Path) -> None:
    """Without a summary the waivers that were applied are listed all the same."""
    waiver = {"reason": "stateless", "expires": "2026-12-31", "expired": False}
    text = draw(tmp_path, one("waived", waiver=waiver)[:-1])

    assert "stateless" in text.split('id="waivers"')[1].split("</section>")[0]


def test_extras_become_text_links_and_images(tmp_path: Path) -> None:
    """Attachments are found by node id; HTML stays text, and only http links and data images act."""
    extras = {
        "own": [
            {"name": "page", "format_type": "html", "content": "<b>bold</b>"},
            {"name": "site", "format_type": "url", "content": "https://example.com/"},
            {"name": "trap", "format_type": "url", "content": "javascript:alert(1)"},
            {"name": "shot", "format_type": "image", "content": PIXEL, "mime_type": "image/png"},
            {"name": "file", "format_type": "image", "content": "https://example.com/x.png"},
            {"name": "tree", "format_type": "json", "content": {"a": 1}},
        ]
    }
    text = draw(tmp_path, one("pass", nodeid="own"), extras=extras)

    shown = data_of(text)["more"]["0"]["extras"]
    assert [item["kind"] for item in shown] == ["text", "url", "text", "image", "text", "text"]
    assert shown[3]["content"] == f"data:image/png;base64,{PIXEL}"
    assert json.loads(shown[5]["content"]) == {"a": 1}
    assert "<b>bold</b>" not in text


def test_summary_hooks_keep_their_markup_in_a_place_of_their_own(tmp_path: Path) -> None:
    """Prefix, summary and postfix of the user's conftest are the only markup from outside."""
    text = draw(tmp_path, one("pass"), summary=(["<p>one</p>"], ["<i>two</i>"], ["three"]))

    own = text.split('<section class="card own"')[1].split("</section>")[0]
    assert own.endswith("<p>one</p>\n<i>two</i>\nthree")


def test_requirements_stand_as_their_checks_do(tmp_path: Path) -> None:
    """The worst check decides; what is not judged is not met; the page says what it is not."""
    page = {**sample.header()["checks"][0], "id": "own.a", "controls": {"acme-2": ["1.2", "1.10"]}}
    header = sample.header([]) | {"checks": [page]}
    told = {}
    for verdict in ("pass", "fail", "unknown", "notapplicable"):
        lines = [header, sample.droplet(0), sample.result("own.a", 417000001, verdict)]
        text = draw(tmp_path, lines)
        assert "Cross-reference, not a certification" in text
        plain = re.sub(r"</?a\b[^>]*>", "", text)
        told[verdict] = re.findall(r"<dt>([\w ]+)</dt><dd>(1\.2, 1\.10)</dd>", plain)
        assert '<a href="#control=acme-2:1.10&amp;verdict=all">1.10</a>' in text
        assert "PCI DSS" not in text

    standing = {
        "pass": "Met",
        "fail": "Not met",
        "unknown": "Not observed",
        "notapplicable": "Nothing here looks at it",
    }
    assert told == {verdict: [(word, "1.2, 1.10")] for verdict, word in standing.items()}


def test_a_users_own_test_appears(tmp_path: Path) -> None:
    """A result whose check the header does not list is a check of its own, with its title."""
    data = data_of(draw(tmp_path, one("fail", title="The site answers")))

    assert [(c["id"], c["title"], c["family"]) for c in data["checks"]] == [
        ("ssh.check-0", "The site answers", "ssh")
    ]


def test_a_result_of_a_droplet_that_is_not_listed_is_kept(tmp_path: Path) -> None:
    """A cut or merged record may lack the Droplet's line: its verdicts are shown under its id."""
    text = draw(tmp_path, [sample.header(()), sample.result("ssh.one", 7, "fail")])

    assert data_of(text)["droplets"] == [{"id": 7, "name": "Droplet 7", "rate": 0}]
    assert "1 finding on 1 of 1 Droplet" in text


def test_the_rate_is_there_with_its_sentence(tmp_path: Path) -> None:
    """The share that passes stands at the top, and with each Droplet; unknown is not passed."""
    records = one("pass", "pass", "pass", "unknown", "notapplicable")
    text = draw(tmp_path, records)
    severity = next(r["severity"] for r in records if r["type"] == "result")
    assert {r["severity"] for r in records if r["type"] == "result"} == {severity}

    assert "<b>75 %</b> <span>rate</span>" in text
    assert SENTENCE in text
    assert [d["rate"] for d in data_of(text)["droplets"]] == [75]


def test_nothing_judged_has_no_rate(tmp_path: Path) -> None:
    """What does not apply alone makes no figure."""
    text = draw(tmp_path, one("notapplicable"))

    assert "<span>rate</span>" not in text
    assert "rate" not in data_of(text)["droplets"][0]


def test_the_page_says_whose_record_it_is_of(tmp_path: Path) -> None:
    """Account or team, the tool with its version, and the hash of the record are named."""
    records = one("pass")
    records[0]["account"] = {"id": "5df3e300-4a17", "droplets": []}
    run = draw(tmp_path, records, digest="0123abcd").split('id="run"')[1]

    assert "<dd>5df3e300-4a17</dd>" in run
    assert "<dd>0123abcd</dd>" in run
    tool = records[0]["tool"]
    assert f"<dd>{tool['name']} {tool['version']}</dd>" in run


def test_coverage_is_one_figure(tmp_path: Path) -> None:
    """Wherever the page names it, it is the summary's."""
    records = sample.fleet()
    text = _Parsed(draw(tmp_path, records)).text
    percent = records[-1]["coverage"]["percent"]

    assert set(re.findall(r"(\d+(?:\.\d+)?) % *reached|Coverage is (\d+(?:\.\d+)?) %", text)) <= {
        (f"{percent:g}", ""),
        ("", f"{percent:g}"),
    }
    assert f"{percent:g} %" in text


def test_a_remedy_is_not_cut(tmp_path: Path) -> None:
    """What to fix first has all of it, with its commands as code."""
    lines = one("fail")
    remedy = f"Run ``sshd -t``.\n\n{'Then wait. ' * 200}End."
    page = {"id": "ssh.check-0", "title": "It holds.", "remediation": remedy, "severity": "high"}
    lines[0]["checks"] = [page]
    first = draw(tmp_path, lines).split('id="first"')[1].split("</ol>")[0]

    assert "<code>sshd -t</code>" in first
    assert "Then wait. End.</p>" in first


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "audit.html"
    write_html(sample.fleet(), path)
    return path


@pytest.fixture(scope="module")
def wordy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on which one finding of each check has more to say than a screen holds."""
    seen: set[str] = set()
    records = sample.fleet()
    for record in records:
        if record.get("verdict") in {"fail", "error"} and record["check"] not in seen:
            seen.add(record["check"])
            record |= {"message": "many words " * 200, "traceback": "a line\n" * 100}
    path = tmp_path_factory.mktemp("html") / "wordy.html"
    write_html(records, path)
    return path


GROUPS = "#list > .group > summary h3"


def test_a_page_asks_for_nothing_and_reports_no_error(browser: Browser, fleet: Path) -> None:
    """The file is all there is: no request, no console error, no refusal by its own policy."""
    with browser.page(fleet) as page:
        page.eval("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        page.settle()

        assert page.errors() == []
        assert page.requests() == [fleet.as_uri()]


def test_three_verdicts(browser: Browser, tmp_path: Path) -> None:
    """A page of three verdicts shows each in full, without a click."""
    write_html(sample.small(), tmp_path / "small.html")
    with browser.page(tmp_path / "small.html") as page:
        assert page.text("h1") == ["1 finding on 1 of 1 Droplet"]
        assert page.text("output") == ["2 of 3 verdicts shown, on 1 Droplet"]
        assert len(page.text(GROUPS)) == 2
        assert page.text("#list .group[open] .find b") == ["web-1", "web-1"]
        assert page.errors() == []


@pytest.mark.slow
def test_fifty_thousand_verdicts(browser: Browser, tmp_path: Path) -> None:
    """50,000 verdicts are drawn, filtered and searched; only what is looked at is in the page.

    Some 200 of its elements are requirements of frameworks, however large the fleet is.
    """
    write_html(sample.fleet(1000, 54), tmp_path / "large.html")
    with browser.page(tmp_path / "large.html") as page:
        assert "of 51,006 verdicts shown" in page.text("output")[0]
        page.eval("location.hash = '#q=worker-999'")
        page.settle()
        assert page.text("output") == ["0 of 51,006 verdicts shown, on 0 Droplets"]
        page.eval("location.hash = '#verdict=all'")
        page.settle()
        assert page.text("output") == ["51,006 of 51,006 verdicts shown, on 1,000 Droplets"]
        assert page.eval("document.querySelectorAll('*').length") < 3200
        page.click("#list .group:nth-child(2) summary")
        assert page.text("#list .group[open] .more") == ["Show more (925 left)"]
        page.click("#list .group[open] .more button")
        assert len(page.text("#list .group[open] .find")) == 250
        assert page.errors() == []


def test_filters_change_what_is_shown_and_the_url(browser: Browser, fleet: Path) -> None:
    """Each filter narrows the findings and is written to the URL; reset brings all back."""
    with browser.page(fleet) as page:
        everything = page.text(GROUPS)
        page.click("#filters input[value=c]")
        assert page.eval("location.hash") == "#severity=critical"
        assert set(page.text("#list > .group > summary .badge")) <= {"Critical", "Unknown"}
        page.eval(
            "const s = document.querySelectorAll('#filters select')[2];"
            "s.value = 'ssh'; s.dispatchEvent(new Event('change'))"
        )
        assert page.eval("location.hash") == "#family=ssh&severity=critical"
        assert "Root cannot log in with a password" in page.text(GROUPS)
        assert "The release still gets security updates" not in page.text(GROUPS)
        page.eval("history.back()")
        page.eval("new Promise(done => setTimeout(done, 100))")
        assert page.eval("location.hash") == "#severity=critical"
        assert page.eval("document.querySelectorAll('#filters select')[2].value") == ""
        page.click("#state button:last-child")
        assert page.eval("location.hash") == ""
        assert page.text(GROUPS) == everything


def test_search_is_spoken_and_kept_in_the_url(browser: Browser, fleet: Path) -> None:
    """Typing filters after a moment; the number of hits is in a live region."""
    with browser.page(fleet) as page:
        page.eval("document.querySelector('#filters input[type=search]').focus()")
        page.call("Input.insertText", text="bastion sshd")
        page.eval("new Promise(done => setTimeout(done, 400))")

        assert page.eval("location.hash") == "#q=bastion+sshd"
        assert re.fullmatch(r"\d+ of 474 verdicts shown, on 1 Droplet", page.text("output")[0])
        assert page.eval("document.querySelector('output').ariaLive") == "polite"


def test_a_url_restores_the_view(browser: Browser, fleet: Path) -> None:
    """A shared URL opens the same filters, the same grouping and the same findings."""
    fragment = "#tag=db&verdict=unknown&view=droplet"
    with browser.page(fleet, fragment) as page:
        assert page.text(GROUPS) == ["db-2"]
        assert page.eval("document.querySelector('#view input:checked').value") == "droplet"
        assert page.eval("document.querySelectorAll('#filters select')[0].value") == "db"
        assert page.eval("location.hash") == fragment


@pytest.mark.parametrize("fragment", ["#verdict=<b>&x=1&view=%00&q=%F0", "#findings", "#=", "#%"])
def test_a_strange_url_is_harmless(browser: Browser, fleet: Path, fragment: str) -> None:
    """A fragment that no page of ours wrote draws a page without an error."""
    with browser.page(fleet, fragment) as page:
        assert page.errors() == []
        assert page.text("h1") == ["38 findings on 8 of 12 Droplets"]


def test_links_lead_to_what_they_name(browser: Browser, fleet: Path) -> None:
    """The first thing to fix and a finding's own link show just that; sections keep the filters."""
    with browser.page(fleet) as page:
        title = page.text("#first a")[0]
        page.click("#first a")
        page.eval("new Promise(done => setTimeout(done, 100))")
        assert page.text(GROUPS) == [title]
        assert page.eval("document.activeElement.id") == "findings"
        page.click("#list .find summary")
        page.click("#list .find .ids a")
        page.eval("new Promise(done => setTimeout(done, 100))")
        assert page.text("output") == ["1 of 474 verdicts shown, on 1 Droplet"]
        fragment = page.eval("location.hash")
        page.click("#nav a:last-child")
        assert page.eval("location.hash") == fragment
        assert page.eval("document.activeElement.id") == "run"


def test_a_finding_shows_evidence_remedy_and_what_it_causes(browser: Browser, fleet: Path) -> None:
    """The remedy stands once per check; dependent findings are folded into their cause."""
    with browser.page(fleet, "#check=auditd.running&verdict=fail") as page:
        assert page.text("#list h4").count("What to do") == 1
    with browser.page(fleet, "#family=auditd&verdict=fail&q=staging-1") as page:
        assert page.text(GROUPS) == ["auditd is enabled and active"]
        page.click("#list .find summary")
        shown = page.text("#list .find .body")[0]
        assert "auditd.rules-loaded" in shown
        assert "auditd.rules-persistent" in shown
        assert "systemctl show auditd.service" in shown
    with browser.page(fleet, "#check=auditd.rules-loaded&verdict=fail&q=staging-1") as page:
        page.click("#list .find summary")
        assert "Caused by auditd.running" in page.text("#list .find .body")[0]


def test_an_unreachable_droplet_is_one_line(browser: Browser, fleet: Path) -> None:
    """Its unknown verdicts do not fill the list: one group names it and its reason."""
    with browser.page(fleet, "#q=db-2") as page:
        assert page.text(GROUPS) == ["1 Droplet could not be reached"]
        page.click("#list .group summary")
        assert "no answer on 203.0.113.5:22 within 10 s" in page.text("#list .group .body")[0]


def test_the_picture_works_with_mouse_and_keys(browser: Browser, fleet: Path) -> None:
    """Pointing tells the cell, arrow keys speak it, Enter filters by it."""
    with browser.page(fleet) as page:
        page.eval("document.querySelector('#fleet .mx').scrollIntoView({block: 'center'})")
        page.settle()
        box = page.eval(
            "(r => [r.x, r.y, r.width, r.height])"
            "(document.querySelector('#fleet canvas').getBoundingClientRect())"
        )
        for move in (5, 0):
            page.call(
                "Input.dispatchMouseEvent", type="mouseMoved",
                x=box[0] + 205 + move, y=box[1] + box[3] - 30,
            )  # fmt: skip
        page.settle()
        assert "cache-1" in page.text("#tip")[0]
        page.eval("document.querySelector('#fleet .mx').focus()")
        page.key("ArrowRight")
        page.key("ArrowDown")
        said = page.text("#fleet .mx-now")[0]
        assert "auditd is installed: Pass" in said
        page.key("Enter")
        page.settle()
        name = said.split(":")[0]
        assert page.text("#list .find b") == [name]
        assert "check=auditd.installed" in page.eval("location.hash")


def test_the_picture_is_there_as_a_table(browser: Browser, fleet: Path) -> None:
    """What the picture of the fleet shows can be read as a table, a line for each Droplet."""
    with browser.page(fleet) as page:
        page.click("#fleet [aria-controls]")

        assert len(page.text("#fleet-table tbody tr")) == 13
        assert page.text("#fleet-table tbody a")[0] == "web-2"


def test_findings_by_recommendation(browser: Browser, fleet: Path) -> None:
    """Each of the ten is there with what its checks say, and a link to its verdicts."""
    with browser.page(fleet, "#view=guide") as page:
        titles = page.text(GROUPS)
        assert titles == [*RECOMMENDATIONS.values(), "Beyond the guide"]
        page.click("#list .group summary")
        page.click("#list .group a")
        page.eval("new Promise(done => setTimeout(done, 100))")
        assert page.eval("location.hash") == "#guide=1&verdict=all&view=guide"
        assert page.text("#state button")[0].startswith("Recommendation: 1")
        assert page.errors() == []


def test_a_requirement_leads_to_the_verdicts_of_its_checks(
    browser: Browser, tmp_path: Path
) -> None:
    """Its link filters by it; the filter can be seen and taken away."""
    header = sample.header()
    header["checks"][0]["controls"] = {"acme-2": ["1.2(a)", "1.10"]}
    header["checks"][1]["controls"] = {"acme-2": ["1.10"]}
    asked = [check["id"] for check in header["checks"][:2]]
    lines = [header, sample.droplet(0)]
    lines += [sample.result(check["id"], 417000001, "fail") for check in header["checks"][:4]]
    write_html([*lines, sample.summary(lines)], tmp_path / "controls.html")
    with browser.page(tmp_path / "controls.html") as page:
        page.eval(
            "document.querySelectorAll('#controls details').forEach(d => { d.open = true; })"
        )
        links = "#controls a[href*=acme-2]"
        assert page.text(links) == ["1.2(a)", "1.10"]
        for number, expected in ((0, asked[:1]), (1, asked)):
            page.eval(f"document.querySelectorAll('{links}')[{number}].click()")
            page.eval("new Promise(done => setTimeout(done, 100))")
            assert set(page.text("#list > .group > summary code")) == set(expected)
            assert page.text("#state button")[0].startswith("Requirement: acme-2:1.")
        page.click("#state button")
        assert page.text("output") == ["4 of 4 verdicts shown, on 1 Droplet"]
        assert page.errors() == []


@pytest.mark.parametrize("width", [390, 1440])
def test_columns_that_rarely_apply_share_one(browser: Browser, tmp_path: Path, width: int) -> None:
    """A family's checks that apply to few Droplets are one column; where there is no room, all."""
    lines = [sample.header(())]
    lines += [sample.droplet(n) for n in range(8)]
    for n in range(8):
        names = [f"ssh.check-{c}" for c in range(24)]
        lines += [sample.result(name, 417000001 + n, "pass") for name in names]
        for c in range(4):
            verdict = "fail" if n == c == 0 else "notapplicable"
            lines.append(sample.result(f"tls.check-{c}", 417000001 + n, verdict))
    write_html([*lines, sample.summary(lines)], tmp_path / "rare.html")
    with browser.page(tmp_path / "rare.html", width=width) as page:
        page.eval("document.querySelector('#fleet .mx').focus()")
        page.key("ArrowRight")
        page.key("End")
        said = page.text("#fleet .mx-now")[0]
        assert "the worst of 4 checks" in said
        assert "Fail" in said
        page.key("Enter")
        page.settle()
        assert "family=tls" in page.eval("location.hash")
        assert page.text("#fleet .tools button")[-1] == "A column for each of the 4 checks"
        page.click("#fleet .tools button:last-child")
        assert page.text("#fleet .tools button")[-1] == "Fold checks that rarely apply"


def test_what_filters_do_not_apply_to_says_so(browser: Browser, fleet: Path) -> None:
    """Every section either follows a filter, or says that it does not."""
    visible = (
        "[...document.querySelectorAll('.whole')].filter(p => p.offsetParent).map(p => "
        "(p.closest('section') || p.closest('header')).id)"
    )
    with browser.page(fleet) as page:
        assert page.eval(visible) == []
    with browser.page(fleet, "#q=web-password") as page:
        said = set(page.eval(visible))
        every = set(
            page.eval("[...document.querySelectorAll('main > section[id]')].map(s => s.id)")
        )
        assert every - said == {"fleet", "findings", "run"}
        assert "" in said


def test_nothing_injected_runs(browser: Browser, tmp_path: Path) -> None:
    """Hostile names, messages, evidence and URLs are shown as they are and run nothing."""
    path = tmp_path / "hostile.html"
    extras = {
        f"tests/test_own.py::{sample.HOSTILE_NAME}": [
            {"format_type": "html", "content": "<img src=x onerror=alert(9)>"}
        ]
    }
    write_html(sample.hostile(), path, title=sample.HOSTILE_NAME, extras=extras)
    for fragment in ("", "#view=droplet", "#droplet=417000001", "#q=<img src=x onerror=alert(1)>"):
        with browser.page(path, fragment) as page:
            for _ in range(2):
                page.eval("document.querySelectorAll('details').forEach(d => { d.open = true; })")
                page.settle()
            assert page.dialogs() == 0
            assert page.errors() == []
            if not fragment:
                assert "<img src=x onerror=alert(9)>" in page.text("#list pre")
            assert page.eval("document.querySelectorAll('img, svg[onload]').length") == 0
            assert page.requests() == [path.as_uri()]
            assert page.eval("document.scripts.length") == 2
    with browser.page(path) as page:
        assert sample.HOSTILE_NAME in page.text("#list")[0]


def test_markup_of_the_conftest_cannot_run_script(browser: Browser, tmp_path: Path) -> None:
    """The page's policy holds for the user's own summary too."""
    own = ["<p id=mine>mine</p><script>alert(1)</script><img src=x onerror=alert(2)>"]
    write_html(one("pass"), tmp_path / "own.html", summary=(own, [], []))
    with browser.page(tmp_path / "own.html") as page:
        assert page.text("#mine") == ["mine"]
        assert page.dialogs() == 0


def test_without_javascript_the_findings_are_a_table(browser: Browser, fleet: Path) -> None:
    """Figures, the worst findings, waivers and coverage are there without a script."""
    with browser.page(fleet, scripts=False, ready="true") as page:
        assert page.text("h1") == ["38 findings on 8 of 12 Droplets"]
        assert "os.release-supported" in page.text("noscript table")[0]
        assert page.text("#coverage h2") == ["Coverage"]


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_page_fits_the_screen(browser: Browser, fleet: Path, width: int) -> None:
    """Nothing makes the page scroll sideways, opened or not."""
    with browser.page(fleet, width=width) as page:
        page.eval("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        page.settle()
        assert page.eval("document.documentElement.scrollWidth") <= width


def test_print_opens_the_findings(browser: Browser, fleet: Path, tmp_path: Path) -> None:
    """A printed page shows the evidence without controls, and the screen is as before after it."""
    with browser.page(fleet) as page:
        page.eval("dispatchEvent(new Event('beforeprint'))")
        assert page.eval("document.querySelectorAll('#list .find:not([open])').length") == 0
        assert page.eval("document.querySelectorAll('#first details:not([open])').length") == 0
        page.eval("dispatchEvent(new Event('afterprint'))")
        assert page.eval("document.querySelectorAll('#first details[open]').length") == 0
        page.pdf(tmp_path / "audit.pdf")
        assert (tmp_path / "audit.pdf").read_bytes().startswith(b"%PDF")
        assert page.errors() == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1440])
def test_axe_finds_no_fault(browser: Browser, wordy: Path, width: int, *, dark: bool) -> None:
    """axe-core sees no fault, with every disclosure open.

    The state of the filters does not stay on top here, and what is out of sight is laid out: else axe measures
    texts against what merely covers them.
    """
    source = axe_source()
    with browser.page(wordy, width=width, dark=dark) as page:
        for _ in range(2):
            page.eval("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            page.settle()
        page.eval("document.getElementById('state').style.position = 'static'")
        page.eval(
            "document.querySelectorAll('.group')"
            ".forEach(g => { g.style.contentVisibility = 'visible'; })"
        )
        page.eval(f"{source};true")
        found = page.eval("axe.run().then(r => JSON.parse(JSON.stringify(r.violations)))")

    faults = [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in found
        for node in rule["nodes"]
    ]
    assert faults == []
