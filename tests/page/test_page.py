"""What a person sees and does on the page, in a real browser."""

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.page.browser import PATIENCE, Watched, watched
from tests.page.conftest import HARM, Paged
from tests.rig.dig import dig
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.rig, pytest.mark.long]

HOSTILE = r"\"\010{}<script>\027[31m"
SHOWN = r"\034\010\123\125\060script\062\027\09131m"
LONG = ".".join([r"\255" * 63, r"\000" * 63, r"\060" * 63, r"\032" * 54])
"""255 octets on the wire, none of them a letter."""

_NOBODY = 2**22  # above every pid of Linux (pid_max)

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def wide(browser: Browser, served: Paged) -> Iterator[Watched]:
    """The page on a desk."""
    with watched(browser, served.origin) as found:
        yield found


def _ask(served: Paged, name: str) -> None:
    dig(name, port=served.port, opts=["+nocookie"])


def _asked_until(served: Paged, page: Page, name: str, shown: str) -> None:
    """Ask for a name until the table of live queries shows it."""
    page.locator("#queries").scroll_into_view_if_needed()

    def seen() -> bool:
        _ask(served, name)
        return page.locator("#queries-rows td.name", has_text=shown).count() > 0

    eventually(seen, what=f"{shown} is among the live queries")


def test_the_topology_shows_clusters_networks_gateways_and_names(wide: Watched) -> None:
    """Both clusters stand beside their networks, gateways and names, each with its state."""
    drawing = wide.open().locator("#drawing svg")
    expect(drawing).to_have_attribute("aria-label", re.compile("2 clusters, 2 networks, 2 gateways, 0 unhealthy"))
    for kind, titles in {
        "cluster": ["cluster1", "cluster2"],
        "network": ["only cluster1", "only cluster2"],
        "gateway": ["198.51.100.10", "203.0.113.20"],
        "bundle": ["10 names", "4 names"],
    }.items():
        expect(drawing.locator(f".node.{kind} .title")).to_have_text(titles)
    expect(drawing.locator(".node.cluster.good .state").first).to_have_text(re.compile("own · synced · [0-9]+ problem"))
    expect(drawing.locator(".node.gateway.unsure .state").first).to_have_text("port 15443 · not probed")


def test_names_of_a_cluster_are_listed_from_the_topology(wide: Watched) -> None:
    """The number of names leads to them."""
    page = wide.open()
    page.get_by_role("link", name="names 4 names").click()
    expect(page.locator("#found li")).to_have_count(4)
    expect(page.locator("#found-number")).to_have_text("4 names resting on cluster2 in global.")


def test_a_name_is_found_and_its_answer_explained(wide: Watched) -> None:
    """A few letters find it; what answers, what lost and why stand below each other."""
    page = wide.open()
    page.get_by_role("searchbox", name="Name").fill("front")
    expect(page.locator("#found li")).to_have_count(1)
    page.get_by_role("link", name="frontend.default.global").first.click()
    shown = page.locator("#explanation")
    expect(shown.locator("h3")).to_be_focused()
    expect(shown.locator(".verdict")).to_have_text(re.compile("NOERROR 203.0.113.20"))
    expect(shown.locator(".endpoints li").first).to_contain_text("reached through a gateway")
    expect(shown.locator(".endpoints li").last).to_contain_text("because level 2 answered first")
    page.go_back()
    page.go_forward()
    expect(shown.locator("h3")).to_contain_text("frontend.default.global")


def test_an_unknown_name_leads_to_the_nearest_known_one(wide: Watched) -> None:
    """A name that is one letter off is denied, and what was meant is one step away."""
    page = wide.open("#explain/frontnd.default.global/A")
    shown = page.locator("#explanation")
    expect(shown.locator(".verdict")).to_have_text("NXDOMAIN")
    shown.get_by_role("link", name="frontend.default.global").click()
    expect(shown.locator(".verdict")).to_contain_text("NOERROR")


def test_what_cannot_be_explained_says_what_to_ask(wide: Watched) -> None:
    """A name that is none is refused with an example."""
    page = wide.open("#explain/a..b/A")
    expect(page.locator("#explanation .trouble")).to_contain_text("ask as /explain?name=")
    assert [each for each in wide.complaints if "400" not in each] == []
    wide.complaints.clear()  # the browser notes every refusal


