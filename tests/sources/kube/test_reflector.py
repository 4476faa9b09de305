"""List and watch in virtual time: what is asked, what is reported, and how often."""

import json
from collections import Counter
from collections.abc import Callable
from itertools import cycle

import msgspec
import pytest

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.objects.parse import parse_object
from meshdns.sources.kube.payload import ApiStatus, ListPage
from meshdns.sources.kube.reflector import ListRequest, Reflector, RefreshCredentials, Wait, WatchRequest
from meshdns.sources.kube.resources import RESOURCES
from meshdns.sources.sink import ClusterAdded, ContactMade, KindListed, ReadFailed
from tests.sources.recording_sink import RecordingSink

ISTIO = "/apis/networking.istio.io"
EMPTY = ListPage((), "5", "")
NO_ENTRIES = KindListed("west", ObjectKind.SERVICE_ENTRY, ())


def entry(name: str, version: str = "7") -> dict[str, object]:
    """A raw ServiceEntry."""
    metadata = {"name": name, "namespace": "shop", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"hosts": [f"{name}.global"]}}


def line(kind: str, obj: object) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def bookmark(version: str) -> bytes:
    """A bookmark event."""
    return line("BOOKMARK", {"kind": "ServiceEntry", "metadata": {"resourceVersion": version}})


def declared(*names: str) -> list[AnyDeclaration]:
    """Slim ServiceEntries."""
    return [value for name in names if (value := parse_object(ObjectKind.SERVICE_ENTRY, entry(name)))]


class Story:
    """One reflector with its sink and a clock that the test moves; jitter is 0.5 throughout."""

    def __init__(self, kind: ObjectKind = ObjectKind.SERVICE_ENTRY, draw: Callable[[], float] = lambda: 0.5) -> None:
        self.now = 1000.0
        self.sink = RecordingSink()
        self.sink.report(ClusterAdded("west", frozenset(ObjectKind), "test"))
        self.reflector = Reflector(RESOURCES[kind], cluster="west", sink=self.sink, draw=draw)
        self.west = self.sink.clusters["west"]

    def next(self) -> object:
        """What is to be done next."""
        return self.reflector.action

    @property
    def names(self) -> list[str]:
        """The names of what the sink holds."""
        return sorted(key[2] for key in self.west.declarations)

    def list(self, *names: str, version: str = "5") -> None:
        """Answer the list in one page."""
        self.reflector.on_page(ListPage((), version, ""), declared(*names), self.now)

    def watch(self, *names: str) -> None:
        """Answer the list and open the watch."""
        self.list(*names)
        self.reflector.on_watch_opened(self.now)

    def wait(self) -> float:
        """Sit out the wait; returns its length."""
        action = self.next()
        assert isinstance(action, Wait)
        length = action.until - self.now
        self.now = action.until
        self.reflector.on_wait_over()
        return round(length, 3)

    def refuse(self, code: int, message: str = "", retry_after: str = "", *, too_large: bool = False) -> None:
        """Answer the request with an HTTP status."""
        self.reflector.on_refused(ApiStatus(code, message, too_large), retry_after, self.now)


def test_a_list_begins_in_the_watch_cache_and_goes_on_page_by_page() -> None:
    """The first page asks for version 0, the others carry the token alone; only a whole list is reported."""
    story = Story()
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "0")
    story.reflector.on_page(ListPage((), "5", "t1"), declared("a"), story.now)
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "", "t1")
    assert story.west.synced == set()
    story.reflector.on_page(ListPage((), "5", ""), declared("b"), story.now)
    assert story.names == ["a", "b"]
    assert story.next() == WatchRequest(f"{ISTIO}/v1/serviceentries", "5", 265)


def test_a_page_that_others_follow_is_no_contact() -> None:
    """Nothing of it is served, so a cluster that is stale stays so until the list is complete."""
    story = Story()
    story.watch("a")
    story.reflector.on_watch_data(line("ERROR", {"code": 410}), story.now)
    story.wait()
    contacts = story.west.contacts
    story.reflector.on_page(ListPage((), "9", "t1"), declared("a"), story.now)
    assert story.west.contacts == contacts
    story.list("b", version="9")
    assert story.west.contacts == contacts + 1


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 240), (0.999, 290)])
def test_a_watch_ends_after_240_to_290_seconds(draw: float, seconds: int) -> None:
    """The length of a watch is drawn, so that a fleet does not reconnect at once."""
    story = Story(draw=lambda: draw)
    story.list()
    assert story.next() == WatchRequest(f"{ISTIO}/v1/serviceentries", "5", seconds)


