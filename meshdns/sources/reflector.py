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
- A list may lack so much that the sink wants to see a second one before it believes it (`Sink.listed`): the watch then
  ends when that is due.
- Nothing known is dropped for a failure: only a complete list replaces a kind. A kind that was there must be missing
  (404) twice in a row before it counts as empty. A dispensable one that may not be read (403) counts as empty from the
  start, with its reason reported after each contact.
- Every failure is followed by a wait, chosen from 0.1 s to a ceiling that doubles from 0.8 s to 30 s; 60 s of health
  bring it back. So no answer of a server can make a hot loop.
- Contact is a complete list, a line of a watch, or a list of one item: that is asked for after 60 s without either,
  since silence proves nothing, and 1 s after a watch was opened where a failure came before: what the watch missed has
  come by then. That a watch was accepted is no contact: a proxy's welcome page is accepted with 200, too. Nor is a page
  that others follow: nothing of it is served yet, and what is may be old.
- A watch that is over brings nothing more: neither what its connection still had nor what the list of one item says.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from meshdns.mesh.declarations import AnyDeclaration
from meshdns.mesh.manifest import read
from meshdns.sources.actions import Action, List, Refresh, Wait, Watch
from meshdns.sources.backoff import Backoff
from meshdns.sources.payload import LineBuffer, Page, PayloadError, Status, decode_event, read_status
from meshdns.sources.port import Sink
from meshdns.sources.refusals import reason, retry_seconds
from meshdns.sources.resources import Resource
from meshdns.sources.versions import behind, resource_version

PAGE_LIMIT: Final = 500
SILENCE: Final = 60.0
"""Seconds without a line of a watch after which contact is checked."""

_SHORT: Final = 1.0  # a watch that ends sooner, and without an event, is a failure
_EMPTY_WATCHES: Final = 3
_REFUSED_WATCHES: Final = 3
_ABSENCES: Final = 2
_ABSENT_RECHECK: Final = 30.0
_FORBIDDEN_RECHECK: Final = 30.0  # to twice that


