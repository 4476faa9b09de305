"""Buffer for the events of a new client, so that the old client's names are served until the new lists are complete.

A buffer stands between the reflectors of one client and the sink. While it is buffering, it merges lists and changes.
Once every kind was listed its owner flushes it: all lists go to the sink in one turn of the loop, and from then on
every event is passed on.
"""

from collections.abc import Callable, Collection

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of
from meshdns.sources.sink import (
    ClusterIdentified,
    ContactMade,
    CredentialsObtained,
    KindListed,
    ObjectChanged,
    ObjectRemoved,
    ReadFailed,
    Sink,
    SourceEvent,
)


class SyncBuffer:
    """Buffer for one client of `cluster`; implements `meshdns.sources.sink.Sink`.

    `on_complete` is called once, in the turn of the loop in which the last of `kinds` was listed.
    """

    def __init__(
        self,
        sink: Sink,
        cluster: str,
        kinds: Collection[ObjectKind],
        *,
        buffering: bool,
        on_complete: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._cluster = cluster
        self._unlisted_kinds = set(kinds)
        self._on_complete = on_complete
        self._is_buffering = buffering
        self._is_closed = False
        self._has_lists = False
        self._cluster_events: dict[type[SourceEvent], SourceEvent] = {}  # the last one of each type
        self._lists: dict[ObjectKind, dict[ObjectKey, AnyDeclaration]] = {}
        self._failures: dict[ObjectKind, ReadFailed] = {}

    @property
    def is_complete(self) -> bool:
        """Whether every kind was listed."""
        return not self._unlisted_kinds

    @property
    def has_lists(self) -> bool:
        """Whether any kind was listed."""
        return self._has_lists

    @property
    def failure_reason(self) -> str:
        """Why it is not complete yet; empty if nothing failed so far."""
        return next((self._failures[kind].reason for kind in ObjectKind if kind in self._failures), "")

    def report(self, event: SourceEvent) -> float:
        """Merge or pass on an event; the list of the last missing kind completes the buffer."""
        again = 0.0
        if self._is_buffering:
            self._merge(event)
        else:
            again = self._sink.report(event)
        match event:
            case ObjectChanged():
                pass  # the most frequent events come first here
            case ContactMade():
                self._failures.pop(event.kind, None)
            case ReadFailed():
                self._failures[event.kind] = event
            case KindListed():
                self._mark_listed(event.kind)
        return again

    def flush(self) -> float:
        """Report all that was buffered. Return the seconds after which the sink wants new lists, or 0."""
        self._is_buffering = False
        for event in self._cluster_events.values():
            self._sink.report(event)
        again = [
            self._sink.report(KindListed(self._cluster, kind, tuple(known.values())))
            for kind, known in self._lists.items()
        ]
        for kind, failure in self._failures.items():
            self._sink.report(ContactMade(self._cluster, kind))
            self._sink.report(failure)
        self._lists.clear()
        return max(again, default=0.0)

    def close(self) -> None:
        """Drop every further event: the client is being stopped."""
        self._is_buffering = True
        self._is_closed = True

    def _mark_listed(self, kind: ObjectKind) -> None:
        self._has_lists = True
        if kind in self._unlisted_kinds:
            self._unlisted_kinds.remove(kind)
            if not self._unlisted_kinds and not self._is_closed:
                self._on_complete()

    def _merge(self, event: SourceEvent) -> None:
        """Apply an event to what is buffered. A contact that is not served is dropped."""
        match event:
            case ObjectChanged():
                key = key_of(event.declaration)
                self._lists.setdefault(key[0], {})[key] = event.declaration
            case ObjectRemoved():
                self._lists.setdefault(event.key[0], {}).pop(event.key, None)
            case KindListed():
                self._lists[event.kind] = {key_of(each): each for each in event.declarations}
            case ClusterIdentified() | CredentialsObtained():
                self._cluster_events[type(event)] = event
