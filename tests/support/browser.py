"""A real Chromium without a window, driven over pipes with its DevTools protocol. It reaches no network.

A page is opened from a file. What is asked of it is evaluated in it; keys are pressed as a keyboard would; what it
complains of (violations of its policy, exceptions, requests) is collected.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.needs import program, unavailable

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # it opens nothing but our own files, and containers often allow no sandbox
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

#: The browser reads commands from descriptor 3 and answers on 4. This puts them there, then becomes it.
_PUT_PIPES = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"

_ANSWER_SECONDS = 60.0


def find() -> str:
    """The path of a Chromium. Skips the test where there is none."""
    found = next(filter(None, map(program, NAMES)), None)
    if found is None:
        unavailable("chromium is not installed")
    return found


class Browser:
    """One process with one profile in `folder`. Close it."""

    def __init__(self, folder: Path) -> None:
        self._numbers = itertools.count(1)
        self._folder = folder
        self._log = (folder / "chromium.log").open("wb")
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        # High numbers, so that putting one in its place cannot close the other.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (to_read, from_write)]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _PUT_PIPES,
                *map(str, ends),
                find(),
                *FLAGS,
                f"--user-data-dir={folder / 'profile'}",
            ],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        for end in (*ends, to_read, from_write):
            os.close(end)
        self._commands, self._answers = to_write, from_read
        self._buffer = b""
        self._pages: dict[str, Page] = {}

    def call(self, method: str, *, session: str | None = None, **params: Any) -> Any:
        """The result of a command of the protocol. Events that come meanwhile go to their pages."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        left = memoryview(json.dumps(message).encode() + b"\0")
        while left:
            left = left[os.write(self._commands, left) :]
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self._answers, 1 << 20) if ready else b""
            if not piece:
                self._log.flush()
                said = (self._folder / "chromium.log").read_text(errors="replace")[-2000:]
                raise AssertionError(f"chromium {'closed' if ready else 'does not answer'}: {said}")
            self._buffer += piece
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        if "method" in message and message.get("sessionId") in self._pages:
            self._pages[message["sessionId"]].take(message["method"], message["params"])
        return message

    def open(
        self,
        path: Path,
        *,
        width: int = 1100,
        height: int = 900,
        dark: bool = False,
        scripts: bool = True,
        anchor: str = "",
    ) -> Page:
        """Load a file and wait until it is there."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            page.call(f"{domain}.enable")
        page.call("Page.bringToFront")
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        mobile = width < 500
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        if not scripts:
            page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.call("Page.navigate", url=path.resolve().as_uri() + anchor)
        page.wait(lambda: page.loaded)
        return page

    def receive(self) -> None:
        """Wait for one message of the browser."""
        self._receive()

    def close(self) -> None:
        """End the process, and wait for it."""
        try:
            self.call("Browser.close")
        except (AssertionError, OSError):
            self._process.kill()
        self._process.wait(30)
        for end in (self._commands, self._answers):
            os.close(end)
        self._log.close()
        shutil.rmtree(self._folder / "profile", ignore_errors=True)


class Page:
    """A page that was opened.

    Attributes:
        complaints: what the browser said against it: violations of its policy, exceptions, console errors.
        requests: the addresses of everything it asked for, the page itself first.
        strict: whoever opened it takes complaints for a failure.
    """

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self.loaded = False
        self.strict = True
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def take(self, event: str, params: dict[str, Any]) -> None:
        """An event of the protocol that is about this page."""
        if event == "Page.loadEventFired":
            self.loaded = True
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def call(self, method: str, **params: Any) -> Any:
        """The result of a command about this page."""
        return self._browser.call(method, session=self._session, **params)

    def wait(self, until: Callable[[], bool]) -> None:
        """Take messages of the browser until something holds."""
        while not until():
            self._browser.receive()

    def run(self, expression: str) -> Any:
        """The JSON value of an expression, evaluated in the page. A promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """What is seen of each element that matches."""
        found: list[str] = self.run(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)"
        )
        return found

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and let go of a key: "Tab", "Enter", " "."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        event = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": codes[key]}
        event["modifiers"] = 8 if shift else 0
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)
        self.settle()

    def type(self, text: str) -> None:
        """Put text where the focus is, as typing does."""
        self.call("Input.insertText", text=text)
        self.settle()

    def settle(self) -> None:
        """Wait until everything that was set off has run, and has been drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def accessible(self) -> list[dict[str, str]]:
        """What a screen reader is told: the nodes that are not ignored, in order, with role and name."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
            for node in nodes
            if not node["ignored"]
        ]

    def pdf(self) -> bytes:
        """The page as printed."""
        import base64  # noqa: PLC0415 - only there

        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        import base64  # noqa: PLC0415 - only there

        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def close(self) -> None:
        """Leave the page."""
        self._browser.call("Target.closeTarget", targetId=self._target)
