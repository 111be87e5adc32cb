"""A real browser for tests of pages: the system's Chromium, without a display.

    from tests.browser import Browse, serious_faults, until

    def test_it(browse: Browse, tmp_path: Path) -> None:
        page = browse(width=390, dark=True)
        page.goto((tmp_path / "page.html").as_uri())
        until(page, "document.images.length == 2")
        assert serious_faults(page) == []

The fixtures `browse` and `chromium` are in `tests/conftest.py`: a module that imports them makes
another browser, and playwright allows one. Playwright's own `wait_for_function` polls by `eval`,
which the pages' policies forbid: `until` does without.

Whatever a page writes to its console as an error or a warning, whatever it throws, and each request
that leaves `file:`, `data:`, `blob:` or the loopback fails the test when it ends.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

__all__ = ["Browse", "browse", "chromium", "serious_faults", "started", "tab", "until"]

Browse = Callable[..., Any]  # (width=1600, height=1000, dark=False, touch=False, ...) -> Page
_INSIDE = {"file", "data", "blob", "about"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@contextmanager
def started() -> Iterator[Any]:
    """The system's Chromium, until the end of the block. Raises FileNotFoundError without one."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        raise FileNotFoundError("there is no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        # Containers run as root and have a small /dev/shm.
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, started once."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with started() as browser:
        yield browser


@pytest.fixture
def browse(chromium: Any) -> Iterator[Browse]:
    """Opens pages, of a width and height in pixels, light or dark. `said`: parts of what the
    console is expected to say. Further keywords are those of playwright's `new_context`."""
    contexts: list[Any] = []
    faults: list[str] = []

    def watched(request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme not in _INSIDE and address.hostname not in _LOOPBACK:
            faults.append(f"a request left the page: {request.url}")

    def heard(message: Any, expected: tuple[str, ...]) -> None:
        if "GPU stall due to ReadPixels" in message.text:
            return  # how software draws a canvas
        if message.type in ("error", "warning") and not any(p in message.text for p in expected):
            faults.append(f"console: {message.text}")

    def open_page(
        width: int = 1600,
        height: int = 1000,
        dark: bool = False,
        touch: bool = False,
        said: tuple[str, ...] = (),
        **more: Any,
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            is_mobile=touch,
            **more,
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", watched)
        page.on("console", lambda message: heard(message, said))
        page.on("pageerror", lambda error: faults.append(f"thrown: {error}"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def serious_faults(page: Any) -> list[str]:
    """What axe finds serious or critical about a page's accessibility, one line each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # A colour on its way to another one is none that anybody reads by.
    until(page, "document.getAnimations().every((one) => !(one instanceof CSSTransition))")
    found = axe.run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:200]} {' '.join(node['failureSummary'].split())[:300]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def until(page: Any, expression: str | Callable[[], Any], seconds: float = 60) -> None:
    """Waits until an expression of the page, or of a test, is true. What the page throws meanwhile
    (an element that is not there yet, a page that is being loaded) is "not yet".

    Raises:
        AssertionError: It never was; what was thrown last is told.
    """
    from playwright.sync_api import Error

    end = time.monotonic() + seconds
    while True:
        thrown = ""
        try:
            if expression() if callable(expression) else page.evaluate(expression):
                return
        except Error as error:
            thrown = f"; at last it threw: {error.message.splitlines()[0]}"
        assert time.monotonic() < end, f"never true in {seconds} s: {expression}{thrown}"
        page.wait_for_timeout(20)


def tab(page: Any, key: str = "Tab") -> None:
    """Presses the tab key, or Shift+Tab, and waits until something else has the focus."""
    page.evaluate("window.focusedBefore = document.activeElement")
    page.keyboard.press(key)
    until(page, "document.activeElement !== window.focusedBefore")
