"""What forwarding counts."""


class ForwardCounters:
    """Plain integers, only ever added to, except `in_flight`, which is how many exchanges are open now."""

    __slots__ = (
        "coalesced",
        "evicted_answers",
        "evicted_denials",
        "failures_cached",
        "hits",
        "in_flight",
        "late_answers",
        "loops",
        "malformed",
        "mismatches",
        "misses",
        "over_client_limit",
        "over_limit",
        "over_suffix_limit",
        "queries",
        "refused",
        "retries",
        "sends",
        "servfail",
        "stale_answers",
        "tcp",
        "timeouts",
        "unreachable",
    )

    def __init__(self) -> None:
        self.queries = 0  # all that were asked of the forwarder
        self.hits = 0  # answered from the cache
        self.failures_cached = 0  # answered with a failure that is still fresh (RFC 9520)
        self.evicted_answers = 0  # fell out of the cache for want of room
        self.evicted_denials = 0  # as these did
        self.misses = 0  # led to an exchange with an upstream
        self.coalesced = 0  # joined an exchange for the same question
        self.over_limit = 0  # refused because too many clients wait
        self.over_client_limit = 0  # of these, because too many of one client's do
        self.over_suffix_limit = 0  # of these, because too many different names below one suffix are asked for
        self.loops = 0  # refused because they had come through here before
        self.refused = 0  # RD=0 and not in the cache, or no route
        self.sends = 0  # queries sent to upstreams, over UDP and TCP
        self.retries = 0  # of these, not the first of their exchange
        self.tcp = 0  # of these, over TCP
        self.timeouts = 0  # sends that were not answered in their time
        self.mismatches = 0  # datagrams that reply to nothing we asked
        self.malformed = 0  # replies to our question that break the wire format
        self.unreachable = 0  # ICMP errors and failed sends
        self.stale_answers = 0  # clients that got an answer past its lifetime in place of a failure
        self.servfail = 0  # clients that got SERVFAIL, whatever the reason
        self.late_answers = 0  # answers that came after the client had got SERVFAIL, and were kept
        self.in_flight = 0