def test_events_reach_the_sink_and_move_the_version() -> None:
    """ADDED, MODIFIED and DELETED are reported, bookmarks only move the version, the next watch begins there."""
    story = Story()
    story.watch("a")
    story.reflector.on_watch_data(line("ADDED", entry("b", "8")) + line("MODIFIED", entry("a", "9")), story.now)
    story.reflector.on_watch_data(line("DELETED", entry("a", "10")), story.now)
    story.reflector.on_watch_data(line("DELETED", entry("never seen", "11")), story.now)
    assert story.names == ["b"]
    story.reflector.on_watch_data(bookmark("40"), story.now)
    story.now += 265
    story.reflector.on_watch_ended(story.now)
    assert story.next() == WatchRequest(f"{ISTIO}/v1/serviceentries", "40", 265)


def test_lines_cut_anywhere_are_put_together() -> None:
    """Two events cut at every pair of offsets give the same reports as the whole."""
    text = line("ADDED", entry("b\u00e9", "8")) + b"\n" + line("ADDED", entry("c", "9"))
    for cut in range(len(text) + 1):
        for second in (cut, min(cut + 1, len(text)), len(text)):
            story = Story()
            story.watch()
            for chunk in (text[:cut], text[cut:second], text[second:]):
                assert story.reflector.on_watch_data(chunk, story.now)
            assert story.names == ["bé", "c"]


def test_a_huge_line_is_taken_up_to_the_limit_and_refused_beyond() -> None:
    """An event of 8 MiB is read; a line that never ends costs 16 MiB and the connection, not the memory."""
    story = Story()
    story.watch()
    big = entry("big") | {"padding": "x" * 2**23}
    text = line("ADDED", big)
    assert all(story.reflector.on_watch_data(text[at : at + 65536], story.now) for at in range(0, len(text), 65536))
    assert story.names == ["big"]
    chunk = b"x" * 65536
    taken = 0
    while story.reflector.on_watch_data(chunk, story.now):
        taken += 1
    assert taken == 256
    assert "a line of more than 16777216 octets" in story.west.failures[-1]


@pytest.mark.parametrize(
    "junk", [b"<html>\n", b"{}\n", b"[]\n", b'{"type":"ADDED","object":7}\n', b"[" * 10**5 + b"\n"]
)
def test_a_line_that_is_no_event_ends_the_watch(junk: bytes) -> None:
    """The connection is given up, a reason is reported, and the watch goes on from the last version."""
    story = Story()
    story.watch("a")
    assert not story.reflector.on_watch_data(line("ADDED", entry("b", "8")) + junk, story.now)
    assert story.names == ["a", "b"]
    assert "look for a proxy in between" in story.west.failures[-1]
    story.wait()
    assert story.next() == WatchRequest(f"{ISTIO}/v1/serviceentries", "8", 265)


def test_unknown_event_types_and_nameless_objects_are_passed_over() -> None:
    """What this version does not know is contact, nothing else."""
    story = Story()
    story.watch("a")
    assert story.reflector.on_watch_data(line("SOMETHING", entry("b")) + line("ADDED", {"spec": 1}), story.now)
    assert story.names == ["a"]


def gone_by_status(story: Story) -> None:
    """The first form: HTTP status 410."""
    story.refuse(410)


def gone_by_event(story: Story) -> None:
    """The second form: an ERROR event."""
    story.reflector.on_watch_opened(story.now)
    assert not story.reflector.on_watch_data(
        line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"}), story.now
    )


def gone_by_closing(story: Story) -> None:
    """The third form: the watch is closed at once, without a word."""
    for turn in range(3):
        story.reflector.on_watch_opened(story.now)
        story.reflector.on_watch_ended(story.now + 0.5)
        if turn < 2:
            story.wait()
            assert isinstance(story.next(), WatchRequest)


