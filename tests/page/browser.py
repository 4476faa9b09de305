"""A page in headless Chromium, and everything that it must not do: complain, break its policy, ask elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.rig.packages import program

PATIENCE = 15_000  # milliseconds until what must come has come


class Watched:
    """A page of one browser and the complaints about it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._asked)

    def open(self, fragment: str = "") -> Page:
        """Load the page and wait until it knows its server."""
        self.page.goto(f"{self.origin}/{fragment}")
        self.page.locator("#condition.good, #condition.warn, #condition.bad").wait_for()
        return self.page

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url)._replace(path="", query="", fragment="").geturl() != self.origin:
            self.complaints.append(f"request to {request.url}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser: Browser, origin: str, *, width: int = 1280, scheme: str = "light") -> Iterator[Watched]:
    """A page of its own; that nothing was complained about is part of every test."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        found = Watched(context.new_page(), origin)
        yield found
        assert found.complaints == []
    finally:
        context.close()
