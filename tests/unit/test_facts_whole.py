"""A section that lost a part says so: tools that are killed half-way, run for real."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_droplet.connection.script import alone
from pytest_droplet.facts.auditd.audit_cover import AUDIT_COVER
from pytest_droplet.facts.auditd.audit_files import AUDIT_RULES
from pytest_droplet.facts.auditd.boot import BOOT
from pytest_droplet.facts.firewall.firewall_managers import FIREWALL_FILES
from pytest_droplet.facts.firewall.firewall_saved import SAVED
from pytest_droplet.facts.host.listeners import LISTENERS, parse_listeners
from pytest_droplet.facts.host.whole import whole
from pytest_droplet.facts.patches.apt import APT_INDEX
from pytest_droplet.facts.patches.automatic_updates import AUTOMATIC
from pytest_droplet.facts.patches.dnf import DNF_INDEX
from pytest_droplet.facts.patches.kernels import KERNELS, REBOOT
from pytest_droplet.facts.ssh.sshd import SSHD
from pytest_droplet.facts.sshkeys.accounts import ACCOUNTS, parse_accounts
from pytest_droplet.facts.sshkeys.authorized_keys import KEYS, parse_authorized_keys
from pytest_droplet.facts.tls.certificate_files import CERTIFICATES
from pytest_droplet.model import NotObservedError, Section, SectionOutput

ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIA//iqDklgxjxjiIU95fV7OJWR8RUVCvCCa6k3qvCo1z"
HALF = "#!/bin/sh\necho 'APT::half \"of it\";'; kill -KILL $$\n"
SSHD_STUB = "#!/bin/sh\necho 'authorizedkeysfile x'\n"
DEBIAN, FEDORA = "ID=debian\n", "ID=fedora\n"
FILES = {
    "etc/default/grub": 'GRUB_CMDLINE_LINUX="audit=1"\n',
    "boot/grub/grub.cfg": "menuentry 'a' {\n linux /vmlinuz audit=1\n}\n",
    "var/lib/apt/lists/x_InRelease": "Date: Sat, 21 Nov 2026 00:53:02 UTC\n",
    "var/cache/dnf/baseos-0123456789abcdef/repodata/repomd.xml": "<repomd/>\n",
    "etc/yum.repos.d/a.repo": "[baseos]\nenabled=1\n",
    "etc/dnf/automatic.conf": "apply_updates = yes\n",
    "etc/audit/audit.rules": "-w /etc/x -p wa\n",
    "etc/audit/rules.d/10.rules": "-w /etc/x -p wa\n",
    "etc/login.defs": "UID_MIN 500\n",
    "etc/shadow": "root:*:::::::\n",
    "etc/sudoers": "Defaults logfile=/var/log/sudo.log\n",
    "etc/ufw/ufw.conf": "ENABLED=yes\n",
    "etc/ufw/user.rules": "*filter\nCOMMIT\n",
    "etc/nftables.conf": 'include "/etc/nftables.d/*"\n',
}
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root sees whose socket it is")


def run(
    section: Section, folder: Path, *stubs: str, text: str = HALF, files: bool = False
) -> SectionOutput:
    """Run a section's command with other tools in front of those of the system.

    With ``files`` it finds those below ``folder`` in place of the machine's own.
    """
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name, code in (*dict.fromkeys(stubs, text).items(), ("sshd", SSHD_STUB)):
        (tools / name).write_text(code)
        (tools / name).chmod(0o755)
    command = alone(section)
    if files:
        command = re.sub(r"(?<![\w*.])/(?=(etc|boot|var|usr|lib)/)", f"{folder}/", command)
    done = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": f"{tools}:{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    for name in stubs:
        (tools / name).unlink()
    return SectionOutput(section.name, done.stdout, done.stderr, done.returncode)


@pytest.mark.parametrize(
    ("section", "parse", "tools"),
    [
        (ACCOUNTS, parse_accounts, ("getent", "head")),
        (ACCOUNTS, parse_accounts, ("awk",)),
        (KEYS, parse_authorized_keys, ("getent", "head")),
        (KEYS, parse_authorized_keys, ("awk",)),
        (LISTENERS, parse_listeners, ("awk",)),
        pytest.param(LISTENERS, parse_listeners, ("find",), marks=AS_ROOT),
        pytest.param(LISTENERS, parse_listeners, ("tr",), marks=AS_ROOT),
    ],
)
def test_a_list_without_its_end_was_not_read(
    section: Section, parse: Callable[[str], object], tools: tuple[str, ...], tmp_path: Path
) -> None:
    """Whichever tool of the pipeline is killed, what it left is not taken for the whole."""
    output = run(section, tmp_path, *tools)
    if (output.rc or 0) <= 128:
        with pytest.raises(NotObservedError):
            parse(output.stdout)


@pytest.mark.parametrize(
    ("section", "tool", "system"),
    [
        (KERNELS, "dpkg-query", DEBIAN),
        (KERNELS, "rpm", FEDORA),
        (REBOOT, "rpm", FEDORA),
        (AUTOMATIC, "apt-config", DEBIAN),
        (AUTOMATIC, "sed", FEDORA),
        (APT_INDEX, "grep", DEBIAN),
        (DNF_INDEX, "stat", FEDORA),
        (DNF_INDEX, "sed", FEDORA),
        (BOOT, "sed", DEBIAN),
        (BOOT, "tr", DEBIAN),
        (AUDIT_RULES, "ls", DEBIAN),
        (AUDIT_RULES, "awk", DEBIAN),
        (AUDIT_COVER, "sed", DEBIAN),
        (ACCOUNTS, "sed", DEBIAN),
        (FIREWALL_FILES, "grep", DEBIAN),
        (FIREWALL_FILES, "sed", DEBIAN),
        (FIREWALL_FILES, "find", DEBIAN),
        (SAVED, "head", DEBIAN),
        (SAVED, "sed", DEBIAN),
    ],
)
def test_a_tool_that_is_killed_leaves_a_mark(
    section: Section, tool: str, system: str, tmp_path: Path
) -> None:
    """One command of a section that does not come to its end is named; the others go on."""
    for name, text in {"etc/os-release": system, **FILES}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    setpriv = tmp_path / "bin" / "setpriv"
    setpriv.parent.mkdir()
    setpriv.write_text('#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done; exec "$@"\n')
    setpriv.chmod(0o755)
    works = run(section, tmp_path, "dpkg-query", "rpm", text="#!/bin/sh\n", files=True)
    killed = run(section, tmp_path, tool, files=True)

    assert whole(works) is works
    with pytest.raises(NotObservedError, match="could not be read"):
        whole(killed)


@pytest.mark.parametrize("tool", ["getent", "sort", "awk"])
def test_sshd_is_not_asked_for_less_in_silence(tool: str, tmp_path: Path) -> None:
    """Accounts, files or Match lines that were not read whole are a gap that is named."""
    output = run(SSHD, tmp_path, tool)

    assert re.search(
        "^!! (what Match lines say|the list of accounts)$", output.stdout, re.MULTILINE
    )


@given(st.text(max_size=200) | st.text(max_size=60).map("a\n!! {}".format))
def test_only_a_mark_at_the_start_of_a_line_counts(text: str) -> None:
    """Any text is whole, or was not observed."""
    output = SectionOutput("x", text, stderr="grep: x: Input/output error", rc=0)
    if any(line.startswith("!! ") for line in text.splitlines()):
        with pytest.raises(NotObservedError, match="Input/output error") as caught:
            whole(output)
        assert str(caught.value).isprintable()
    else:
        assert whole(output) is output


@pytest.mark.parametrize("rc", [None, 1, 127, 137])
def test_another_status_than_0_is_no_whole_section(rc: int | None) -> None:
    """Its shell ends with 0; what ended otherwise was not the section."""
    with pytest.raises(NotObservedError, match=f"status {rc}"):
        whole(SectionOutput("x", "text", rc=rc))


def test_a_relative_path_of_a_certificate_is_kept_whole(tmp_path: Path) -> None:
    """Quotes around a path are taken away, and no sign of it."""
    folder = tmp_path / "etc/nginx"
    folder.mkdir(parents=True)
    (folder / "nginx.conf").write_text('ssl_certificate 4.pem;\nssl_certificate_key "0/k.pem";\n')

    lines = run(CERTIFICATES, tmp_path, files=True).stdout.splitlines()

    assert lines == [f"cert {folder}/4.pem", "missing", f"key {folder}/0/k.pem", "missing", "end"]
