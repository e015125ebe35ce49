"""The page of a real run: what issue and design promise is on it, and users' own parts too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser, Page, axe_source, chromium

REPLAY = ("--droplets=all", "--droplets-replay=recording")
OWN = '''
def test_the_name_is_long(droplet):
    """The name has twenty letters."""
    assert len(droplet.name) == 20
'''
CONFTEST = """
import pytest
from pytest_html import extras as html_extras

def pytest_html_report_title(report):
    report.title = "Audit of <b>ours</b>"

def pytest_html_results_summary(prefix, summary, postfix, session):
    prefix.append("<p id=before>before</p>")
    summary.append(f"<p id=amid>{session.testscollected} collected</p>")
    postfix.append("<p id=after>after</p>")

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.extras = [*getattr(report, "extras", []), html_extras.text(report.when, name="phase")]
    return report
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_extras_and_summary_hooks_of_pytest_html_are_honoured(
    audit: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """From the fixture and from the hook, of ordinary tests on Droplets; title and summary."""
    audit.makeconftest(CONFTEST)
    audit.makepyfile(
        test_own="""
        from pytest_html import extras as html_extras

        def test_shot(droplet, extras):
            extras.append(html_extras.url("https://example.com/shot", name="shot"))
            extras.append(html_extras.html("<img src=x onerror=alert(1)>"))
        """
    )
    audit.runpytest_subprocess(*REPLAY, *workers, "--html=out.html", "-k", "shot and db")
    text = (audit.path / "out.html").read_text()
    assert "<title>Audit of &lt;b&gt;ours&lt;/b&gt;: " in text
    own = text.split('<section class="card own"')[1].split("</section>")[0]
    assert "<p id=before>before</p>\n<p id=amid>" in own
    assert own.endswith("<p id=after>after</p>")
    data = json.loads(text.split('<script type="application/json" id="data">')[1].split("<")[0])
    (more,) = (more for more in data["more"].values() if "extras" in more)
    assert {"name": "shot", "kind": "url", "content": "https://example.com/shot"} in more["extras"]
    assert {"name": "phase", "kind": "text", "content": "call"} in more["extras"]
    assert "<img" not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for all pages of this file."""
    with chromium() as running:
        yield running


@pytest.fixture
def demo(pytester: pytest.Pytester) -> Path:
    """The page of the demo fleet, with a test of the user's beside the shipped checks."""
    pytester.makepyfile(test_own=OWN)
    result = pytester.runpytest_subprocess("--droplets=demo", "--html=audit.html")
    assert result.ret is pytest.ExitCode.TESTS_FAILED
    return pytester.path / "audit.html"


def headings(page: Page) -> list[str]:
    """The headings of the sections that are shown."""
    return page.text("main > section:not([hidden]) h2")


def picture(page: Page, section: str) -> Any:
    """Rows and columns of a picture, from the table that stands in for it."""
    return page.eval(
        f"""(() => {{
          const box = document.querySelector('#{section}');
          box.querySelector('[aria-controls]').click();
          const rows = [...box.querySelectorAll(':scope > * > [id$=table] tr')];
          return rows.map(r => [...r.cells].map(c => c.textContent.trim()));
        }})()"""
    )


def test_everything_that_is_promised_is_on_the_page_of_the_demo(
    browser: Browser, demo: Path
) -> None:
    """Figures, what to fix, pictures, groups, filters, evidence, keys, ports, waivers, coverage."""
    with browser.page(demo) as page:
        assert headings(page) == [
            *("What to fix first", "Fleet", "Findings", "Since the baseline"),
            *("Who can enter where", "What is reachable from the internet", "Waivers"),
            *("Coverage", "Checks", "Controls", "This run"),
        ]
        tiles = " ".join(page.text(".tile"))
        for word in (
            "rate",
            "critical",
            "high",
            "medium",
            "low",
            "unknown",
            "waived",
            "passed",
            "reached",
        ):
            assert word in tiles
        assert 3 <= len(page.text("#first li")) <= 7
        assert page.text("#waivers tbody .badge") == ["Expired", "Matches nothing", "In use"]
        assert "days ago" in " ".join(page.text("#waivers tbody"))
        assert "new" in " ".join(page.text("#changes li"))
        assert page.text("#controls a[href*=control]")
        coverage = " ".join(page.text("#coverage tbody tr"))
        for name in ("cache-gone", "mail-off", "pool-worker"):
            assert name in coverage
        assert "no route to" in coverage
        assert "The name has twenty letters" in " ".join(page.text("#list h3"))
        page.eval("location.hash = 'view=droplet'")
        page.settle()
        assert "web-password" in page.text("#list > .group > summary h3")
        page.eval("location.hash = 'check=ssh.password-authentication-disabled'")
        page.settle()
        page.click("#list .find summary")
        body = " ".join(page.text("#list .find .body"))
        assert "sshd -T" in body
        assert "What to do" in " ".join(page.text("#list h4"))
        assert page.errors() == []
        assert page.requests() == [demo.as_uri()]


def test_the_pictures_of_the_demo_tell_who_enters_and_what_is_open(
    browser: Browser, demo: Path
) -> None:
    """Each reached Droplet by its name; what was not read is a question, not a blank."""
    record = data_of(demo)
    reached = {d["name"] for d in record["droplets"] if d.get("coverage") == "reached"}
    with browser.page(demo) as page:
        for section in ("access", "ports"):
            head, *rows = picture(page, section)
            found = {row[0]: row[1:] for row in rows}
            assert reached <= found.keys()
            assert set(found["cache-gone"]) == {"not observed"}
            assert len(head) > 2
            assert all(len(row) == len(head) for row in rows)


def data_of(path: Path) -> Any:
    """What the page's script reads."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text.split('<script type="application/json" id="data">')[1].split("<")[0])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault_on_the_page_of_the_demo(
    browser: Browser,
    demo: Path,
    dark: bool,  # noqa: FBT001 a parameter of the test
) -> None:
    """With a finding open, in both schemes."""
    axe = axe_source()
    with browser.page(demo, "#check=ssh.password-authentication-disabled", dark=dark) as page:
        page.click("#list .find summary")
        page.eval(f"{axe};0")
        found = page.eval("axe.run().then(r => r.violations.map(v => [v.impact, v.id]))")
        assert [v for v in found if v[0] in {"serious", "critical"}] == []