def test_problems_say_what_to_do(wide: Watched) -> None:
    """What is wrong is counted in the heading and told with its object and its remedy; harm is but text."""
    page = wide.open()
    alarm = page.locator("#problems-list .problem", has_text="cluster1/default/harm").first
    expect(alarm).to_contain_text("What to do:")
    expect(page.locator("#problem-number")).to_be_visible()
    expect(page.locator("#problems-list")).to_contain_text("<script>alert(1)</script>")
    assert HARM not in (page.locator("#problems-list").text_content() or "")
    assert page.locator("main script, main img").count() == 0


def test_a_query_is_shown_as_it_is_asked(wide: Watched, served: Paged) -> None:
    """Live queries come by themselves, can be held, and follow the filter."""
    page = wide.open()
    _asked_until(served, page, "frontend.default.global", "frontend.default.global")
    _asked_until(served, page, "nosuch.default.global", "nosuch.default.global")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#queries-state")).to_contain_text("Paused.")
    page.get_by_label("RCODE").select_option("NXDOMAIN")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("button", name="Go on").click()
    _ask(served, "frontend.default.global")
    _asked_until(served, page, "nosuch.default.global", "nosuch.default.global")
    assert page.locator("#queries-rows td.name", has_text="frontend").count() == 0


def test_rates_and_latencies_are_drawn(wide: Watched, served: Paged) -> None:
    """The plots have a line and say in words what they show."""
    page = wide.open()
    plot = page.get_by_role("img", name=re.compile("^Answers per second, last five minutes: now answers [0-9.]*[1-9]"))

    def drawn() -> bool:
        _ask(served, "frontend.default.global")
        return plot.count() > 0

    eventually(drawn, what="answers are counted")
    assert plot.locator(".line").get_attribute("d")
    expect(page.get_by_role("img", name=re.compile("^Time to answer.*half [0-9.]+ .?s"))).to_be_attached()


def test_it_can_be_used_with_the_keyboard_alone(wide: Watched) -> None:
    """From the top of the page to an explanation, into the drawing and to the queries, and the focus can be seen."""
    page = wide.open()
    expect(page.locator("#found li").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to search")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    name = page.get_by_role("searchbox", name="Name")
    expect(name).to_be_focused()
    assert name.evaluate("field => getComputedStyle(field).outlineStyle") == "solid"
    page.keyboard.type("cartservice")
    expect(page.locator("#found li")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#explanation h3")).to_be_focused()
    visited: set[str] = set()
    while "queries-pause" not in visited and len(visited) < 100:
        page.keyboard.press("Tab")
        visited.add(page.evaluate("(document.activeElement.id || document.activeElement.getAttribute('href')) ?? ''"))
    assert {"#list/cluster2/global", "#explain/frontend.default.global/A", "problems-normal"} <= visited
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Go on")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_of_any_octets_break_nothing_on_a_small_screen(browser: Browser, served: Paged, scheme: str) -> None:
    """Whatever is asked appears escaped, and nothing makes the page wider than 360 px."""
    with watched(browser, served.origin, width=360, scheme=scheme) as small:
        page = small.open("#explain/frontend.default.global/A")
        _asked_until(served, page, f"{HOSTILE}.default.global", SHOWN)
        _asked_until(served, page, LONG, r"\255\255\255")
        page.locator("summary").click()
        expect(page.locator("#explanation .verdict")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator("main script").count() == 0
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_server_that_is_gone_is_said_and_comes_back(wide: Watched, served: Paged) -> None:
    """While the controller is gone, the page says what to do, and goes on by itself afterwards."""
    page = wide.open()

    def gone() -> bool:
        with suppress(ProcessLookupError):
            served.kill(served.controller or _NOBODY)  # as often as it is started again, ever later
        return page.get_by_role("alert").is_visible()

    eventually(gone, what="the page notices", within=60)
    expect(page.get_by_role("alert")).to_contain_text("Start meshdns again")
    expect(page.locator("#condition")).to_have_text("out of contact")
    expect(page.get_by_role("alert")).to_be_hidden(timeout=30_000)
    expect(page.locator("#condition")).to_have_text(re.compile("^ready"))
    assert all("ERR_" in each for each in wide.complaints)
    wide.complaints.clear()  # the browser notes every connection that it could not have


def test_markup_cannot_be_made_of_text(wide: Watched) -> None:
    """The policy keeps even the page's own scripts from turning text into markup, and every script inline."""
    page = wide.open()
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>no</b>'")
    wide.complaints.clear()  # the refusal is what was wanted
