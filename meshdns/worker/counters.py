"""What a worker counts that has no labels."""


class Counters:
    """Plain integers, published elsewhere."""

    __slots__ = (
        "answered",
        "commits",
        "connections_cut",
        "connections_refused",
        "cut",
        "dropped",
        "forwarded",
        "late",
        "limited",
        "panics",
        "portless",
        "queries",
        "ready",
        "refused",
        "tcp",
        "unsent",
        "view_faults",
    )

    def __init__(self) -> None:
        self.queries = 0  # messages received
        self.ready = 0  # of these, answered from the ready replies
        self.answered = 0  # of these, answered from the view or by the worker itself
        self.forwarded = 0  # of these, for names that are not ours
        self.refused = 0  # of these, from outside allowQuery
        self.dropped = 0  # of these, not even a query
        self.tcp = 0  # of these, over TCP
        self.portless = 0  # from source port 0, which cannot be answered
        self.limited = 0  # replies dropped because their asker's block has drawn too many
        self.cut = 0  # replies cut to TC for the same reason
        self.late = 0  # discarded because they had waited too long
        self.unsent = 0  # replies that the kernel did not take
        self.commits = 0  # changes of the view that were noticed
        self.connections_refused = 0
        self.connections_cut = 0  # ended for the sake of others
        self.panics = 0  # exceptions that nobody foresaw
        self.view_faults = 0  # looks at the view that failed
