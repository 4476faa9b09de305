"""Sections of the settings about what is told of the server's work: metrics and the query log."""

from typing import Annotated, Literal

from pydantic import Field

from meshdns.config.section import Section
from meshdns.config.values import Bool

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A share from 0 to 1."""


class Metrics(Section):
    """What /metrics tells."""

    coredns_names: Bool = Field(
        default=False,
        description="Whether what means the same as in CoreDNS is told under its names (coredns_…), too, so that its "
        "dashboards work unchanged. Default: false: alerts without a job selector would take this server for CoreDNS.",
    )


class QueryLog(Section):
    """Which queries are logged, on standard output. More than 2,000 a second of a worker are counted and left out."""

    sample: Share = Field(
        default=0.0, description="The share of queries to log, 0 to 1: 0.01 is one in a hundred. Default: 0, none."
    )
    classes: tuple[Literal["success", "denial", "error", "all"], ...] = Field(
        default=("all",),
        description="The kinds to log: success, denial (NXDOMAIN and NODATA), error, or all. Default: [all].",
    )
    format: Literal["coredns", "json"] = Field(
        default="coredns",
        description="coredns: the line of CoreDNS's plugin log, which its log parsers read; json: an object a line. "
        "Default: coredns.",
    )
