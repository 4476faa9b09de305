"""List and watch of one kind in one cluster, without I/O and without a clock.

Rules (client-go's reflector, tools/cache/reflector.go, where nothing else is said):
- `action` is what to do next; the caller does it and says what came of it, with the time. Times are seconds of one
  monotonic clock.
- A list comes in pages of 500. The first asks for resource version "0", which any replica answers from its watch cache
  (and then in one page); later ones ask for the newest state (""), so that what is known never goes back in time.
- Resource versions are opaque, with one exception: where the newest state has a smaller one than the watch began at,
  or another number of objects than the watch has told of, history went back (a store restored from a backup); so says
  a bookmark behind the watch. A watch that begins ahead of the server is accepted and silent; a new list is not.
- A watch asks for bookmarks and for an end after 240 to 290 s. A version that is gone (HTTP 410, an ERROR event, or a
  server that just closes: three watches in a row of less than 1 s without an event) leads to a new list.
- A watch that is refused or sends junk three times in a row, or is wrong by itself (4xx), leads to a new list too:
  client-go's reflector lists again after every refusal that asks for no patience.
- A list may lack so much that the sink wants to see a second one before it believes it (`Sink.report`): the watch
  then ends when that is due.
- Nothing known is dropped for a failure: only a complete list replaces a kind. A kind that was there must be missing
  (404) twice in a row before it counts as empty. A dispensable one that may not be read (403) counts as empty from the
  start, with its reason reported after each contact.
- Every failure is followed by a wait, chosen from 0.1 s to a ceiling that doubles from 0.8 s to 30 s; 60 s of health
  bring it back. So no answer of a server can make a hot loop.
- Contact is a complete list, a line of a watch, or a list of one item: that is asked for after 60 s without either,
  since silence proves nothing, and 1 s after a watch was opened where a failure came before: what the watch missed has
  come by then. That a watch was accepted is no contact: a proxy's welcome page is accepted with 200, too. Nor is a page
  that others follow: nothing of it is served yet, and what is may be old.
- A list that exceeds the budget of all lists by itself is tried again after a minute or more.
- A watch that is over brings nothing more: neither what its connection still had nor what the list of one item says.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.mesh.objects.parse import parse_object
from meshdns.sources.kube.payload import (
    ApiStatus,
    LineBuffer,
    ListPage,
    PayloadError,
    decode_event,
    is_older,
    parse_status,
    refusal_reason,
    resource_version,
    retry_after_seconds,
)
from meshdns.sources.kube.resources import Resource
from meshdns.sources.sink import ContactMade, KindListed, ObjectChanged, ObjectRemoved, ReadFailed, Sink


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Ask for a page of a list."""

    path: str
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Open a watch."""

    path: str
    resource_version: str
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until then; with `wake_on_recovery` only until the server replies to another kind."""

    until: float
    wake_on_recovery: bool = False


@dataclass(frozen=True, slots=True)
class RefreshCredentials:
    """Load new credentials: the server did not accept the current ones."""


ReflectorAction = ListRequest | WatchRequest | Wait | RefreshCredentials
"""The next step of a reflector."""


_FIRST_CEILING: Final = 0.8  # seconds
_LAST_CEILING: Final = 30.0
_MIN_DELAY: Final = 0.1
_RESET_AFTER: Final = 60.0


