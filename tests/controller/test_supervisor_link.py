"""What the supervisor and a running controller tell each other."""

import asyncio
from http import HTTPStatus

import msgspec
import pytest

from meshdns.config.named_files import FileForm
from meshdns.controller import supervisor_link
from meshdns.controller.supervisor_link import CommandRefusedError, FilesMessage, ReloadOutcome, SupervisorLink
from meshdns.instance.pipe import MAX_SETTINGS, ControllerMessage, MessageReader
from meshdns.mesh.objects.problems import Problem, ProblemKind

FILES = FilesMessage(
    {FileForm.RESOLV_CONF: {"/r": "nameserver 192.0.2.1\n"}, FileForm.AUTHORITIES: {"/c": "PEM"}},
    (Problem(ProblemKind.UNREADABLE, "ca", "", "/c", "", "is a FIFO and no file", "name a file"),),
)


class _Supervisor:
    """The other end: what it was told, and its lines."""

    def __init__(self) -> None:
        self.told: list[ControllerMessage] = []
        self.lines = asyncio.StreamReader()
        messages = MessageReader(self.lines, MAX_SETTINGS, lambda _: None)
        self.link = SupervisorLink(self.told.append)
        self.following = asyncio.create_task(self.link.follow(messages), name="follow")

    def say(self, message: FilesMessage | ReloadOutcome) -> None:
        """One line."""
        self.lines.feed_data(msgspec.json.encode(message) + b"\n")


def test_values_of_files_are_taken_as_they_were_sent() -> None:
    """With what is wrong with some; lines that are none, or that cannot be used, cost themselves."""

    async def main() -> None:
        supervisor = _Supervisor()
        heard: list[FilesMessage] = []

        def take(message: FilesMessage) -> None:
            heard.append(message)
            raise ValueError("it cannot be used")

        supervisor.link.on_files = take
        for junk in (b"\n", b"[]\n", b"\xff\n", b'{"type":"files","texts":{"pear":{}}}\n'):
            supervisor.lines.feed_data(junk)
        supervisor.say(FILES)
        supervisor.say(FILES)
        supervisor.lines.feed_eof()
        await asyncio.wait_for(supervisor.following, 60)
        assert heard == [FILES, FILES]

    asyncio.run(main())


def test_each_order_gets_its_own_outcome() -> None:
    """The supervisor hears when it has replied, for it may end this process then."""

    async def main() -> None:
        supervisor = _Supervisor()
        first = asyncio.create_task(supervisor.link.request_reload(), name="first")
        second = asyncio.create_task(supervisor.link.request_reload(), name="second")
        await asyncio.sleep(0)
        assert supervisor.told == [ControllerMessage(reload=True, order=1), ControllerMessage(reload=True, order=2)]
        supervisor.say(ReloadOutcome(99, 5))
        supervisor.say(ReloadOutcome(2, 3, ("m.yaml:1:2: a: no",)))
        with pytest.raises(CommandRefusedError, match=r"m\.yaml:1:2: a: no") as refusal:
            await asyncio.wait_for(second, 60)
        assert refusal.value.status is HTTPStatus.CONFLICT
        assert not first.done()
        supervisor.say(ReloadOutcome(1, 4, waiting_keys=("listen",)))
        assert await asyncio.wait_for(first, 60) == {"generation": 4, "waitingKeys": ("listen",)}
        assert supervisor.told[2:] == [ControllerMessage(reload_replied=2), ControllerMessage(reload_replied=1)]
        supervisor.following.cancel()

    asyncio.run(main())


def test_an_order_that_nobody_answers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its client gives up."""
    monkeypatch.setattr(supervisor_link, "REPLY_TIMEOUT", 0.01)

    async def main() -> None:
        supervisor = _Supervisor()
        with pytest.raises(CommandRefusedError, match="did not reply within") as refusal:
            await supervisor.link.request_reload()
        assert refusal.value.status is HTTPStatus.GATEWAY_TIMEOUT
        supervisor.following.cancel()

    asyncio.run(main())
