"""Counters without labels: how one is declared, and those of forwarding.

A counter is declared once, as an integer field with the metric that reports it (`CounterMetric`). Everything else
follows from the declaration: the counter's place on the scoreboard (`meshdns.worker.scoreboard_counters`), the metric
on `/metrics` and its row in the reference. A field without a metric stays inside the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple, get_type_hints


class CounterMetric(NamedTuple):
    """The metrics that report a counter. Names are without prefix and ``_total``; an empty name is not reported.

    `name` is reported by worker. `coredns_name` is the sum over all workers under the name that CoreDNS gives it.
    """

    name: str = ""
    help: str = ""
    coredns_name: str = ""
    coredns_help: str = ""


class DeclaredCounter(NamedTuple):
    """One field of a class of counters that has a metric."""

    attribute: str
    metric: CounterMetric


def declared_counters(counters: type[object]) -> Iterator[DeclaredCounter]:
    """Return the counters that a class declares a metric for, in order."""
    for attribute, annotation in get_type_hints(counters, include_extras=True).items():
        for metric in getattr(annotation, "__metadata__", ()):
            yield DeclaredCounter(attribute, metric)


@dataclass(slots=True, eq=False)
class ForwardCounters:
    """Plain integers, only ever added to, except `in_flight`, which is the number of exchanges that are open now."""

    hits: Annotated[int, CounterMetric("forward_cache_hits", "Forwarded queries answered from the cache.")] = 0
    misses: Annotated[
        int,
        CounterMetric(
            "forward_cache_misses",
            "Forwarded queries that asked an upstream.",
            "cache_misses",
            "Forwarded queries that the cache could not answer.",
        ),
    ] = 0
    sends: Annotated[int, CounterMetric("forward_sends", "Messages sent to upstreams.")] = 0  # over UDP and TCP
    retries: Annotated[int, CounterMetric("forward_retries", "Messages sent to upstreams again.")] = 0
    timeouts: Annotated[int, CounterMetric("forward_timeouts", "Messages that no upstream answered in time.")] = 0
    mismatches: Annotated[int, CounterMetric("forward_mismatches", "Replies that answer nothing that was asked.")] = 0
    malformed: Annotated[int, CounterMetric("forward_malformed", "Replies that break the wire format.")] = 0
    servfail: Annotated[int, CounterMetric("forward_servfail", "Forwarded queries that got SERVFAIL.")] = 0
    over_limit: Annotated[
        int,
        CounterMetric(
            "forward_overflow",
            "Forwarded queries over the limits.",
            "forward_max_concurrent_rejects",
            "Forwarded queries over the limits.",
        ),
    ] = 0
    coalesced: Annotated[int, CounterMetric("forward_coalesced", "Forwarded queries that joined one in flight.")] = 0
    stale_answers: Annotated[
        int,
        CounterMetric(
            "forward_stale",
            "Forwarded queries answered with an expired answer (RFC 8767).",
            "cache_served_stale",
            "Forwarded queries answered with an expired answer.",
        ),
    ] = 0
    over_client_limit: Annotated[
        int, CounterMetric("forward_overflow_client", "Forwarded queries over one client's limit.")
    ] = 0
    over_suffix_limit: Annotated[
        int, CounterMetric("forward_overflow_suffix", "Forwarded queries over the limit of one domain.")
    ] = 0
    loops: Annotated[int, CounterMetric("forward_loops", "Queries that this instance had forwarded itself.")] = 0
    private_addresses: Annotated[
        int, CounterMetric("forward_private_addresses", "Upstream answers refused for a private address.")
    ] = 0
    late_answers: Annotated[
        int, CounterMetric("forward_late", "Upstream answers that came after the client had got SERVFAIL.")
    ] = 0
    evicted_answers: Annotated[int, CounterMetric()] = 0  # dropped from the cache because it was full; both are
    evicted_denials: Annotated[int, CounterMetric()] = 0  # reported with a label, as cache_evictions

    queries: int = 0  # all that the forwarder received
    failures_cached: int = 0  # answered with a failure that is still fresh (RFC 9520)
    refused: int = 0  # RD=0 and not in the cache, or no route
    tcp: int = 0  # sends over TCP
    unreachable: int = 0  # ICMP errors and failed sends
    in_flight: int = 0
