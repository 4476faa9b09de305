"""The command ``python -m tests.fuzz``: every target for FUZZ_SECONDS (60), the cost search, the flood, the siege."""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.bench.machine import machine
from tests.bench.processes import memory
from tests.bench.programs import Answering
from tests.e2e import boutique
from tests.e2e.instance import Instance, wait_until_ready
from tests.fuzz.cost import SEARCHES, climb
from tests.fuzz.flood import ROOT, capacity, flood, siege
from tests.fuzz.mutation import Dice
from tests.fuzz.report import PATH, Attack, Cost, Guided, Report
from tests.fuzz.targets import CORPUS, Target, targets

_KNOWN: Final = ("frontend.default.global", "203.0.113.20")
_SHARE: Final = 0.7  # of the capacity
_DATAGRAMS, _STREAMED, _IDLE, _WRITERS = 1_000_000, 50_000, 10_000, 100
_STREAM_RATE: Final = 2000  # messages a second over TCP
_EXECUTED: Final = re.compile(r"stat::number_of_executed_units: (\d+)")
_EDGES: Final = re.compile(r"cov: (\d+)")
_RESIDENT: Final = re.compile(r"^#(\d+)\s.* rss: (\d+)Mb", re.MULTILINE)
_GRACE: Final = 60  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts, write the report; 1 where anything must not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_SECONDS", "60")), help="per target")
    parser.add_argument("--findings", type=Path, help="folder for inputs that are new (default: a temporary one)")
    parser.add_argument(
        "--cost-seconds", type=float, help="per search for an expensive message (default: half of that)"
    )
    parser.add_argument("--at-once", type=int, default=1, help="how many targets are fuzzed side by side")
    chosen = parser.parse_args(arguments)
    before = machine()
    findings = chosen.findings or Path(tempfile.mkdtemp(prefix="meshdns-fuzz-"))
    with ThreadPoolExecutor(chosen.at_once) as pool:
        runs = [pool.submit(_guided, target, chosen.seconds, findings / target.name) for target in targets().values()]
        guided = [run.result() for run in runs]
    searching = chosen.seconds / 2 if chosen.cost_seconds is None else chosen.cost_seconds
    costs = [_cost(number, searching) for number in range(len(SEARCHES))]
    attacked = _attack()
    options = " ".join(arguments if arguments is not None else sys.argv[1:])
    command = f'make fuzz FUZZ="{options}"' if options else f"make fuzz FUZZ_SECONDS={chosen.seconds:g}"
    report = Report(command, before, guided, costs, attacked)
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(report.markdown())
    sys.stdout.write(f"{report.markdown()}\nwritten: {PATH.relative_to(ROOT)}; new inputs: {findings}\n")
    faults = report.faults()
    sys.stdout.write("".join(f"must not be: {fault}\n" for fault in faults))
    return int(bool(faults))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _guided(target: Target, seconds: float, findings: Path) -> Guided:
    """One target under Atheris; only its corpus where there is none for this Python."""
    corpus = target.corpus()
    octets = sum(file.stat().st_size for file in corpus)
    began = time.monotonic()
    if importlib.util.find_spec("atheris") is None:
        _say(f"{target.name}: replay alone; Atheris comes for Python 3.11: `make fuzz PYTHON=python3.11`")
        for file in corpus:
            target.run(file.read_bytes())
        return Guided(target.name, len(corpus), time.monotonic() - began, -1, len(corpus), octets, 0, 0, 0)
    _say(f"{target.name}: {seconds:g} s of coverage-guided fuzzing")
    findings.mkdir(parents=True, exist_ok=True)
    flags = [
        f"-max_total_time={seconds:.0f}",
        "-print_final_stats=1",
        "-timeout=10",
        f"-artifact_prefix={findings}/fault-",
    ]
    words = [sys.executable, "-m", "tests.fuzz.guided", target.name, *flags, str(findings), str(CORPUS / target.name)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds + _GRACE, check=False)
    executed, edges = _EXECUTED.search(done.stderr), _EDGES.findall(done.stderr)
    crashes = len(list(findings.glob("fault-*")))
    if executed is None or (done.returncode and not crashes):
        raise RuntimeError(f"fuzzing {target.name} did not run: {done.stderr[-2000:]}")
    return Guided(
        target.name,
        int(executed[1]),
        time.monotonic() - began,
        int(edges[-1]) if edges else -1,
        len(corpus),
        octets,
        crashes,
        *_memory(done.stderr),
    )


def _memory(output: str) -> tuple[int, int]:
    """The highest resident memory in MiB at half of the executions and at the end, as libFuzzer says it."""
    told = [(int(match[1]), int(match[2])) for match in _RESIDENT.finditer(output)]
    last = told[-1] if told else (0, 0)
    return next((size for count, size in told if count >= last[0] / 2), 0), last[1]


def _cost(number: int, seconds: float) -> Cost:
    search = SEARCHES[number]
    _say(f"{search.name}: {seconds:g} s of search for the most expensive message")
    worst = climb(search, Dice(time.time_ns()), seconds=seconds)
    return Cost(search.name, search.longest, worst.tried, worst.seconds, search.most)


def _attack() -> Attack:
    """Flood and besiege one worker on Online Boutique, with an upstream that knows every name."""
    with Answering() as upstream:
        forward = [{"zone": ".", "to": [f"{upstream.address}:{upstream.port}"]}]
        return _attack_with(forward)


def _attack_with(forward: Sequence[Mapping[str, object]]) -> Attack:
    settings = {"sources": [{"kind": "manifests", "path": str(boutique.ZONE)}], "vantage": {"cluster": "cluster1"}}
    with Instance({**settings, "forward": forward, "admin": {"socket": "./admin.sock"}}) as instance:
        wait_until_ready(instance)
        _say("capacity")
        taken = capacity(instance)
        _say(f"{_DATAGRAMS:,} mutated messages over UDP")
        rate = int(_SHARE * taken)
        floods = {"UDP": flood(instance, "udp", _DATAGRAMS, rate=rate, known=_KNOWN)}
        instance.flush_cache()
        flushed = memory(instance.pid)
        _say(f"{_STREAMED:,} over TCP")
        floods["TCP"] = flood(instance, "tcp", _STREAMED, rate=_STREAM_RATE, known=_KNOWN)
        _say(f"{_IDLE:,} idle connections")
        held = siege(instance, idle=_IDLE, writers=_WRITERS, known=_KNOWN)
    return Attack(taken, floods, flushed, {f"{_IDLE:,} idle, {_WRITERS} of an octet a second": held})


if __name__ == "__main__":
    sys.exit(main())
