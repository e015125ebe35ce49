"""Draws the pictures of the documentation: ``python docs/screenshots.py [RECORDING]``.

It audits the demo fleet, or a recording, and takes pictures of the HTML report and of the
terminal in headless Chromium, in 256 colours. A picture that is too large for a page is an
error. What it needs is in the group ``docs`` of pyproject.toml, and Chromium.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from tests.support.browser import Browser, chromium  # noqa: E402 it is found by the line above

PICTURES = DOCS / "_static"
MOST_BYTES = 300_000
COLUMNS = 110
HOSTS_SHOWN = 3
OF_THE_MACHINE = ("platform ", "rootdir: ", "plugins: ", "configfile: ")

_ESCAPE = re.compile(r"\x1b\[([\d;]*)m")
_COLOURS = {
    "31": "#ff7b72",
    "32": "#7ee787",
    "33": "#e3b341",
    "35": "#d2a8ff",
    "36": "#79c0ff",
}
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #0d1117; }}
pre {{ margin: 0; padding: 16px 20px; color: #e6edf3; font: 13px/1.45 monospace;
       display: inline-block; white-space: pre-wrap; width: {columns}.5ch; }}
</style><pre>{text}</pre>"""


def main(arguments: list[str]) -> None:
    """Draw every picture."""
    chosen = (
        ["--droplets=all", f"--droplets-replay={Path(arguments[0]).resolve()}"]
        if arguments
        else ["--droplets=demo"]
    )
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        printed = run(folder, chosen)
        draw_terminal(browser, folder, printed)
        draw_report(browser, folder / "audit.html")
    for path in sorted(PICTURES.glob("*.png")):
        with Image.open(path) as picture:
            few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
        size = path.stat().st_size
        if size > MOST_BYTES:
            sys.exit(f"{path.name} has {size} bytes, more than {MOST_BYTES}")


def run(folder: Path, chosen: list[str]) -> str:
    """Audit the fleet in a folder, leave ``audit.html`` there, and return what was printed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["--color=yes", "--pyargs", "pytest_droplet.checks", "--html=audit.html", *chosen]
    done = subprocess.run(  # noqa: S603 the command is the one above
        command,
        cwd=folder,
        env={**os.environ, "COLUMNS": str(COLUMNS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if not (folder / "audit.html").is_file():
        sys.exit(f"the audit left no page:\n{done.stdout}{done.stderr}")
    return done.stdout.replace(f"{folder}{os.sep}", "")


def draw_report(browser: Browser, report: Path) -> None:
    """Draw the page from its head to the end of the fleet."""
    with browser.page(report, width=1280) as page:
        page.eval("document.documentElement.style.scrollbarWidth = 'none'")
        end = page.eval("document.querySelector('#fleet').getBoundingClientRect().bottom")
        page.resize(1280, int(end) + 12)
        page.screenshot(PICTURES / "report.png")


def draw_terminal(browser: Browser, folder: Path, printed: str) -> None:
    """Draw the beginning, and what stands nearest to the prompt: the findings and the end."""
    lines = [n for n in printed.rstrip().splitlines() if not n.startswith(OF_THE_MACHINE)]
    hosts = next(i for i, line in enumerate(lines) if line.startswith("collected")) + 1
    findings = next(i for i, line in enumerate(lines) if "= droplets =" in line)
    progress = [line for line in lines[hosts:findings] if "." in line][:HOSTS_SHOWN]
    last = next(i for i, line in enumerate(lines) if "with findings" in line)
    shown = [*lines[:hosts], *progress, "…", lines[findings], "…", *lines[last:]]
    path = folder / "terminal.html"
    text = "".join(spans("\n".join(shown)))
    path.write_text(_PAGE.format(columns=COLUMNS, text=text), "utf-8")
    with browser.page(path, width=COLUMNS * 9, height=400, ready="true") as page:
        size = page.eval(
            "(() => { const r = document.querySelector('pre').getBoundingClientRect();"
            " return [Math.ceil(r.width), Math.ceil(r.height)]; })()"
        )
        page.resize(*size)
        page.screenshot(PICTURES / "terminal.png")


def spans(text: str) -> Iterator[str]:
    """Yield HTML for text with the colours of a terminal."""
    styles: list[str] = []
    for number, part in enumerate(_ESCAPE.split(text)):
        if number % 2 == 0:
            style = ";".join(styles)
            yield (
                f'<span style="{style}">{html.escape(part)}</span>' if style else html.escape(part)
            )
            continue
        for code in part.split(";"):
            if code in {"", "0"}:
                styles.clear()
            elif code == "1":
                styles.append("font-weight:bold")
            elif code in _COLOURS:
                styles.append(f"color:{_COLOURS[code]}")


if __name__ == "__main__":
    main(sys.argv[1:])
