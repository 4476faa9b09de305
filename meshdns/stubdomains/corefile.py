"""Server blocks of a Corefile, put beside those that are there.

Rules:
- A server block is known by its zones. One that names only zones of ours is replaced, all else stays as it is written.
- Comments and blank lines stay; the syntax (coredns.io/manual/configuration) is read as far as braces and words go.
- A fallback zone is answered by the plugin `kubernetes` first: what it denies must fall through to a `forward` of that
  zone, which stands before the `forward` of everything else, because the first that matches a name takes it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from meshdns.stubdomains.stub import StubDomain, StubDomainError


class _ServerBlock(NamedTuple):
    """The lines `first` up to and including `last` of a server block, and the zones of its head without ports."""

    first: int
    last: int
    zones: tuple[str, ...]


def server_block(stub: StubDomain) -> str:
    """The server block that sends the zones to us."""
    head = " ".join(f"{zone}:53" for zone in stub.zones)
    return f"""\
{head} {{
    errors
    cache 30
    forward . {stub.host_port} {{
        max_concurrent 1000
    }}
}}
"""


def with_server_block(stub: StubDomain, deployed: str) -> str:
    """The deployed Corefile with our server block, and with the way into fallback zones. Raises `StubDomainError`."""
    lines = deployed.splitlines()
    ours = set(stub.zones)
    blocks = list(_blocks(lines))
    mixed = next((b for b in blocks if ours & set(b.zones) and not set(b.zones) <= ours), None)
    if mixed is not None:
        others = ", ".join(zone for zone in mixed.zones if zone not in ours)
        raise StubDomainError(
            f"line {mixed.first + 1} of the Corefile serves {others} in the same block; part them first"
        )
    replaced = [b for b in blocks if ours & set(b.zones)]
    at = replaced[0].first if replaced else len(lines)
    gone = {number for b in replaced for number in range(b.first, b.last + 1)}
    rest = [line for number, line in enumerate(lines[at:], at) if number not in gone]
    out = [*lines[:at], *server_block(stub).splitlines(), *rest]
    for zone in stub.fallback:
        out = _with_fallback(out, zone, stub)
    return "\n".join(out) + "\n"


def _with_fallback(lines: list[str], zone: str, stub: StubDomain) -> list[str]:
    """The lines with `fallthrough` for a zone in its clause of `kubernetes`, and with a `forward` of that zone."""
    start = next((n for n, line in enumerate(lines) if _words(line)[:1] == ["kubernetes"] and zone in _words(line)), -1)
    if start < 0:
        raise StubDomainError(
            f"no plugin kubernetes of the Corefile serves {zone}; leave --fallback out, or name its Corefile"
        )
    indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    way = f"{indent}forward {zone} {stub.host_port}"
    if not lines[start].rstrip().endswith("{"):
        clause = [f"{lines[start].rstrip()} {{", f"{indent}    fallthrough {zone}", f"{indent}}}"]
        end = start
    else:
        end = _closing_line(lines, start)
        clause = _with_fallthrough(lines[start : end + 1], zone, indent)
    rest = lines[end + 1 :]
    before = [line for line in lines[:start] if _words(line)[:2] != ["forward", zone]]
    return [*before, *clause, way, *(line for line in rest if _words(line)[:2] != ["forward", zone])]


def _with_fallthrough(clause: list[str], zone: str, indent: str) -> list[str]:
    """A clause of `kubernetes` in which `zone` falls through; without zones `fallthrough` means all of them."""
    for number, line in enumerate(clause):
        words = _words(line)
        if words[:1] == ["fallthrough"]:
            if len(words) == 1 or zone in words:
                return clause
            return [*clause[:number], f"{line.rstrip()} {zone}", *clause[number + 1 :]]
    return [*clause[:-1], f"{indent}    fallthrough {zone}", clause[-1]]


def _blocks(lines: Sequence[str]) -> Iterator[_ServerBlock]:
    """The server blocks with braces; what has none is one server for the whole file, and no stub domain."""
    number = 0
    while number < len(lines):
        words = _words(lines[number])
        if words and words[-1] == "{" and not words[0].startswith("("):  # ( … ) is a snippet
            last = _closing_line(lines, number)
            yield _ServerBlock(number, last, tuple(_zone_name(word) for word in words[:-1]))
            number = last
        elif words and words[-1] == "{":
            number = _closing_line(lines, number)
        number += 1


def _closing_line(lines: Sequence[str], first: int) -> int:
    """The line that closes the braces opened on line `first`."""
    depth = 0
    for number in range(first, len(lines)):
        words = _words(lines[number])
        depth += words.count("{") - words.count("}")
        if depth <= 0:
            return number
    raise StubDomainError(f"line {first + 1} of the Corefile opens a brace that nothing closes; correct it")


def _words(line: str) -> list[str]:
    return line.partition("#")[0].split()


def _zone_name(word: str) -> str:
    """``dns://global.:53,`` as ``global``."""
    host = word.rstrip(",").rpartition("//")[2]
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower().removesuffix(".") or "."
