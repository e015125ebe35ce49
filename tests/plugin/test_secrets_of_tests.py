"""What a test says is shown everywhere, and the secrets in it nowhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

# Each has the canary where the secret is, and is put together so that no file here holds one.
SECRETS = {
    "token": "dop_v1_" + "canarytoken0" * 5,
    "oauth": "doo_v1_" + "canaryoauth0" * 5,
    "refresh": "dor_v1_" + "canaryfresh0" * 5,
    "bearer": "Authorization: " + "Bearer " + "canarybearer0",
    "login": "https://" + "ops:canarylogin0" + "@repo.test/debian",
    "slack": "https://" + "hooks.slack.com/services/T0/B0/canaryslack0",
    "discord": "https://" + "discord.com/api/webhooks/1/canarydiscord0",
    "key": "\n".join(
        [
            "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
            "canarykeybody0" * 5,
            "canarykeytail0" * 3,
            "-----END OPENSSH " + "PRIVATE KEY-----",
        ]
    ),
    "sha512": "$6$" + "salt$canaryhash0" * 3,
    "bcrypt": "$2b$" + "12$canarybcrypt0",
    "yescrypt": "$y$" + "j9T$canaryyescrypt0",
    "password": "password" + ": canarypassword0",
    "passphrase": "passphrase" + " = canarypassphrase0",
}
CONFTEST = """
import json
from pathlib import Path

import pytest
from pytest_droplet.recording import ReplayHosts, load_recording

SECRETS = json.loads(Path("secrets.json").read_text())

class Hosts(ReplayHosts):
    def get(self, droplet_id):
        if droplet_id == 11:
            pytest.fail("Timeout " + " ".join(SECRETS.values()))
        return super().get(droplet_id)

@pytest.hookimpl(tryfirst=True)
def pytest_droplet_connect():
    return Hosts(load_recording(Path("recording")))
"""
TESTS = """
import json
import logging
import sys
import warnings
from pathlib import Path

import pytest
from pytest_droplet import NotObservedError, check, not_applicable

SECRETS = json.loads(Path("secrets.json").read_text())
KINDS = tuple(SECRETS)
each = pytest.mark.parametrize("kind", KINDS)

@check("site.claims", params={"kind": KINDS})
def test_claims(kind, droplet):
    assert not droplet.id, f"found {SECRETS[kind]}"

@check("site.compares", params={"kind": KINDS})
def test_compares(kind, droplet):
    assert SECRETS[kind] == droplet.name

@check("site.breaks", params={"kind": KINDS})
def test_breaks(kind, droplet):
    raise RuntimeError(SECRETS[kind])

@check("site.cannot-tell", params={"kind": KINDS})
def test_cannot_tell(kind, droplet):
    raise NotObservedError(SECRETS[kind])

@check("site.has-nothing", params={"kind": KINDS})
def test_has_nothing(kind, droplet):
    not_applicable(SECRETS[kind])

@check("site.waits")
def test_waits(droplet_os_release):
    assert droplet_os_release

@each
def test_ordinary_claims(droplet, kind):
    local = SECRETS[kind]
    assert not droplet.id, f"found {SECRETS[kind]}"

@each
def test_ordinary_compares(droplet, kind):
    lines = ["first", SECRETS[kind], "last"]
    assert "\\n".join(lines) == "first\\nlast"

@each
def test_ordinary_breaks(droplet, kind):
    def inner(argument):
        raise RuntimeError(f"one\\n{argument}\\ntwo")
    try:
        inner(SECRETS[kind])
    except RuntimeError as exc:
        exc.add_note(SECRETS[kind])
        raise ValueError(SECRETS[kind]) from exc

@each
def test_ordinary_cannot_tell(droplet, kind):
    raise NotObservedError(SECRETS[kind])

@each
def test_ordinary_skips(droplet, kind):
    pytest.skip(SECRETS[kind])

@each
def test_ordinary_is_expected_to_fail(droplet, kind):
    pytest.xfail(SECRETS[kind])

@each
def test_subtests(droplet, subtests, kind):
    with subtests.test(msg=SECRETS[kind], given=SECRETS[kind]):
        print("out", SECRETS[kind])
        logging.getLogger("site").warning(SECRETS[kind])
        assert not droplet.id, SECRETS[kind]
    with subtests.test(msg=SECRETS[kind]):
        pytest.skip(SECRETS[kind])
    with subtests.test(given=SECRETS[kind]):
        raise NotObservedError(SECRETS[kind])

@each
def test_output(droplet, record_property, record_testsuite_property, request, extras, kind):
    print("out", SECRETS[kind])
    print("\\x1b[31m" + SECRETS[kind], file=sys.stderr)
    logging.getLogger("site").warning(SECRETS[kind])
    warnings.warn(SECRETS[kind])
    record_property("of " + SECRETS[kind], SECRETS[kind])
    record_property("list", [SECRETS[kind]])
    record_testsuite_property("of " + SECRETS[kind], SECRETS[kind])
    request.node.add_report_section("call", "of " + SECRETS[kind], SECRETS[kind])
    extras.append({"name": SECRETS[kind], "format_type": "text", "content": SECRETS[kind],
                   "mime_type": "text/plain", "extension": "txt"})

