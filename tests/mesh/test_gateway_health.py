"""Health of gateways in virtual time."""

from itertools import cycle

import pytest

from meshdns.mesh.fair_timers import NOBODY, Owner
from meshdns.mesh.gateway_health import GatewayHealth, HealthChanges, ProbeOutcome, ProbeTarget

A: ProbeTarget = ("192.0.2.1", 15443)
B: ProbeTarget = ("192.0.2.2", 15443)
C: ProbeTarget = ("2001:db8::1", 15443)

OUTCOMES = {
    "+": ProbeOutcome.ALIVE,
    "r": ProbeOutcome.REFUSED,
    "s": ProbeOutcome.TIMEOUT,
    "u": ProbeOutcome.NO_ROUTE,
    "o": ProbeOutcome.LOCAL_FAILURE,
}
INTERVAL = 10.0


class Story:
    """Some gateways and a clock that the test moves; what happens to each comes from a text, one letter per probe."""

    def __init__(self, *targets: ProbeTarget, down: int = 3, up: int = 2, draw: float = 0.5) -> None:
        self.now = 1000.0
        self.draw = draw
        self.health = GatewayHealth(interval=INTERVAL, unhealthy_after=down, healthy_after=up, draw=lambda: self.draw)
        self.health.set_targets(dict.fromkeys(targets, NOBODY), self.now)

    def probe(self, outcomes: dict[ProbeTarget, ProbeOutcome], *, patience: float = 0.0) -> HealthChanges:
        """Let the next probe that falls due bring its outcome."""
        assert self.health.timers.next_due is not None
        begun = self.now = max(self.now, self.health.timers.next_due)
        (gateway,) = self.health.timers.pop_due(self.now, limit=1)
        self.now += patience
        return self.health.record_result(gateway, outcomes[gateway.target], started=begun, now=self.now)

    def until(self, moment: float, outcomes: dict[ProbeTarget, ProbeOutcome]) -> HealthChanges:
        """All probes up to a moment."""
        changes: HealthChanges = []
        while self.health.timers.next_due is not None and self.health.timers.next_due <= moment:
            changes += self.probe(outcomes)
        self.now = moment
        return changes


@pytest.mark.parametrize(
    ("outcomes", "changes"),
    [
        ("+++", "..."),
        ("sss", "..d"),
        ("rrr", "..d"),
        ("srs", "..d"),
        ("ss+ss+", "......"),
        ("sssssss", "..d...."),
        ("sss++", "..d.u"),
        ("sss+s+s++", "..d.....u"),
        ("sss++sss", "..d.u..d"),
        ("ososos", ".....d"),
        ("sssooo+o+", "..d.....u"),
        ("uuuuuu", "......"),
        ("+uuu+", "....."),
        ("ouououo", "......."),
        ("ru+sss", ".....d"),
    ],
)
def test_a_gateway_changes_after_three_failures_and_two_successes(outcomes: str, changes: str) -> None:
    """``+`` alive, ``r`` refused, ``s`` silent, ``u`` no route, ``o`` own fault; ``d`` down, ``u`` up, dot the same."""
    play = Story(A)
    told = [play.probe({A: OUTCOMES[letter]}) for letter in outcomes]
    assert told == [{".": [], "d": [(A, False)], "u": [(A, True)]}[letter] for letter in changes]


@pytest.mark.parametrize(("down", "up"), [(1, 1), (2, 5), (100, 3)])
def test_the_settings_say_how_many_in_a_row(down: int, up: int) -> None:
    """The last of `down` failures takes a gateway down, the last of `up` successes brings it back."""
    play = Story(A, down=down, up=up)
    told = [play.probe({A: ProbeOutcome.TIMEOUT}) for _ in range(down)] + [
        play.probe({A: ProbeOutcome.ALIVE}) for _ in range(up)
    ]
    assert [place for place, change in enumerate(told) if change] == [down - 1, down + up - 1]


class TestPace:
    """When gateways are probed."""

    @pytest.mark.parametrize(("draw", "seconds"), [(0.0, 9.0), (0.5, 10.0), (0.999, 10.998)])
    def test_a_steady_gateway_is_probed_once_per_interval(self, draw: float, seconds: float) -> None:
        """From beginning to beginning, give or take 10 %, however long the probe took."""
        play = Story(A, draw=draw)
        play.probe({A: ProbeOutcome.ALIVE}, patience=2.0)
        assert play.health.timers.next_due == pytest.approx(play.now - 2.0 + seconds)

    @pytest.mark.parametrize(("outcomes", "seconds"), [("s", 5), ("ss", 5), ("sss", 10), ("sss+", 5), ("sss++", 10)])
    def test_a_gateway_in_doubt_is_probed_twice_as_often(self, outcomes: str, seconds: float) -> None:
        """While the last probe contradicts what the gateway is held to be."""
        play = Story(A)
        for letter in outcomes:
            play.probe({A: OUTCOMES[letter]})
        assert play.health.timers.next_due == pytest.approx(play.now + seconds)

    def test_first_probes_are_spread_over_the_interval(self) -> None:
        """Many gateways learned at once are not probed at once."""
        draws = cycle([number / 100 for number in range(100)])
        probes = GatewayHealth(interval=INTERVAL, unhealthy_after=3, healthy_after=2, draw=lambda: next(draws))
        probes.set_targets({(f"192.0.2.{number}", 15443): (Owner(str(number)),) for number in range(100)}, 0.0)
        assert [len(probes.timers.pop_due(moment, limit=100)) for moment in (2.45, 4.95, 7.45, 9.95)] == [
            25,
            25,
            25,
            25,
        ]

    @pytest.mark.parametrize("patience", [0.0, 3.0])
    def test_a_dead_gateway_is_known_within_three_intervals(self, patience: float) -> None:
        """At worst it dies right after a probe, jitter is long each time, and each probe waits 3 s for nothing."""
        play = Story(A, draw=0.999)
        play.probe({A: ProbeOutcome.ALIVE})
        died = play.now
        while not play.probe({A: ProbeOutcome.TIMEOUT}, patience=patience):
            pass
        assert play.now - died < 3 * INTERVAL


