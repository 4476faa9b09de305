"""The load itself: what it calls lost, failed and wrong."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e import load
from tests.e2e.load import Load, Outcome
from tests.rig.waiting import eventually

ADDRESS = "192.0.2.1"
_ANSWER = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton(ADDRESS)


class Responder:
    """Answers each query by its first label: ``late-…`` after a while, ``servfail-…`` with SERVFAIL."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.server: tuple[str, int] = self._socket.getsockname()
        self.answered = 0
        self._thread = threading.Thread(target=self._serve, name="responder", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            if not query:
                self._socket.close()
                return
            if b"late-" in query:
                time.sleep(load.PATIENCE * 1.5)
            flags, answers = (b"\x81\x82", b"") if b"servfail-" in query else (b"\x81\x80", _ANSWER)
            counts = bytes([0, 1, 0, len(answers) > 0, 0, 0, 0, 0])
            self._socket.sendto(query[:2] + flags + counts + query[12:-11] + answers, client)
            self.answered += 1

    def stop(self) -> None:
        """End the thread."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"", self.server)
        self._thread.join(10)


@pytest.fixture
def responder() -> Iterator[Responder]:
    """One at work."""
    made = Responder()
    yield made
    made.stop()


def outcome_of(responder: Responder, name: str) -> Outcome:
    """What becomes of a query that is answered while the load still runs."""
    with Load(responder.server, {name: [ADDRESS]}, rate=1, clients=1, limit=30) as asking:
        eventually(lambda: responder.answered, what="it is answered")
        return asking.end()


def test_an_answer_in_time_is_clean(responder: Responder) -> None:
    """It is what was wanted."""
    outcome = outcome_of(responder, "good.example")
    assert outcome.clean
    assert (outcome.answered, outcome.lost) == (1, 0)


def test_an_answer_after_the_patience_is_lost(responder: Responder, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stub resolver waits for it, however right it is."""
    monkeypatch.setattr(load, "PATIENCE", 0.3)
    outcome = outcome_of(responder, "late-one.example")
    assert not outcome.clean
    assert (outcome.answered, outcome.lost) == (0, 1)


def test_servfail_is_told_from_a_wrong_answer(responder: Responder) -> None:
    """It is no right answer, but nothing false either."""
    outcome = outcome_of(responder, "servfail-one.example")
    assert not outcome.clean
    assert (outcome.answered, outcome.wrong, outcome.failed) == (1, 1, 1)