@pytest.mark.parametrize("secret", SECRETS.values())
def test_parameter(droplet, secret):
    assert not droplet.id

@check("site.given")
@pytest.mark.parametrize("number", range(len(KINDS)), ids=SECRETS.values())
def test_given_id(droplet, number):
    assert not droplet.id

@pytest.fixture
def broken(droplet, request):
    kind = request.node.callspec.params["kind"]
    yield SECRETS[kind]
    raise RuntimeError(SECRETS[kind])

@pytest.fixture
def breaking(droplet, kind):
    raise RuntimeError(SECRETS[kind])

@each
def test_cannot_begin(breaking, kind):
    pass

@each
def test_cannot_end(broken, kind):
    pass
"""
BROKEN = """
import json
from pathlib import Path
raise RuntimeError(json.loads(Path("secrets.json").read_text()))
"""
REPORTS = {
    "jsonl": "out.jsonl",
    "sarif": "out.sarif",
    "ocsf": "out.ocsf",
    "hdf": "hdf",
    "csv": "out.csv",
    "markdown": "out.md",
    "github": "out.github",
    "oscal": "out.oscal",
}
TALKATIVE = ("-vv", "-rA", "--showlocals", "-o", "junit_logging=all", "-W", "default")


def leaks(text: str) -> set[str]:
    """The kinds of secrets that a text shows a part of."""
    return {
        kind
        for kind, secret in SECRETS.items()
        if any(canary in text for canary in re.findall("canary[a-z]+0", secret))
    }


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ((), "long"),
        (("--tb=native",), "native"),
        (("--tb=short", "--assert=plain"), "short"),
        (("-n", "2"), "xdist"),
    ],
    ids=["long", "native", "short", "xdist"],
)
def test_no_output_shows_a_secret(
    audit: pytest.Pytester, more: tuple[str, ...], name: str
) -> None:
    """Terminal, JUnit, page and every format, whatever way a test says it."""
    (audit.path / "secrets.json").write_text(json.dumps(SECRETS))
    audit.makeconftest(CONFTEST)
    audit.makepyfile(test_site=TESTS, test_broken=BROKEN)
    result = audit.runpytest_subprocess(
        "--droplets=all",
        "--droplets-replay=recording",
        "--continue-on-collection-errors",
        "-k",
        "web-1 or (site.waits and db-1)",
        "--junitxml=junit.xml",
        "--html=page.html",
        *TALKATIVE,
        *(f"--droplets-report={form}:{path}" for form, path in REPORTS.items()),
        *more,
    )
    outputs = {"terminal": result.stdout.str() + result.stderr.str()} | written(audit.path)
    wanted = {"terminal", "junit.xml", "page.html", *REPORTS.values()} - {"hdf"}
    assert wanted <= outputs.keys()
    assert [path for path in outputs if path.startswith("hdf/")]
    for output in ("terminal", "junit.xml", "page.html", "out.jsonl", "out.sarif", "out.csv"):
        assert "***" in outputs[output], output
    assert {path: found for path, text in outputs.items() if (found := leaks(text))} == {}
    results = [json.loads(line) for line in outputs["out.jsonl"].splitlines()]
    results = [line for line in results if line["type"] == "result"]
    assert len({r["fingerprint"] for r in results}) == len(results)
    waited = {r["droplet_id"]: r for r in results if r["check"] == "site.waits"}
    assert (waited[11]["verdict"], waited[12]["verdict"]) == ("unknown", "pass")
    assert waited[11]["message"].startswith("Timeout ***")
    assert len(results) == 17 * len(SECRETS) + 2


def written(folder: Path) -> Mapping[str, str]:
    """Return the files that a run wrote."""
    ours = {"secrets.json", "conftest.py", "test_site.py", "test_broken.py"}
    return {
        str(path.relative_to(folder)): path.read_text("utf-8", "replace")
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ours and path.suffix != ".pyc"
    }


def test_the_search_would_find_each_of_them() -> None:
    """The test above can fail, for each kind by itself."""
    assert all(leaks(secret) == {kind} for kind, secret in SECRETS.items())
    assert leaks("canarykeytail0") == {"key"}
    assert leaks("***") == set()


def test_a_secret_among_the_parameters_of_a_check_is_refused(audit: pytest.Pytester) -> None:
    """They stand in its id: name the secret there, and look it up in the check."""
    (audit.path / "secrets.json").write_text(json.dumps(SECRETS))
    audit.makepyfile(
        test_site="""
        import json
        from pathlib import Path
        from pytest_droplet import check

        SECRETS = json.loads(Path("secrets.json").read_text())

        @check("site.given", params={"text": tuple(SECRETS.values())})
        def test_given(text, droplet):
            assert text
        """
    )
    result = audit.runpytest_inprocess("--droplets=all", "--droplets-replay=recording", "-vv")
    assert result.ret is not pytest.ExitCode.OK
    text = result.stdout.str() + result.stderr.str()
    assert "check site.given: a value of params looks like a secret" in text
    assert leaks(text) == set()