@pytest.mark.parametrize("form", [gone_by_status, gone_by_event, gone_by_closing])
def test_a_version_that_is_gone_leads_to_a_new_list(form: Callable[[Story], None]) -> None:
    """In each of its three forms a stale version makes a list of the newest state; what is known stays meanwhile."""
    story = Story()
    for _ in range(3):
        story.list("a")
        form(story)
        assert story.names == ["a"]
        story.wait()
        assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")


def test_an_expired_continue_token_restarts_the_list() -> None:
    """The list begins again without token at the newest state; pages read so far are void, old data stays."""
    story = Story()
    story.list("old")
    story.refuse(410)
    story.wait()
    story.reflector.on_page(ListPage((), "9", "t1"), declared("a"), story.now)
    story.refuse(410, "The provided continue parameter is too old")
    assert story.names == ["old"]
    story.wait()
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")
    story.list("b", version="10")
    assert story.names == ["b"]


@pytest.mark.parametrize("by", ["status", "event"])
def test_a_version_ahead_of_the_server_leads_to_the_newest_list(by: str) -> None:
    """A restored etcd knows less than we do: its state is the truth, and versions are not compared."""
    story = Story()
    story.list("a", version="900")
    if by == "status":
        story.refuse(504, "Too large resource version: 900, current: 7", too_large=True)
    else:
        status = {"code": 504, "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}}
        story.reflector.on_watch_opened(story.now)
        story.reflector.on_watch_data(line("ERROR", status), story.now)
    story.wait()
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")
    story.list(version="7")
    assert story.names == []
    assert story.next() == WatchRequest(f"{ISTIO}/v1/serviceentries", "7", 265)


def test_a_page_that_is_repeated_for_ever_is_a_failure() -> None:
    """A server whose token does not move on is not asked in a loop."""
    story = Story()
    story.reflector.on_page(ListPage((), "5", "t"), (), story.now)
    story.reflector.on_page(ListPage((), "5", "t"), (), story.now)
    assert isinstance(story.next(), Wait)


def test_waits_grow_to_thirty_seconds_and_health_brings_them_back() -> None:
    """With the draw at one half the ceilings 0.8, 1.6, … 30 give these waits; 60 s of watch begin anew."""
    story = Story()
    waits = []
    for _ in range(8):
        story.reflector.on_connection_error("refused; do something", story.now)
        waits.append(story.wait())
    assert waits == [0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]
    story.watch()
    story.reflector.on_connection_error("cut; do something", story.now + 59)
    assert story.wait() > 15.0
    story.reflector.on_watch_opened(story.now)
    story.now += 60
    story.reflector.on_connection_error("cut; do something", story.now)
    assert story.wait() == 0.4


def test_a_cut_watch_goes_on_from_the_last_version() -> None:
    """A connection error is no reason for a list."""
    story = Story()
    story.watch("a")
    story.reflector.on_watch_data(line("ADDED", entry("b", "8")) + b'{"type":"AD', story.now)
    story.reflector.on_connection_error("cut; do something", story.now)
    story.wait()
    assert story.next() == WatchRequest(f"{ISTIO}/v1/serviceentries", "8", 265)
    assert story.names == ["a", "b"]


def test_an_expired_token_is_read_again_at_once_and_then_after_waits() -> None:
    """The first 401 is everyday and silent; credentials that stay bad are reported and retried with backoff."""
    story = Story()
    story.refuse(401)
    assert story.next() == RefreshCredentials()
    story.reflector.on_credentials_refreshed(story.now)
    assert isinstance(story.next(), ListRequest)
    assert story.west.failures == []
    story.refuse(401, "Unauthorized")
    assert story.west.failures == [
        "the credentials are not accepted (Unauthorized); renew the token or certificate of this cluster"
    ]
    story.reflector.on_credentials_refreshed(story.now)
    assert story.wait() == 0.4
    story.list()
    story.refuse(401)
    story.reflector.on_credentials_refreshed(story.now)
    assert isinstance(story.next(), WatchRequest)


def test_a_forbidden_kind_keeps_its_objects_and_names_the_missing_right() -> None:
    """403 waits 30 to 60 s, and the reason says what a role must grant."""
    story = Story()
    story.list("a")
    said = 'cannot watch resource "serviceentries" in API group "networking.istio.io" at the cluster scope'
    story.refuse(403, said)
    assert story.names == ["a"]
    assert story.west.failures == [
        f'{said}; grant the verbs list and watch on serviceentries in API group "networking.istio.io" by a ClusterRole'
    ]
    assert story.wait() == 45.0


def test_a_forbidden_kind_that_can_be_done_without_counts_as_empty() -> None:
    """It is listed as empty once, so that the cluster syncs; after each contact the reason is reported again."""
    story = Story(ObjectKind.NODE)
    for _ in range(2):
        story.refuse(403, "nodes is forbidden")
        assert story.wait() == 45.0
        assert story.next() == ListRequest("/api/v1/nodes", "0")
    reason = 'nodes is forbidden; grant the verbs list and watch on nodes in API group "" by a ClusterRole'
    contact, failure = ContactMade("west", ObjectKind.NODE), ReadFailed("west", ObjectKind.NODE, reason)
    assert story.sink.events[1:] == [KindListed("west", ObjectKind.NODE, ()), contact, failure, contact, failure]


def test_where_only_its_watch_is_forbidden_it_is_listed_again() -> None:
    """What can be done without is then as old as the last list, and objects that are known stay."""
    story = Story(ObjectKind.NODE)
    found = parse_object(ObjectKind.NODE, {"metadata": {"name": "n1"}})
    assert found is not None
    story.reflector.on_page(EMPTY, [found], story.now)
    story.refuse(403, "nodes is forbidden")
    story.wait()
    assert (story.next(), story.names) == (ListRequest("/api/v1/nodes", ""), ["n1"])


@pytest.mark.parametrize(("retry_after", "wait"), [("", 0.4), ("7", 7.4), ("x", 0.4), ("9" * 400, 300.4)])
def test_retry_after_is_honoured_with_jitter(retry_after: str, wait: float) -> None:
    """429 and 503 wait as long as asked, at most 300 s, and then the drawn time."""
    story = Story()
    story.refuse(429, retry_after=retry_after)
    assert story.wait() == wait


def test_an_api_group_that_is_not_installed_is_an_empty_list() -> None:
    """Each version is tried, then the kind counts as empty and is looked for every 30 s or so."""
    story = Story()
    for version in ("v1", "v1beta1", "v1alpha3"):
        assert story.next() == ListRequest(f"{ISTIO}/{version}/serviceentries", "0")
        story.refuse(404)
    assert story.west.synced == {ObjectKind.SERVICE_ENTRY}
    assert story.west.failures == []
    assert story.wait() == 30.0
    for _ in range(3):
        story.refuse(404)
    assert story.sink.events.count(NO_ENTRIES) == 1
    story.wait()
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "0")
    story.list("a")
    assert story.names == ["a"]