class Reflector:
    """One kind of one cluster; reports to `sink`. `draw` gives numbers from 0 to 1, below 1, for jitter."""

    def __init__(self, resource: Resource, *, cluster: str, sink: Sink, draw: Callable[[], float]) -> None:
        self._resource = resource
        self._cluster = cluster
        self._sink = sink
        self._draw = draw
        self._version = 0  # index of the API version in use
        self._versions_missing = 0  # how many were not found since the last answer
        self._absences = 0
        self._synced = False
        self._held = False  # whether the sink may hold objects
        self._list_from = "0"
        self._collected: list[AnyDeclaration] = []
        self._counted = 0  # objects in the pages of the list under way
        self._count = 0  # objects that the last list and the watch since have told of
        self._watch_from = ""  # empty: a list comes first
        self._watching = False  # whether a watch is open
        self._lines = LineBuffer()
        self._opened = 0.0
        self._heard = 0.0  # when contact was had last
        self._troubled = False  # whether a failure came since
        self._check_at: float | None = None  # when a watch that was opened after a failure is to be checked
        self._eventful = False
        self._empty_watches = 0
        self._refused_watches = 0
        self._confirm_at: float | None = None  # when the sink wants another list
        self._confirm_in = 0.0
        self._backoff = Backoff(draw)
        self._unauthorized = 0
        self.action: Action = self._request()

    @property
    def path(self) -> str:
        """The URL path of the resource in the API version in use."""
        return self._resource.path(self._resource.versions[self._version])

    @property
    def silent_at(self) -> float:
        """While a watch is open: when its silence must be checked."""
        silent = max(self._heard + SILENCE, self._opened + _SHORT)  # what it missed comes first
        return silent if self._check_at is None else min(silent, self._check_at)

    # ---------------------------------------------------------------------------------------- waits

    def waited(self) -> None:
        """The wait is over."""
        self.action = self._request()

    def refreshed(self, now: float) -> None:
        """The credentials were loaded anew: the first time they are tried at once, then after a wait."""
        if self._unauthorized > 1:
            self._pause(now)
        else:
            self.action = self._request()

    def _request(self) -> Action:
        if self._watch_from:
            longest = 240 + int(51 * self._draw())
            timeout = min(longest, math.ceil(self._confirm_in)) if self._confirm_at is not None else longest
            return Watch(self.path, self._watch_from, timeout)
        return List(self.path, self._list_from)

    # ---------------------------------------------------------------------------------------- lists

    def listed(self, page: Page, declarations: Sequence[AnyDeclaration], now: float) -> None:
        """A page came, and `declarations` is what its items say."""
        asked = self.action
        self._versions_missing = self._absences = self._unauthorized = 0
        self._collected.extend(declarations)
        self._counted += len(page.items)
        if not page.continue_token:
            self._complete(page, now)
        elif isinstance(asked, List) and asked.continue_token == page.continue_token:
            self._fail("the server repeats a page of the list; look at its log", now)
        else:
            self.action = List(self.path, "", page.continue_token)

    def _complete(self, page: Page, now: float) -> None:
        collected, self._collected = self._collected, []
        self._count, self._counted = self._counted, 0
        self._held = bool(collected)
        self._synced = True
        self._list_from = ""
        self._watch_from = page.resource_version
        self._confirm_in = self._sink.listed(self._cluster, self._resource.kind, collected)
        self._confirm_at = now + self._confirm_in if self._confirm_in else None
        self._contact(now)
        self.action = self._request()

    # -------------------------------------------------------------------------------------- watches

    def opened(self, now: float) -> None:
        """The watch was accepted (HTTP 200)."""
        self._watching = True
        self._lines = LineBuffer()
        self._opened = now
        self._check_at = now + _SHORT if self._troubled else None
        self._eventful = False
        self._unauthorized = 0
        self._backoff.well(now)

    def received(self, chunk: bytes, now: float) -> bool:
        """Bytes of the watch came; whether to go on reading it."""
        if not self._watching:
            return False
        try:
            lines = self._lines.feed(chunk)
            for line in lines:
                kind, obj = decode_event(line)
                if kind == "ERROR":
                    self._error(read_status(obj), now)
                    return False
                if kind == "BOOKMARK" and behind(resource_version(obj), self._watch_from):
                    self._relist(now)
                    return False
                self._event(kind, obj)
        except PayloadError as error:
            self._doubt_version()
            self._fail(f"{error}; look for a proxy in between", now)
            return False
        if lines:
            self._eventful = True
            self._empty_watches = 0
            self._contact(now)
        return True

    def _event(self, kind: str, obj: dict[str, Any]) -> None:
        self._count += (kind == "ADDED") - (kind == "DELETED")
        if kind in ("ADDED", "MODIFIED", "DELETED"):
            declaration = read(self._resource.kind, obj)
            if declaration is not None and kind == "DELETED":
                self._sink.removed(self._cluster, self._resource.kind, declaration.namespace, declaration.name)
            elif declaration is not None:
                self._held = True
                self._sink.changed(self._cluster, declaration)
        self._watch_from = resource_version(obj) or self._watch_from

    def _error(self, status: Status, now: float) -> None:
        """An ERROR event carries the Status that the request would have got."""
        if status.code == 410 or status.too_large:
            self._relist(now)
            return
        if status.code != 429 and status.code < 500:
            self._watch_from = ""
        self._fail(
            f"the watch failed: {status.message or status.code or 'no reason given'}; look at the API server's log", now
        )

    def ended(self, now: float) -> None:
        """The watch ended in good order; a line that was cut off is void."""
        if not self._watching:
            return
        self._watching = False
        if now - self._opened >= _SHORT or self._eventful:
            self._empty_watches = 0
            self._confirm(now)
            soonest = self._opened + _SHORT
            self.action = Wait(soonest) if now < soonest else self._request()
            return
        self._empty_watches += 1
        if self._empty_watches >= _EMPTY_WATCHES:
            self._empty_watches = 0
            self._watch_from = ""
        self._fail("the server ends every watch at once; look for a proxy that cuts long requests", now)

    def _confirm(self, now: float) -> None:
        """List again where the sink wants to and it is time."""
        if self._confirm_at is not None and now >= self._confirm_at:
            self._watch_from = ""

    # --------------------------------------------------------------------------------------- silence

    def probed(self, page: Page, now: float) -> bool:
        """A list of one item was answered while the watch was silent; whether to go on with the watch."""
        if not self._watching:
            return False
        self._check_at = None
        if page.total not in (None, self._count) or behind(page.resource_version, self._watch_from):
            self._relist(now)
            return False
        self._contact(now)
        return True

    def probe_refused(self, status: Status, retry_after: str, now: float) -> bool:
        """That list was refused; whether to go on with the watch, which may well live."""
        if not self._watching:
            return False
        self._check_at = None
        if status.code == 401:
            self.refused(status, retry_after, now)
            return False
        self._heard = now
        self._report(f"{reason(self._resource, status)}; the watch goes on, a list would fail")
        return True

    # -------------------------------------------------------------------------------------- failures

    def broke(self, why: str, now: float) -> None:
        """The request or its connection failed, or gave no list; `why` ends with what to do."""
        self._fail(why, now, rouse=True)

    def refused(self, status: Status, retry_after: str, now: float) -> None:
        """The request was answered with another status than 200."""
        if status.code == 410 or status.too_large:
            self._relist(now)
        elif status.code == 404:
            self._not_found(status, now)
        elif status.code == 401:
            self._refuse_credentials(status)
        elif status.code == 403:
            self._forbid(status, now)
        else:
            if isinstance(self.action, Watch) and status.code != 429:
                self._doubt_version(at_once=status.code < 500)
            self._fail(reason(self._resource, status), now, at_least=retry_seconds(retry_after))

    def _doubt_version(self, *, at_once: bool = False) -> None:
        """A watch that fails again and again may fail for the version it begins at; a list may work."""
        self._refused_watches += 1
        if at_once or self._refused_watches >= _REFUSED_WATCHES:
            self._refused_watches = 0
            self._watch_from = ""

    def _refuse_credentials(self, status: Status) -> None:
        self._unauthorized += 1
        if self._unauthorized > 1:  # an expired token is everyday; one that was just read is not
            self._report(reason(self._resource, status))
        self._stop(Refresh())

    def _not_found(self, status: Status, now: float) -> None:
        """A version that is not served, or a resource that is not installed."""
        if isinstance(self.action, Watch) or not self._resource.optional:
            self._watch_from = ""
            self._fail(reason(self._resource, status), now)
            return
        self._version = (self._version + 1) % len(self._resource.versions)
        self._versions_missing += 1
        if self._versions_missing < len(self._resource.versions):
            self._stop(self._request())
            return
        self._versions_missing = 0
        self._absences += 1
        if not self._held or self._absences >= _ABSENCES:
            self._absent()
        else:
            self._report(f"{self._resource.title} is gone; its objects are kept until that is seen twice: wait")
        self._stop(Wait(now + _ABSENT_RECHECK * (0.8 + 0.4 * self._draw())))

    def _forbid(self, status: Status, now: float) -> None:
        """A right is missing; the server is well. A dispensable resource of which nothing is known counts as empty."""
        if self._resource.dispensable:
            self._watch_from = ""  # where only the watch is withheld, a list now and then is better than old state
            if not self._held:
                self._absent()
        self._report(reason(self._resource, status))
        self._stop(Wait(now + _FORBIDDEN_RECHECK * (1 + self._draw())))

    def _absent(self) -> None:
        if self._held or not self._synced:
            self._synced = True
            self._held = self._sink.listed(self._cluster, self._resource.kind, ()) > 0
        self._sink.contact(self._cluster, self._resource.kind)

    def _relist(self, now: float) -> None:
        """The version asked for is gone or unknown: the newest state is. No failure: the server is well."""
        self._watch_from = self._list_from = ""
        self._pause(now)

    def _fail(self, why: str, now: float, *, at_least: float = 0.0, rouse: bool = False) -> None:
        self._report(why)
        self._pause(now, at_least=at_least, rouse=rouse)

    def _contact(self, now: float) -> None:
        self._heard = now
        self._troubled = False
        self._refused_watches = 0
        self._sink.contact(self._cluster, self._resource.kind)

    def _report(self, why: str) -> None:
        self._troubled = True
        self._sink.failed(self._cluster, self._resource.kind, why)

    def _pause(self, now: float, *, at_least: float = 0.0, rouse: bool = False) -> None:
        self._confirm(now)
        self._stop(Wait(now + at_least + self._backoff.failed(now), rouse))

    def _stop(self, action: Action) -> None:
        """Give up what is under way; pages of an unfinished list are void."""
        self._watching = False
        self._collected.clear()
        self._counted = 0
        self.action = action
