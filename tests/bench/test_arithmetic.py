"""The bench's own arithmetic."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.arithmetic import Load, Run, figures, per_query, share
from tests.bench.population import Population
from tests.bench.processes import Usage, tree, usage
from tests.bench.queries import UNIQUE_LABEL, Packets, is_right, mixed_case, query
from tests.bench.report import Report, Result
from tests.bench.workloads import WORKLOADS, Subject

LOAD = Load(
    sent=1010,
    received=1000,
    lost=10,
    wrong=0,
    late=0,
    refused=0,
    seconds=2.0,
    p50=100.0,
    p99=900.0,
    longest=2000.0,
    lag_p99=0.0,
    own_cpu=1.0,
    own_queued=0.5,
)


def run(milliseconds: float, *, received: int = 1000) -> Run:
    """A run in which the worker used so much processor time, and the controller a tenth of that."""
    used = Usage({"worker": milliseconds / 1000, "controller": milliseconds / 10_000}, queued=0.5)
    return Run(replace(LOAD, received=received), used, memory=50.0)


def test_cost_is_that_of_the_whole_tree_per_answered_query() -> None:
    """10 ms of the worker and 1 ms of the controller for 1,000 answers are 11 µs each."""
    assert run(10).cost == pytest.approx(11.0)
    assert run(10).rate == 500


def test_a_server_that_waits_for_its_core_is_busy() -> None:
    """Half a second in the queue of two counts as a quarter, beside what it ran."""
    assert run(1000).busy == pytest.approx((1.0 + 0.1 + 0.5) / 2.0)


def test_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """A round in which everything was slow does not move the ratio, though it moves the cost."""
    ours, theirs = [run(10), run(40), run(10)], [run(20), run(80), run(22)]
    found = figures(theirs, ours)
    assert (found.ratio, found.low, found.high) == pytest.approx((2.0, 2.0, 2.2))
    assert found.cost == pytest.approx(24.2)


def test_roles_are_listed_apart_and_add_up() -> None:
    """Worker and controller by themselves."""
    found = figures([run(10)], [run(10)])
    assert found.roles == {"worker": pytest.approx(10.0), "controller": pytest.approx(1.0)}
    assert sum(found.roles.values()) == pytest.approx(found.cost)


def test_losses_are_summed_over_the_rounds() -> None:
    """20 of 2,020 queries sent in two rounds."""
    assert figures([run(1), run(1)], [run(1), run(1)]).lost == pytest.approx(20 / 2020)


def test_nothing_answered_is_no_division_by_zero() -> None:
    """A server that was silent costs nothing per query and has no share of anything."""
    assert (per_query(1.0, 0), share(1, 0)) == (0.0, 0.0)
    assert figures([run(1)], [run(1, received=0)]).ratio == 0.0


def test_usage_counts_a_new_role_from_zero() -> None:
    """A worker that was started between two looks counts in full."""
    later = Usage({"server": 3.0, "worker": 1.0}, queued=0.75)
    assert later.since(Usage({"server": 1.0}, queued=0.5)) == Usage({"server": 2.0, "worker": 1.0}, queued=0.25)


def test_the_kernels_account_of_this_process_grows() -> None:
    """The tree below this process begins with it, and work shows in its account."""
    before = usage(os.getpid())
    spent = sum(i * i for i in range(2_000_000))
    assert tree(os.getpid())[0] == os.getpid()
    assert spent > 0
    assert usage(os.getpid()).since(before).total > 0


def test_packets_are_framed_by_their_sizes() -> None:
    """Two octets of size, then the query."""
    asked = query("a.global")
    assert Packets((asked, asked)).file() == (b"\0" + bytes([len(asked)]) + asked) * 2
    assert asked[12:] == b"\x01a\x06global\0\0\1\0\1"


def test_edns_adds_an_opt_record() -> None:
    """ARCOUNT 1, the root as owner, type 41, 1232 octets (RFC 6891 section 6.1.2)."""
    asked = query("a.global", edns=True)
    assert asked[10:12] == b"\0\1"
    assert asked.endswith(bytes.fromhex("00 0029 04d0 00000000 0000"))


def test_unique_queries_begin_with_a_label_of_eight_octets() -> None:
    """The generator writes its counter there, 13 octets into the message."""
    for workload in WORKLOADS:
        packets = workload.packets(Population(2))
        if packets.unique:
            assert all(asked[12:21] == b"\x08" + UNIQUE_LABEL.encode() for asked in packets.queries)


def test_mixed_case_changes_letters_only() -> None:
    """The same name by RFC 4343, other spellings for other salts, the same for the same."""
    spellings = {mixed_case("svc-00001.shop.global", salt) for salt in range(4)}
    assert {spelling.lower() for spelling in spellings} == {"svc-00001.shop.global"}
    assert len(spellings) == 4
    assert mixed_case("a.global", 1) == mixed_case("a.global", 1)


def test_a_reply_is_right_with_noerror_and_every_address() -> None:
    """Another rcode, a missing address and silence are wrong."""
    asked = query("a.global")
    reply = asked + bytes((198, 51, 100, 7)) + bytes((198, 51, 100, 8))
    assert is_right(reply, ["198.51.100.7", "198.51.100.8"])
    assert not is_right(reply, ["198.51.100.9"])
    assert not is_right(reply[:3] + b"\3" + reply[4:], ["198.51.100.7"])
    assert not is_right(b"", [])


def test_every_server_is_given_the_same_names() -> None:
    """Hosts file, master file, local data and ServiceEntries hold the same pairs."""
    population = Population(3, each=2)
    pairs = set(population.records())
    assert len(pairs) == 6
    assert {(line.split()[1], line.split()[0]) for line in population.hosts_file().splitlines()} == pairs
    master = [line.split() for line in population.master_file().splitlines() if line.startswith("svc-")]
    assert {(owner.rstrip("."), address) for owner, _, address in master} == pairs
    local = [line.split() for line in population.local_data()]
    assert {(words[0].rstrip("."), words[-1]) for words in local} == pairs
    entries = [entry["spec"] for entry in population.service_entries()]
    assert {(spec["hosts"][0], end["address"]) for spec in entries for end in spec["endpoints"]} == pairs


def test_report_is_written_as_json_and_markdown(tmp_path: Path) -> None:
    """Both hold the figures; a rate that may be the generator's is marked."""
    subjects = (Subject("meshdns"), Subject("echo"))
    result = Result(WORKLOADS[0], {subject: [run(10)] for subject in subjects})
    paths = Report({"kernel": "Linux"}, {"NSD": "4"}, [result], []).write(tmp_path / "results")
    assert [path.name for path in paths] == ["bench.json", "bench.md", "known.svg"]
    assert "| C echo | 11.00 | 1.00 | 1.00–1.00 | 500* |" in paths[1].read_text()
    assert '"ratio": 1.0' in paths[0].read_text()