def test_an_older_version_is_used_and_left_again_when_it_goes() -> None:
    """What works is kept; when it is not found any more the others are tried anew."""
    story = Story()
    story.refuse(404)
    story.list("a")
    assert story.next() == WatchRequest(f"{ISTIO}/v1beta1/serviceentries", "5", 265)
    story.refuse(404)
    story.wait()
    story.refuse(404)
    story.refuse(404)
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")


def test_a_kind_that_vanishes_is_dropped_when_seen_twice() -> None:
    """One round of 404 keeps the objects, the second drops them."""
    story = Story()
    story.list("a")
    story.refuse(404)
    story.wait()
    for _ in range(3):
        story.refuse(404)
    assert story.names == ["a"]
    story.wait()
    for _ in range(3):
        story.refuse(404)
    assert story.names == []


def test_a_missing_core_resource_means_a_wrong_server() -> None:
    """No Services at all: that is no API server, and nothing is said to be empty."""
    story = Story(ObjectKind.SERVICE)
    story.refuse(404)
    assert story.west.synced == set()
    assert "check that the address is a Kubernetes API server" in story.west.failures[0]


@pytest.mark.parametrize(("code", "refusals"), [(400, 1), (405, 1), (422, 1), (500, 3), (503, 3), (504, 3)], ids=str)
def test_a_watch_that_stays_refused_leads_to_a_new_list(code: int, refusals: int) -> None:
    """What is wrong with the request may be its version; a server that is ill gets the same request three times."""
    story = Story()
    story.list("a")
    for _ in range(refusals):
        assert isinstance(story.next(), WatchRequest)
        story.refuse(code)
        story.wait()
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")
    assert story.names == ["a"]


