"""What the supervisor tells a running controller, and what the controller asks of it.

Each message of the supervisor is a line of JSON behind the settings. One that cannot be used is logged, and no more.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec

from meshdns.config.named_files import FileForm
from meshdns.instance.pipe import ControllerMessage, MessageReader
from meshdns.mesh.objects.problems import Problem

REPLY_TIMEOUT: Final = 50.0  # seconds for a reload; its client waits a minute

_log = logging.getLogger("meshdns.controller")


class FilesMessage(msgspec.Struct, frozen=True, tag="files"):
    """The values of the files that the settings name, and what is wrong with them."""

    texts: dict[FileForm, dict[str, str]] = {}
    problems: tuple[Problem, ...] = ()


class ReloadOutcome(msgspec.Struct, frozen=True, tag="reloaded"):
    """What came of rereading the settings."""

    order: int
    generation: int
    """The generation that is in force now."""
    refusals: tuple[str, ...] = ()
    """Why the settings that were read are not in force; empty if they are."""
    waiting_keys: tuple[str, ...] = ()
    """Keys of them that wait for a restart."""


class CommandRefusedError(Exception):
    """A command was not carried out; the message is for people, `status` that of the HTTP reply."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class SupervisorLink:
    """Orders to the supervisor, with the replies to them, and its messages."""

    def __init__(self, send: Callable[[ControllerMessage], None]) -> None:
        self._send = send
        self._orders = itertools.count(1)
        self._outcomes: dict[int, asyncio.Future[ReloadOutcome]] = {}
        self.on_files: Callable[[FilesMessage], None] = lambda _message: None

    async def request_reload(self) -> Mapping[str, Any]:
        """Have the settings reread, and return what the reply says; `CommandRefusedError` if they are not in force."""
        order = next(self._orders)
        outcome: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        self._outcomes[order] = outcome
        self._send(ControllerMessage(reload=True, order=order))
        try:
            found = await asyncio.wait_for(outcome, REPLY_TIMEOUT)
        except TimeoutError:
            message = f"the supervisor did not reply within {REPLY_TIMEOUT:g} s; its log says what it did"
            raise CommandRefusedError(HTTPStatus.GATEWAY_TIMEOUT, message) from None
        finally:
            del self._outcomes[order]
        self._send(ControllerMessage(reload_replied=order))  # it may restart this process now
        if found.refusals:
            message = "\n".join((f"settings generation {found.generation} stays in force:", *found.refusals))
            raise CommandRefusedError(HTTPStatus.CONFLICT, message)
        return {"generation": found.generation, "waitingKeys": found.waiting_keys}

    async def follow(self, messages: MessageReader) -> None:
        """Take the messages of the supervisor until it is gone."""
        decode = partial(msgspec.json.decode, type=FilesMessage | ReloadOutcome)
        while (message := await messages.receive(decode)) is not None:
            try:
                self._take(message)
            except Exception:  # noqa: BLE001 — one message costs itself
                _log.exception("a message of the supervisor could not be used")

    def _take(self, message: FilesMessage | ReloadOutcome) -> None:
        match message:
            case FilesMessage():
                self.on_files(message)
            case ReloadOutcome() if (waiting := self._outcomes.get(message.order)) is not None and not waiting.done():
                waiting.set_result(message)
