"""dig: asking as people do, and reading its output."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tests.rig.packages import program
from tests.rig.ports import LOOPBACK

_HEADER = re.compile(r"^;; ->>HEADER<<- opcode: \w+, status: (\w+), id: \d+$", re.MULTILINE)
_FLAGS = re.compile(r"^;; flags: ?([a-z ]*);", re.MULTILINE)
_EDE = re.compile(r"^; EDE: (.+)$", re.MULTILINE)
_SECTION = re.compile(r"^;; (\w+) SECTION:\n((?:.+\n?)*)", re.MULTILINE)
_RDATA = 4  # fields before the RDATA of a record in presentation format: owner, TTL, class, type


class NoReply(Exception):  # noqa: N818 - often what a test expects
    """Dig got no reply; the message is its own."""


@dataclass(frozen=True)
class DigReply:
    """A reply as dig shows it; records in presentation format, fields parted by one space.

    `status` is the rcode's name, `ede` the extended errors (RFC 8914) as ``14 (Not Ready): (text)``, `text` all of it.
    """

    status: str
    flags: frozenset[str]
    question: tuple[str, ...]
    answer: tuple[str, ...]
    authority: tuple[str, ...]
    additional: tuple[str, ...]
    ede: tuple[str, ...]
    text: str

    @property
    def rdata(self) -> tuple[str, ...]:
        """The answer's RDATA without owner, TTL, class and type, in the order of the reply."""
        return tuple(record.split(" ", _RDATA)[_RDATA] for record in self.answer)


def dig(
    name: str, rrtype: str = "A", *, server: str = LOOPBACK, port: int, tcp: bool = False, opts: Sequence[str] = ()
) -> DigReply:
    """Ask once, wait up to 5 s; `opts` are dig's own (``+norec``, ``-x``). Raises `NoReply`."""
    protocol = ["+tcp"] if tcp else ["+notcp"]
    done = subprocess.run(
        [program("dig"), "-r", f"@{server}", "-p", str(port), "+tries=1", "+time=5", *protocol, *opts, name, rrtype],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not _HEADER.search(done.stdout):
        raise NoReply(f"dig {name} {rrtype} @{server} -p {port}: {done.stdout.strip()} {done.stderr.strip()}")
    return _read(done.stdout)


def _read(text: str) -> DigReply:
    sections = {title: _records(body) for title, body in _SECTION.findall(text)}
    header, flags = _HEADER.search(text), _FLAGS.search(text)
    return DigReply(
        status=header.group(1) if header else "",
        flags=frozenset(flags.group(1).split()) if flags else frozenset(),
        question=sections.get("QUESTION", ()),
        answer=sections.get("ANSWER", ()),
        authority=sections.get("AUTHORITY", ()),
        additional=sections.get("ADDITIONAL", ()),
        ede=tuple(_EDE.findall(text)),
        text=text,
    )


def _records(body: str) -> tuple[str, ...]:
    return tuple(" ".join(line.removeprefix(";").split(None, _RDATA)) for line in body.splitlines())
