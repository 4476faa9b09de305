"""The command ``python -m tests.conformance``."""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.conformance.authorities import checklist_instance, golden_nsd
from tests.conformance.cases import CASES
from tests.conformance.document import DOCUMENT, Asked, Explored, Findings, faults, unlisted
from tests.conformance.forwarders import FORWARDERS, MESHDNS, version
from tests.conformance.lies import Shown, play, scenes
from tests.conformance.probes import PROBES, probe
from tests.conformance.situations import scene, views
from tests.conformance.zone_rules import explore
from tests.rig.errors import ComponentUnavailable
from tests.rig.packages import program
from tests.rig.unbound import Unbound
from tests.simulators.lying_servers import LyingServers


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, judge, write; the exit status is 1 where meshdns is at fault."""
    chosen = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        found = _findings(chosen.examples)
    except ComponentUnavailable as absence:
        sys.stderr.write(f"{absence}\n")
        return 1
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(found.markdown(), "utf-8")
    wrong = [*faults(found, MESHDNS), *unlisted(found)]
    sys.stdout.writelines(f"meshdns: {fault}\n" for fault in wrong)
    sys.stdout.write(f"written: {chosen.output}, {len(wrong)} faults of meshdns, {time.monotonic() - began:.0f} s\n")
    return 1 if wrong else 0


def _findings(examples: int) -> Findings:
    versions = {forwarder.title: version(forwarder.version()) for forwarder in FORWARDERS.values()}
    shown: dict[str, list[Shown]] = {}
    probed: dict[str, dict[str, str]] = {}
    for key, forwarder in FORWARDERS.items():
        _say(f"{forwarder.title} behind a hostile upstream")
        with LyingServers([".", *_zones()]) as upstreams, forwarder.start(upstreams.routes) as server:
            shown[key] = asyncio.run(play(server, upstreams))
            probed[key] = asyncio.run(probe(server, upstreams))
    asked = list(_asked())
    explored = [_explored(situation, view, examples) for situation, view in views()]
    return Findings({**versions, "NSD": version([program("nsd"), "-v"])}, shown, probed, asked, explored)


def _zones() -> Iterable[str]:
    return [*(scene.zone for scene in scenes()), *(each.zone for each in PROBES)]


def _asked() -> Iterator[Asked]:
    _say("the checklist")
    with Unbound(["www.example.com. 60 IN A 192.0.2.80"]) as resolver, checklist_instance(resolver) as ours:  # noqa: SIM117
        with golden_nsd(ours) as theirs:
            for case in CASES:
                yield Asked(case.row, case.put(ours), case.put(theirs))


def _explored(situation: str, view: str, examples: int) -> Explored:
    _say(f"random questions: {situation} from {view}")
    with scene(situation, view) as both:
        explore(both, examples)
        return Explored(situation, view, both.asked, dict(both.differences))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description="Compare meshdns with other servers behind a hostile upstream and with NSD on its own zones.",
    )
    parser.add_argument("--examples", type=int, default=500, help="random questions for each situation and vantage")
    parser.add_argument("--output", type=Path, default=DOCUMENT, metavar="FILE", help="what is written")
    return parser


if __name__ == "__main__":
    sys.exit(main())
