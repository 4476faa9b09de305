"""What all sources of API servers share, so that none of them takes everything."""

import asyncio
from typing import NamedTuple

from meshdns.sources.kube.list_budget import ListBudget, default_octets
from meshdns.sources.start_queue import StartQueue


class ReadLimits(NamedTuple):
    """The turns of first lists, and the budget of all."""

    queue: StartQueue
    budget: ListBudget


def create_read_limits(own: str, octets: int = 0) -> ReadLimits:
    """The limits of a process on the running loop; `octets` of lists, 0 for what its memory allows."""
    budget = ListBudget(octets or default_octets(), own=own, clock=asyncio.get_running_loop().time)
    return ReadLimits(StartQueue(), budget)