class Backoff:
    """Waits after failures in a row of one request: full jitter, with a ceiling that doubles.

    `draw` gives numbers from 0 to 1, below 1. Times are seconds of one clock.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._failures = 0
        self._healthy_since: float | None = None

    def record_success(self, now: float) -> None:
        """Record that the request works since `now` or longer."""
        if self._healthy_since is None:
            self._healthy_since = now

    def record_failure(self, now: float) -> float:
        """Record a failure and return the seconds to wait, from 0.1 to a ceiling of 0.8 to 30.

        60 s of health reset the ceiling.
        """
        if self._healthy_since is not None and now - self._healthy_since >= _RESET_AFTER:
            self._failures = 0
        self._healthy_since = None
        ceiling = min(_LAST_CEILING, _FIRST_CEILING * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return max(_MIN_DELAY, ceiling * self._draw())


PAGE_LIMIT: Final = 500
PROBE_AFTER: Final = 60.0
"""Seconds without a line of a watch after which contact is checked."""

_MIN_WATCH_DURATION: Final = 1.0  # a watch that ends sooner, and without an event, is a failure
_EMPTY_WATCH_LIMIT: Final = 3
_REFUSED_WATCH_LIMIT: Final = 3
_ABSENCE_LIMIT: Final = 2
_ABSENT_RECHECK: Final = 30.0
_FORBIDDEN_RECHECK: Final = 30.0  # to twice that
_OVER_BUDGET_WAIT: Final = 60.0  # a list that is too long costs its whole length each time


class Reflector:
    """One kind of one cluster; reports to `sink`. `draw` gives numbers from 0 to 1, below 1, for jitter."""

    def __init__(self, resource: Resource, *, cluster: str, sink: Sink, draw: Callable[[], float]) -> None:
        self._resource = resource
        self._cluster = cluster
        self._sink = sink
        self._draw = draw
        self._version_index = 0  # index of the API version in use
        self._missing_versions = 0  # how many were not found since the last answer
        self._absences = 0
        self._synced = False
        self._may_hold_objects = False  # whether the sink may hold objects
        self._list_version = "0"
        self._collected: list[AnyDeclaration] = []
        self._page_object_count = 0  # objects in the pages of the list under way
        self._object_count = 0  # objects that the last list and the watch since have told of
        self._watch_version = ""  # empty: a list comes first
        self._is_watching = False  # whether a watch is open
        self._lines = LineBuffer()
        self._opened_at = 0.0
        self._last_contact = 0.0  # when contact was had last
        self._has_failed = False  # whether a failure came since
        self._early_probe_at: float | None = None  # when a watch that was opened after a failure is to be checked
        self._had_events = False
        self._empty_watches = 0
        self._refused_watches = 0
        self._relist_at: float | None = None  # when the sink wants another list
        self._relist_in = 0.0
        self._backoff = Backoff(draw)
        self._unauthorized = 0
        self.action: ReflectorAction = self._next_request()

    @property
    def path(self) -> str:
        """The URL path of the resource in the API version in use."""
        return self._resource.path(self._resource.versions[self._version_index])

    @property
    def probe_at(self) -> float:
        """While a watch is open: when its silence must be checked."""
        silent = max(
            self._last_contact + PROBE_AFTER, self._opened_at + _MIN_WATCH_DURATION
        )  # what it missed comes first
        return silent if self._early_probe_at is None else min(silent, self._early_probe_at)

    @property
    def unfinished_octets(self) -> int:
        """Octets of the line of a watch that has not ended yet."""
        return self._lines.size if self._is_watching else 0

    # ---------------------------------------------------------------------------------------- waits

    def on_wait_over(self) -> None:
        """The wait is over."""
        self.action = self._next_request()

    def on_credentials_refreshed(self, now: float) -> None:
        """New credentials were loaded: the first time they are tried at once, then after a wait."""
        if self._unauthorized > 1:
            self._schedule_retry(now)
        else:
            self.action = self._next_request()

    def _next_request(self) -> ReflectorAction:
        if self._watch_version:
            longest = 240 + int(51 * self._draw())
            timeout = min(longest, math.ceil(self._relist_in)) if self._relist_at is not None else longest
            return WatchRequest(self.path, self._watch_version, timeout)
        return ListRequest(self.path, self._list_version)

    # ---------------------------------------------------------------------------------------- lists

    def on_page(self, page: ListPage, declarations: Sequence[AnyDeclaration], now: float) -> None:
        """A page came, and `declarations` is what its items say."""
        asked = self.action
        self._missing_versions = self._absences = self._unauthorized = 0
        self._collected.extend(declarations)
        self._page_object_count += len(page.items)
        if not page.continue_token:
            self._complete_list(page, now)
        elif isinstance(asked, ListRequest) and asked.continue_token == page.continue_token:
            self._fail("the server repeats a page of the list; look at its log", now)
        else:
            self.action = ListRequest(self.path, "", page.continue_token)

    def _complete_list(self, page: ListPage, now: float) -> None:
        collected, self._collected = self._collected, []
        self._object_count, self._page_object_count = self._page_object_count, 0
        self._may_hold_objects = bool(collected)
        self._synced = True
        self._list_version = ""
        self._watch_version = page.resource_version
        self._relist_in = self._report_list(tuple(collected))
        self._relist_at = now + self._relist_in if self._relist_in else None
        self._record_contact(now)
        self.action = self._next_request()

    # -------------------------------------------------------------------------------------- watches

    def on_watch_opened(self, now: float) -> None:
        """The watch was accepted (HTTP 200)."""
        self._is_watching = True
        self._lines = LineBuffer()
        self._opened_at = now
        self._early_probe_at = now + _MIN_WATCH_DURATION if self._has_failed else None
        self._had_events = False
        self._unauthorized = 0
        self._backoff.record_success(now)

    def on_watch_data(self, chunk: bytes, now: float) -> bool:
        """Bytes of the watch came; whether to go on reading it."""
        if not self._is_watching:
            return False
        try:
            lines = self._lines.feed(chunk)
            for line in lines:
                kind, obj = decode_event(line)
                if kind == "ERROR":
                    self._on_error_event(parse_status(obj), now)
                    return False
                if kind == "BOOKMARK" and is_older(resource_version(obj), self._watch_version):
                    self._restart_from_newest(now)
                    return False
                self._apply_event(kind, obj)
        except PayloadError as error:
            self._count_refused_watch()
            self._fail(f"{error}; look for a proxy in between", now)
            return False
        if lines:
            self._had_events = True
            self._empty_watches = 0
            self._record_contact(now)
        return True

    def _apply_event(self, kind: str, obj: dict[str, Any]) -> None:
        self._object_count += (kind == "ADDED") - (kind == "DELETED")
        if kind in ("ADDED", "MODIFIED", "DELETED"):
            declaration = parse_object(self._resource.kind, obj)
            if declaration is not None and kind == "DELETED":
                key = (self._resource.kind, declaration.namespace, declaration.name)
                self._sink.report(ObjectRemoved(self._cluster, key))
            elif declaration is not None:
                self._may_hold_objects = True
                self._sink.report(ObjectChanged(self._cluster, declaration))
        self._watch_version = resource_version(obj) or self._watch_version

    def _on_error_event(self, status: ApiStatus, now: float) -> None:
        """An ERROR event carries the Status that the request would have got."""
        if status.code == 410 or status.version_too_large:
            self._restart_from_newest(now)
            return
        if status.code != 429 and status.code < 500:
            self._watch_version = ""
        self._fail(
            f"the watch failed: {status.message or status.code or 'no reason given'}; look at the API server's log", now
        )

    def on_watch_ended(self, now: float) -> None:
        """The watch ended in good order; a line that was cut off is void."""
        if not self._is_watching:
            return
        self._is_watching = False
        if now - self._opened_at >= _MIN_WATCH_DURATION or self._had_events:
            self._empty_watches = 0
            self._relist_if_due(now)
            soonest = self._opened_at + _MIN_WATCH_DURATION
            self.action = Wait(soonest) if now < soonest else self._next_request()
            return
        self._empty_watches += 1
        if self._empty_watches >= _EMPTY_WATCH_LIMIT:
            self._empty_watches = 0
            self._watch_version = ""
        self._fail("the server ends every watch at once; look for a proxy that cuts long requests", now)

    def _relist_if_due(self, now: float) -> None:
        """List again where the sink wants to and it is time."""
        if self._relist_at is not None and now >= self._relist_at:
            self._watch_version = ""

    # --------------------------------------------------------------------------------------- silence

    def on_probe_reply(self, page: ListPage, now: float) -> bool:
        """A list of one item was answered while the watch was silent; whether to go on with the watch."""
        if not self._is_watching:
            return False
        self._early_probe_at = None
        if page.total not in (None, self._object_count) or is_older(page.resource_version, self._watch_version):
            self._restart_from_newest(now)
            return False
        self._record_contact(now)
        return True

    def on_probe_refused(self, status: ApiStatus, retry_after: str, now: float) -> bool:
        """That list was refused; whether to go on with the watch, which may well live."""
        if not self._is_watching:
            return False
        self._early_probe_at = None
        if status.code == 401:
            self.on_refused(status, retry_after, now)
            return False
        self._last_contact = now
        self._report_failure(f"{refusal_reason(self._resource, status)}; the watch goes on, a list would fail")
        return True

    # -------------------------------------------------------------------------------------- failures

    def on_connection_error(self, reason: str, now: float) -> None:
        """The request or its connection failed, or gave no list; `reason` ends with what to do."""
        self._fail(reason, now, wake_on_recovery=True)

    def on_over_budget(self, reason: str, now: float, *, alone: bool) -> None:
        """What the server sends does not fit beside what others send, or `alone` not even without them."""
        self._watch_version = "" if alone else self._watch_version
        self._fail(reason, now, at_least=_OVER_BUDGET_WAIT if alone else 0.0)

    def on_refused(self, status: ApiStatus, retry_after: str, now: float) -> None:
        """The request was answered with another status than 200."""
        if status.code == 410 or status.version_too_large:
            self._restart_from_newest(now)
        elif status.code == 404:
            self._on_not_found(status, now)
        elif status.code == 401:
            self._on_unauthorized(status)
        elif status.code == 403:
            self._on_forbidden(status, now)
        else:
            if isinstance(self.action, WatchRequest) and status.code != 429:
                self._count_refused_watch(at_once=status.code < 500)
            self._fail(refusal_reason(self._resource, status), now, at_least=retry_after_seconds(retry_after))

    def _count_refused_watch(self, *, at_once: bool = False) -> None:
        """A watch that fails again and again may fail for the version it begins at; a list may work."""
        self._refused_watches += 1
        if at_once or self._refused_watches >= _REFUSED_WATCH_LIMIT:
            self._refused_watches = 0
            self._watch_version = ""

    def _on_unauthorized(self, status: ApiStatus) -> None:
        self._unauthorized += 1
        if self._unauthorized > 1:  # an expired token is everyday; one that was just read is not
            self._report_failure(refusal_reason(self._resource, status))
        self._abort_and_do(RefreshCredentials())

    def _on_not_found(self, status: ApiStatus, now: float) -> None:
        """A version that is not served, or a resource that is not installed."""
        if isinstance(self.action, WatchRequest) or not self._resource.optional:
            self._watch_version = ""
            self._fail(refusal_reason(self._resource, status), now)
            return
        self._version_index = (self._version_index + 1) % len(self._resource.versions)
        self._missing_versions += 1
        if self._missing_versions < len(self._resource.versions):
            self._abort_and_do(self._next_request())
            return
        self._missing_versions = 0
        self._absences += 1
        if not self._may_hold_objects or self._absences >= _ABSENCE_LIMIT:
            self._report_absence()
        else:
            self._report_failure(f"{self._resource.title} is gone; its objects are kept until that is seen twice: wait")
        self._abort_and_do(Wait(now + _ABSENT_RECHECK * (0.8 + 0.4 * self._draw())))

    def _on_forbidden(self, status: ApiStatus, now: float) -> None:
        """A right is missing; the server is well. A dispensable resource of which nothing is known counts as empty."""
        if self._resource.may_be_forbidden:
            self._watch_version = ""  # where only the watch is withheld, a list now and then is better than old state
            if not self._may_hold_objects:
                self._report_absence()
        self._report_failure(refusal_reason(self._resource, status))
        self._abort_and_do(Wait(now + _FORBIDDEN_RECHECK * (1 + self._draw())))

    def _report_absence(self) -> None:
        if self._may_hold_objects or not self._synced:
            self._synced = True
            self._may_hold_objects = self._report_list(()) > 0
        self._report_contact()

    def _restart_from_newest(self, now: float) -> None:
        """The version asked for is gone or unknown: the newest state is. No failure: the server is well."""
        self._watch_version = self._list_version = ""
        self._schedule_retry(now)

    def _fail(self, reason: str, now: float, *, at_least: float = 0.0, wake_on_recovery: bool = False) -> None:
        self._report_failure(reason)
        self._schedule_retry(now, at_least=at_least, wake_on_recovery=wake_on_recovery)

    def _record_contact(self, now: float) -> None:
        self._last_contact = now
        self._has_failed = False
        self._refused_watches = 0
        self._report_contact()

    def _report_contact(self) -> None:
        self._sink.report(ContactMade(self._cluster, self._resource.kind))

    def _report_list(self, declarations: tuple[AnyDeclaration, ...]) -> float:
        return self._sink.report(KindListed(self._cluster, self._resource.kind, declarations))

    def _report_failure(self, reason: str) -> None:
        self._has_failed = True
        self._sink.report(ReadFailed(self._cluster, self._resource.kind, reason))

    def _schedule_retry(self, now: float, *, at_least: float = 0.0, wake_on_recovery: bool = False) -> None:
        self._relist_if_due(now)
        self._abort_and_do(Wait(now + at_least + self._backoff.record_failure(now), wake_on_recovery))

    def _abort_and_do(self, action: ReflectorAction) -> None:
        """Give up what is under way; pages of an unfinished list are void."""
        self._is_watching = False
        self._lines = LineBuffer()
        self._collected.clear()
        self._page_object_count = 0
        self.action = action