def test_a_watch_that_sends_junk_again_and_again_leads_to_a_new_list() -> None:
    """Through a proxy that breaks watches, lists still bring what is new."""
    story = Story()
    story.list("a")
    for _ in range(3):
        story.reflector.on_watch_opened(story.now)
        assert not story.reflector.on_watch_data(b"upstream connect error\n", story.now)
        story.wait()
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")


def test_patience_that_is_asked_for_leads_to_no_new_list() -> None:
    """A list would cost the server more than the watch it has no room for."""
    story = Story()
    story.list("a")
    for _ in range(9):
        story.refuse(429, retry_after="1")
        story.wait()
    assert isinstance(story.next(), WatchRequest)


def end_in_time(story: Story) -> None:
    """The server ends the watch as asked."""
    story.reflector.on_watch_ended(story.now)


def cut_late(story: Story) -> None:
    """The connection breaks instead."""
    story.reflector.on_connection_error("cut; do something", story.now)
    story.wait()


@pytest.mark.parametrize("ending", [end_in_time, cut_late])
def test_a_list_that_is_doubted_is_repeated_when_the_sink_wants_it(ending: Callable[[Story], None]) -> None:
    """The watch between the two is short, its events count, and a list that is believed leads to a long one."""
    story = Story()
    story.sink.relist_after = 59.5
    story.watch("a")
    story.reflector.on_watch_ended(story.now)
    story.reflector.on_watch_opened(story.now)
    story.reflector.on_watch_data(line("ADDED", entry("b", "8")), story.now)
    story.reflector.on_watch_ended(story.now + 2)
    assert story.next() == WatchRequest(f"{ISTIO}/v1/serviceentries", "8", 60)
    story.reflector.on_watch_opened(story.now)
    story.now += 59.5
    story.sink.relist_after = 0.0
    ending(story)
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")
    story.list("b", version="9")
    assert story.next() == WatchRequest(f"{ISTIO}/v1/serviceentries", "9", 265)


def test_an_absence_that_is_doubted_is_reported_until_it_is_believed() -> None:
    """A CRD that is gone with many objects takes them along when the sink says so."""
    story = Story()
    story.list("a")
    story.refuse(404)
    story.wait()
    story.sink.relist_after = 60.0
    for _ in range(9):
        story.refuse(404)
        if isinstance(story.next(), Wait):
            story.wait()
    assert story.sink.events.count(NO_ENTRIES) == 2
    story.sink.relist_after = 0.0
    for _ in range(6):
        story.refuse(404)
        if isinstance(story.next(), Wait):
            story.wait()
    assert story.sink.events.count(NO_ENTRIES) == 3


def test_who_could_not_reach_the_server_is_roused_when_another_kind_does() -> None:
    """A refusal is this kind's own matter."""
    story = Story()
    story.reflector.on_connection_error("refused; do something", story.now)
    assert story.next() == Wait(story.now + 0.4, wake_on_recovery=True)
    story.wait()
    story.refuse(503)
    assert story.next() == Wait(story.now + 0.8, wake_on_recovery=False)


def test_silence_is_checked_after_sixty_seconds() -> None:
    """A line of any kind moves the check; an answered probe is a contact and moves it too."""
    story = Story()
    story.watch()
    assert story.reflector.probe_at == story.now + 60
    story.now += 30
    story.reflector.on_watch_data(bookmark("6"), story.now)
    story.reflector.on_watch_data(b'{"type"', story.now + 20)
    assert story.reflector.probe_at == story.now + 60
    story.now += 60
    contacts = story.west.contacts
    assert story.reflector.on_probe_reply(ListPage((), "6", ""), story.now)
    assert story.west.contacts == contacts + 1
    assert story.reflector.probe_at == story.now + 60


def raw(count: int) -> tuple[msgspec.Raw, ...]:
    """So many objects, unread."""
    return tuple(msgspec.Raw(b"{}") for _ in range(count))


