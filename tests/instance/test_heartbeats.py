"""Who is silent, in virtual time: judge and judged may stand still together or one by one."""

from meshdns.instance.heartbeats import HeartbeatJudge

TIMEOUT = 5.0
LOOK = 0.5  # seconds between two looks
BEAT = 0.2


class _Scene:
    """A judge and a process that beats while `beats`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.judge = HeartbeatJudge(TIMEOUT)
        self.process = 7
        self.last = self.now

    def run(self, seconds: float, *, beats: bool = True) -> list[float]:
        """Look for so long; return after how many seconds the process was found silent."""
        began, verdicts = self.now, []
        while self.now < began + seconds:
            self.now += LOOK
            if beats:
                self.last = self.now - BEAT / 2
            if self.judge.silent({self.process: self.last}, self.now):
                verdicts.append(self.now - began)
        return verdicts

    def stand_still(self, seconds: float) -> None:
        """Let neither the judge nor the process run."""
        self.now += seconds


def test_process_without_heartbeat_is_silent() -> None:
    """As soon as the timeout is over, and not before."""
    scene = _Scene()
    assert not scene.run(60)
    verdicts = scene.run(10, beats=False)
    assert TIMEOUT <= verdicts[0] + BEAT <= TIMEOUT + 2 * LOOK


def test_all_that_stood_still_together_is_not_silent() -> None:
    """Frozen for an hour, twice in a row: nobody is silent when everything goes on."""
    scene = _Scene()
    scene.run(3)
    for _ in range(2):
        scene.stand_still(3600)
        assert not scene.judge.silent({scene.process: scene.last}, scene.now)
        assert not scene.run(20)


def test_process_that_does_not_go_on_is_silent_after_a_full_timeout() -> None:
    """Silence counts anew from the judge's wake-up."""
    scene = _Scene()
    scene.run(3)
    scene.stand_still(12)
    verdicts = scene.run(20, beats=False)
    assert TIMEOUT <= verdicts[0] <= TIMEOUT + 3 * LOOK


def test_new_process_is_not_judged_by_the_heartbeat_of_its_predecessor() -> None:
    """It has the whole timeout to begin."""
    scene = _Scene()
    scene.run(3)
    scene.run(TIMEOUT + 1, beats=False)
    scene.process = 8
    verdicts = scene.run(20, beats=False)
    assert TIMEOUT <= verdicts[0] <= TIMEOUT + 3 * LOOK


def test_first_look_is_no_verdict() -> None:
    """A judge that has just begun has not watched anybody's silence."""
    assert HeartbeatJudge(TIMEOUT).silent({7: 0.0}, 1000.0) == []
