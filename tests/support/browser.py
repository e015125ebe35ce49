"""Drives Debian's Chromium over a pipe: a page from a file, no network, no package needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)
_PATIENCE_S = 60


def needed(tool: str | None, reason: str) -> str:
    """Return the path of a tool; without it the test skips, and fails where ``CI`` is true."""
    if tool:
        return tool
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def axe_source() -> str:
    """Return the source of axe-core, from ``AXE_CORE`` or the project's ``node_modules``."""
    project = Path(__file__).parents[2]
    folders = [os.environ.get("AXE_CORE", ""), str(project / "node_modules" / "axe-core")]
    found = [Path(f) / "axe.min.js" for f in folders if f and (Path(f) / "axe.min.js").is_file()]
    path = needed(
        str(found[0]) if found else None,
        "axe-core is not there: run `npm install --no-save axe-core`, or name its folder in AXE_CORE",
    )
    return Path(path).read_text(encoding="utf-8")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser with a profile of its own; it ends with the block."""
    binary = needed(
        next(filter(None, map(shutil.which, _NAMES)), None),
        "no Chromium here: apt-get install chromium",
    )
    to_browser, from_browser = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        command = [binary, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        pipes = f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        process = subprocess.Popen(
            ["bash", "-c", pipes, "bash", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(to_browser[0], from_browser[1]),
            start_new_session=True,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            yield Browser(to_browser[1], from_browser[0])
        finally:
            os.close(to_browser[1])
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
            os.close(from_browser[0])


class Browser:
    """One browser; messages of the DevTools protocol end with a NUL."""

    def __init__(self, write_fd: int, read_fd: int) -> None:
        self._write_fd, self._read_fd = write_fd, read_fd
        self._buffer = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write_fd, data) :]
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._events.append(answer)

    def events(self, session: str) -> list[dict[str, Any]]:
        """Return the events of a page so far."""
        return [e for e in self._events if e.get("sessionId") == session]

    @contextmanager
    def page(
        self, path: Path, fragment: str = "", *, width: int = 1440, height: int = 1000,
        dark: bool = False, scripts: bool = True, **ready: Any,
    ) -> Iterator[Page]:  # fmt: skip
        """Open a file in a page of its own, wait until it is drawn, and close it afterwards."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.call("Page.enable")
        page.call("Runtime.enable")
        page.call("Log.enable")
        page.call("Network.enable")
        page.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        page.call("Emulation.setEmulatedMedia", features=[scheme, still])
        page.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        page.open(f"{path.absolute().as_uri()}{fragment}", **ready)
        try:
            yield page
        finally:
            self.call("Target.closeTarget", targetId=target)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_fd], [], [], _PATIENCE_S)
            chunk = os.read(self._read_fd, 1 << 20) if ready else b""
            if not chunk:
                raise RuntimeError("the browser does not answer")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


class Page:
    """One page of the browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.load_s = 0.0

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol on this page."""
        return self._browser.call(method, self._session, **params)

    def open(self, url: str, ready: str = "document.documentElement.dataset.ready === ''") -> None:
        """Go to a URL and wait until the page says that it is drawn."""
        began = time.monotonic()
        self.call("Page.navigate", url=url)
        while not self._holds(ready):
            if time.monotonic() - began > _PATIENCE_S:
                raise RuntimeError(f"{url} is not drawn after {_PATIENCE_S} s: {self.errors()}")
            time.sleep(0.02)
        self.load_s = time.monotonic() - began

    def _holds(self, ready: str) -> bool:
        try:
            return bool(self.eval(f"document.readyState === 'complete' && ({ready})"))
        except RuntimeError:
            return False

    def eval(self, expression: str) -> Any:
        """Evaluate JavaScript, a promise too, and return its value as JSON has it."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"].get("exception", answer)))
        return answer["result"].get("value")

    def text(self, selector: str) -> list[str]:
        """Return the text of every element that a CSS selector matches, its spaces folded."""
        return list(
            self.eval(
                f"Array.from(document.querySelectorAll({json.dumps(selector)}))"
                ".map(e => e.textContent.trim().replace(/\\s+/g, ' '))"
            )
        )

    def click(self, selector: str) -> None:
        """Click the first element that a CSS selector matches, and let the page draw."""
        self.eval(f"document.querySelector({json.dumps(selector)}).click()")
        self.settle()

    def settle(self) -> None:
        """Wait for two frames, so that what was asked for is drawn."""
        self.eval("new Promise(d => requestAnimationFrame(() => requestAnimationFrame(d)))")

    def key(self, name: str) -> None:
        """Press and release a key, such as ``ArrowDown``."""
        text = {"text": "\r"} if name == "Enter" else {}
        code = {"Enter": 13, "Tab": 9}.get(name, 0)
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code, **text
            )
        self.settle()

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def errors(self) -> list[str]:
        """Return what the console shows as an error, uncaught exceptions and refusals too."""
        found = []
        for event in self._browser.events(self._session):
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(params["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] == "error":
                found.append(json.dumps(params["args"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(params["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Return the URLs that the page asked for, data URIs aside."""
        sent = (
            e["params"]["request"]["url"]
            for e in self._browser.events(self._session)
            if e["method"] == "Network.requestWillBeSent"
        )
        return [url for url in sent if not url.startswith("data:")]

    def dialogs(self) -> int:
        """Return how many alerts and the like the page opened."""
        events = self._browser.events(self._session)
        return sum(e["method"] == "Page.javascriptDialogOpening" for e in events)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path: Path) -> None:
        """Print to PDF."""
        printed = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(printed["data"]))