@pytest.mark.parametrize(
    ("page", "goes_on"),
    [
        (ListPage(raw(1), "9", "t", 2), True),
        (ListPage(raw(1), "9", "t", None), True),
        (ListPage(raw(1), "x9", "t", 2), True),
        (ListPage(raw(1), "9", "t", 1), False),
        (ListPage((), "9", ""), False),
        (ListPage(raw(1), "8", "t", 2), False),
    ],
    ids=["as told", "number unknown", "version opaque", "one less", "empty", "version behind"],
)
def test_a_history_that_went_back_leads_to_a_new_list(page: ListPage, goes_on: bool) -> None:  # noqa: FBT001 - a table
    """A restored store accepts the watch and says nothing: the list of one tells by its version or its number."""
    story = Story()
    story.reflector.on_page(ListPage(raw(3), "5", ""), declared("a", "b", "c"), story.now)
    story.reflector.on_watch_opened(story.now)
    story.reflector.on_watch_data(line("ADDED", entry("d", "8")) + line("DELETED", entry("d", "9")), story.now)
    assert story.reflector.on_probe_reply(page, story.now + 60) is goes_on
    assert story.names == ["a", "b", "c"]
    if not goes_on:
        story.wait()
        assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")


def test_a_bookmark_behind_the_watch_leads_to_a_new_list() -> None:
    """It would move the watch back into another history."""
    story = Story()
    story.watch("a")
    assert not story.reflector.on_watch_data(bookmark("4"), story.now)
    story.wait()
    assert story.next() == ListRequest(f"{ISTIO}/v1/serviceentries", "")


def test_a_watch_that_is_opened_after_a_failure_is_checked_after_a_second() -> None:
    """That it was accepted is no contact; one that was opened in health is checked when it was silent for long."""
    story = Story()
    story.watch("a")
    contacts = story.west.contacts
    story.reflector.on_connection_error("cut; do something", story.now)
    story.wait()
    story.reflector.on_watch_opened(story.now)
    assert (story.west.contacts, story.reflector.probe_at) == (contacts, story.now + 1)
    assert story.reflector.on_watch_data(bookmark("6"), story.now + 0.5)
    assert story.reflector.probe_at == story.now + 1
    assert story.reflector.on_probe_reply(ListPage((), "6", ""), story.now)
    story.reflector.on_watch_ended(story.now + 20)
    story.reflector.on_watch_opened(story.now + 20)
    assert story.reflector.probe_at == story.now + 60  # as long after the last contact


@pytest.mark.parametrize(("code", "goes_on"), [(401, False), (403, True), (429, True), (500, True)])
def test_a_refused_probe_says_nothing_about_the_watch(code: int, goes_on: bool) -> None:  # noqa: FBT001 - a table
    """Only bad credentials end the watch; other refusals are reported and checked again after 60 s."""
    story = Story()
    story.watch()
    assert story.reflector.on_probe_refused(ApiStatus(code), "", story.now + 60) is goes_on
    assert goes_on or story.next() == RefreshCredentials()


def test_a_watch_has_a_second_to_tell_what_it_missed_before_it_is_checked() -> None:
    """A list of one, asked for at once since the last contact is long ago, would count what is not yet told."""
    story = Story()
    story.watch("a")
    story.reflector.on_watch_ended(story.now + 200)
    story.reflector.on_watch_opened(story.now + 200)
    assert story.reflector.probe_at == story.now + 201


OVER: dict[str, Callable[[Story], object]] = {
    "ended": lambda s: s.reflector.on_watch_ended(s.now),
    "ended at once": lambda s: s.reflector.on_watch_ended(s.now - 265),
    "cut": lambda s: s.reflector.on_connection_error("cut; do something", s.now),
    "history went back": lambda s: s.reflector.on_probe_reply(ListPage((), "3", ""), s.now),
    "credentials refused": lambda s: s.reflector.on_probe_refused(ApiStatus(401), "", s.now),
}

