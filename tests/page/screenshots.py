"""The pictures of docs/images: ``python -m tests.page.screenshots`` draws them anew, with the demo's clusters."""

import time
from pathlib import Path

from playwright.sync_api import Page

from tests.e2e.boutique import ZONE
from tests.e2e.instance import wait_until_ready
from tests.page.browser import chromium, watched
from tests.page.conftest import Paged
from tests.rig.dig import dig

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SECONDS = 40.0  # of traffic, for the plots
NAMES = (
    "frontend.default.global",
    "checkoutservice.default.global",
    "cartservice.default.global",
    "frontnd.default.global",
)


def main() -> None:
    """Ask for a while, then draw the upper half by day, the lower one by night, and both on a telephone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Paged(ZONE) as instance, chromium() as browser:
        wait_until_ready(instance)
        with (
            watched(browser, instance.origin, width=902) as light,
            watched(browser, instance.origin, width=902, scheme="dark") as dark,
            watched(browser, instance.origin, width=360) as small,
        ):
            pages = [each.open("#explain/frontend.default.global/A") for each in (light, dark, small)]
            for page in pages:
                page.locator("#queries").scroll_into_view_if_needed()
            _ask(instance.port)
            pages[0].locator("#search-name").fill("on")
            pages[0].locator("#found li:nth-child(2):last-child").wait_for()
            _draw(pages[0], "page-names.png", begin="#search", until="#topology")
            _draw(pages[1], "page-topology.png", begin="#topology", until="#queries-rows tr:nth-child(9)")
            _draw(pages[2], "page-small.png", until="#explanation .endpoints")


def _ask(port: int) -> None:
    began = time.monotonic()
    while (gone := time.monotonic() - began) < SECONDS:
        for name in NAMES[: 2 + int(gone / 6) % 3]:
            dig(name, port=port, opts=["+nocookie"])


def _draw(page: Page, name: str, *, begin: str = "body", until: str = "footer") -> None:
    """The part of the page from the top of one element to the top of another."""
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("document.activeElement.blur()")
    width = page.viewport_size["width"] if page.viewport_size else 0
    top, bottom = ((page.locator(each).first.bounding_box() or {"y": 0})["y"] for each in (begin, until))
    page.screenshot(path=FOLDER / name, full_page=True, clip={"x": 0, "y": top, "width": width, "height": bottom - top})


if __name__ == "__main__":
    main()