class TestLocalFailures:
    """What is wrong here says nothing about gateways."""

    @pytest.mark.parametrize("down", [1, 3])
    def test_an_outage_of_the_own_network_takes_nobody_down(self, down: int) -> None:
        """While there is no route to anybody, and when the routes are back, all keep the health they had."""
        play = Story(A, B, down=down)
        play.draw = 0.3
        play.until(1100.0, {A: ProbeOutcome.ALIVE, B: ProbeOutcome.ALIVE})
        outage = play.until(1200.0, {A: ProbeOutcome.NO_ROUTE, B: ProbeOutcome.NO_ROUTE})
        back = play.until(1300.0, {A: ProbeOutcome.ALIVE, B: ProbeOutcome.ALIVE})
        assert outage + back == []

    def test_an_unhealthy_gateway_stays_so_through_an_outage(self) -> None:
        """Keeping the health they had goes both ways."""
        play = Story(A, B)
        assert play.until(1100.0, {A: ProbeOutcome.TIMEOUT, B: ProbeOutcome.ALIVE}) == [(A, False)]
        assert play.until(1200.0, {A: ProbeOutcome.NO_ROUTE, B: ProbeOutcome.NO_ROUTE}) == []

    @pytest.mark.parametrize("reached", [ProbeOutcome.ALIVE, ProbeOutcome.REFUSED])
    def test_a_gateway_without_route_is_down_where_others_are_reached(self, reached: ProbeOutcome) -> None:
        """Whoever replies shows that the network is there."""
        play = Story(A, B)
        assert (A, False) in play.until(1060.0, {A: ProbeOutcome.NO_ROUTE, B: reached})

    def test_silence_of_others_proves_no_network(self) -> None:
        """Where nobody replies, a missing route stays without consequence."""
        play = Story(A, B)
        assert play.until(1100.0, {A: ProbeOutcome.NO_ROUTE, B: ProbeOutcome.TIMEOUT}) == [(B, False)]

    def test_a_family_without_any_route_is_not_judged(self) -> None:
        """A machine that has IPv4 alone cannot tell whether IPv6 gateways live."""
        play = Story(A, B, C)
        assert play.until(1200.0, {A: ProbeOutcome.ALIVE, B: ProbeOutcome.ALIVE, C: ProbeOutcome.NO_ROUTE}) == []

    def test_lack_of_descriptors_keeps_all_as_they_were(self) -> None:
        """Also where others could still be probed."""
        play = Story(A, B, down=1)
        assert play.until(1200.0, {A: ProbeOutcome.LOCAL_FAILURE, B: ProbeOutcome.ALIVE}) == []


class TestWanted:
    """Gateways come and go."""

    def test_a_gateway_that_returns_begins_healthy(self) -> None:
        """Its past is forgotten: it takes three failures again to take it down."""
        play = Story(A)
        assert play.until(1050.0, {A: ProbeOutcome.TIMEOUT}) == [(A, False)]
        play.health.set_targets({}, play.now)
        assert play.health.timers.next_due is None
        play.health.set_targets({A: NOBODY}, play.now)
        assert [bool(play.probe({A: ProbeOutcome.TIMEOUT})) for _ in range(4)] == [False, False, True, False]

    def test_a_probe_that_outlives_the_wish_changes_nothing(self) -> None:
        """Neither while its gateway is gone nor after it returned."""
        play = Story(A, down=1)
        (gateway,) = play.health.timers.pop_due(2000.0, limit=1)
        play.health.set_targets({}, 2000.0)
        assert play.health.record_result(gateway, ProbeOutcome.TIMEOUT, started=2000.0, now=2001.0) == []
        play.health.set_targets({A: NOBODY}, 2001.0)
        assert play.health.record_result(gateway, ProbeOutcome.TIMEOUT, started=2000.0, now=2002.0) == []
        assert len(play.health.timers) == 1

    def test_what_was_held_back_goes_with_its_gateway(self) -> None:
        """A gateway that is gone is not taken down by a later reply of another."""
        play = Story(A, B, down=1)
        play.until(1011.0, {A: ProbeOutcome.NO_ROUTE, B: ProbeOutcome.ALIVE})
        play.health.set_targets({B: NOBODY}, play.now)
        assert play.until(1100.0, {B: ProbeOutcome.ALIVE}) == []

    @pytest.mark.parametrize("target", [("gw.example", 15443), ("192.0.2.1", 0), ("192.0.2.1", 65536), ("", 1)])
    def test_what_is_no_address_and_port_is_never_probed(self, target: ProbeTarget) -> None:
        """It counts as healthy for ever."""
        assert Story(target).health.timers.next_due is None