LATE: dict[str, Callable[[Story], object]] = {
    "an event": lambda s: s.reflector.on_watch_data(line("ADDED", entry("b", "8")), s.now),
    "an error": lambda s: s.reflector.on_watch_data(line("ERROR", {"code": 410}), s.now),
    "its end": lambda s: s.reflector.on_watch_ended(s.now),
    "a list of one": lambda s: s.reflector.on_probe_reply(ListPage(raw(1), "6", "", None), s.now),
    "a refused list of one": lambda s: s.reflector.on_probe_refused(ApiStatus(401), "", s.now),
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("over", OVER)
def test_a_watch_that_is_over_brings_nothing_more(over: str, late: str) -> None:
    """What comes in the same moment is void: no contact, no object, and what is to be done next stays."""
    story = Story()
    story.reflector.on_page(ListPage(raw(1), "5", ""), declared("a"), story.now)
    story.reflector.on_watch_opened(story.now)
    story.now += 265
    OVER[over](story)
    action, events = story.next(), list(story.sink.events)
    assert not LATE[late](story)
    assert (story.next(), story.sink.events, story.names) == (action, events, ["a"])


FAILURES: dict[str, Callable[[Story], None]] = {
    "refused": lambda s: s.reflector.on_connection_error("refused; do something", s.now),
    "unauthorized": lambda s: s.refuse(401),
    "forbidden": lambda s: s.refuse(403),
    "no such resource": lambda s: s.refuse(404),
    "gone": lambda s: s.refuse(410),
    "throttled": lambda s: s.refuse(429),
    "unavailable": lambda s: s.refuse(503),
    "too large": lambda s: s.refuse(504, too_large=True),
    "bad request": lambda s: s.refuse(400),
}


def end_after_an_event(story: Story) -> None:
    """A watch that brings something, and no more."""
    story.reflector.on_watch_data(bookmark("6"), story.now)
    story.reflector.on_watch_ended(story.now)


WATCHES: dict[str, Callable[[Story], object]] = {
    "ends at once": lambda s: s.reflector.on_watch_ended(s.now),
    "ends after an event": end_after_an_event,
    "sends junk": lambda s: s.reflector.on_watch_data(b"?\n", s.now),
    "says gone": lambda s: s.reflector.on_watch_data(line("ERROR", {"code": 410}), s.now),
    "says error": lambda s: s.reflector.on_watch_data(line("ERROR", {"code": 500}), s.now),
    "says nothing sensible": lambda s: s.reflector.on_watch_data(line("ERROR", {}), s.now),
    "is cut": lambda s: s.reflector.on_connection_error("cut; do something", s.now),
}


def requests_in_an_hour(
    story: Story, lists: Callable[[Story], object], watches: Callable[[Story], object]
) -> Counter[str]:
    """Play a server whose lists and watches go as told, each answer at once."""
    asked: Counter[str] = Counter()
    end = story.now + 3600
    while story.now < end:
        action = story.next()
        asked[type(action).__name__] += 1
        match action:
            case Wait():
                story.wait()
            case RefreshCredentials():
                story.reflector.on_credentials_refreshed(story.now)
            case ListRequest():
                lists(story)
            case WatchRequest():
                watches(story)
        assert asked.total() < 20_000
    return asked


@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_of_a_list_makes_a_hot_loop(failure: str) -> None:
    """An hour of one failure costs at most 0.2 requests a second, whatever the failure."""
    draws = cycle((0.1, 0.9, 0.5, 0.3, 0.7))
    story = Story(draw=lambda: next(draws))
    asked = requests_in_an_hour(story, FAILURES[failure], lambda _: None)
    assert asked["ListRequest"] + asked["RefreshCredentials"] <= 720


@pytest.mark.parametrize("ending", [*WATCHES, *FAILURES])
def test_no_failure_of_a_watch_makes_a_hot_loop(ending: str) -> None:
    """An hour of good lists and failing watches costs a request a second at most."""
    draws = cycle((0.1, 0.9, 0.5, 0.3, 0.7))
    story = Story(draw=lambda: next(draws))

    def watches(told: Story) -> None:
        if ending in WATCHES:
            told.reflector.on_watch_opened(told.now)
            WATCHES[ending](told)
        else:
            FAILURES[ending](told)

    asked = requests_in_an_hour(story, lambda told: told.list("a"), watches)
    assert asked["ListRequest"] + asked["WatchRequest"] + asked["RefreshCredentials"] <= (
        3700 if ending == "ends after an event" else 720
    )
    assert story.names == ["a"]
