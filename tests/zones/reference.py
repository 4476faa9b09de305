"""The reference of what names mean, from the situations under zones/.

``python -m tests.zones.reference > docs/semantics.md`` writes it anew: the order is that of ``zones/README.md``, the
answers are those of the master files, which `test_golden` holds against the program.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SITUATIONS: Final = Path(__file__).parents[2] / "zones"

_HEAD: Final = """\
# What names mean

Every rule, shown on a small mesh. The folders are in [zones](../zones/README.md): manifests as `kubectl get -o yaml`
prints them, the settings, and what is served from each place one can look from. `outside` is no cluster and no network.
A dash is a name that has no address there, or does not exist. SOA, NS and `ns.<zone>` are left out, and so is
`<cluster>.gateways.<zone>` but in the situation of reverse zones; TTLs are 30 unless they are shown.
`meshdns serve --config zones/<folder>/meshdns.yaml` serves one of them.

## The rules in short

1. **Zones.** Only names in a configured zone are answered from the mesh. Everything else is forwarded. The longest
   match decides, over zones, forward zones and fallback zones alike: the names of a zone end where another one inside
   it begins, and so do its wildcards and derived names.
2. **Levels.** The first of these that has an address answers: a static record; ServiceEntries of the own cluster; its
   Services with a ready endpoint; ServiceEntries of the other clusters; Services of other clusters on the same network
   (pod addresses); Services of clusters elsewhere (their gateways, else their own load balancers).
3. **Nearness.** Within a level the nearest group that has a healthy address answers alone: what runs in the own
   cluster; what is reached directly; what is reached through gateways. Its addresses are merged, at most 15 a family.
4. **Endpoints.** An endpoint means what it means in the cluster that declares it. A private address of another network
   is that cluster's gateways, a public one is itself, virtual addresses never leave their cluster.
5. **Absence.** An unknown name is NXDOMAIN, a known one without that type NODATA, a known one without any address
   SERVFAIL while something is still to be resolved, else NODATA. Before a cluster was read once, nothing is denied.
6. **Upstreams.** An upstream sets no record of a name in a zone here. If its answer leads there by an alias (CNAME),
   the alias is sent on and the name is looked up here, with the type that was queried; what the upstream says of it is
   dropped. With `fallthrough` it may speak for the unknown name that it is asked for, and for no other of the zone; the
   apex, and names that exist only because of declared ones below them, are unknown in this sense. Its NXDOMAIN of one
   of these becomes NODATA. A declared name is never asked of it, whatever its endpoints came to.
   The upstream of a `fallback` zone speaks for that zone, other upstreams do not.
7. **Wrong values.** A scalar where text is wanted (an unquoted `false`, `60`, `1.10` in labels, annotations and
   selectors) counts as the text that stands in the file; `null` is absence. What still cannot be read narrows: a
   selector with a value that is null, a list or a mapping selects nothing, an `exportTo` that cannot be read is not
   public, a readiness is not ready, and endpoints that cannot be read are endpoints that cannot be used. An unknown
   word is the default of its field. Each is a problem.
8. **Own keys.** `meshdns.io/export` on Services and ServiceEntries, `meshdns.io/ttl` and `meshdns.io/answer` on
   ServiceEntries are labels or annotations. `export` is `true`, `t`, `yes`, `y`, `on` or `1`, or `false`, `f`, `no`,
   `n`, `off` or `0`, in any case; any other value hides, and so does the one of two that differ. Of `ttl` and `answer`
   the annotation counts, and a value that cannot be read is ignored.
9. **Addresses.** A name whose last label is all digits is a mistyped address: a problem, which no upstream is asked
   for. An IPv4-mapped address (`::ffff:192.0.2.1`) is the IPv4 address. Loopback, link-local, unspecified and multicast
   addresses are never served, except that mode `vip` serves 127.0.0.0/8 without 127.0.0.1, and multicast, and reports
   both.
10. **The zone's own names.** `ns.<zone>`, names of one label that begins with an underscore, and the addresses of a
    cluster's gateways, `<cluster>.gateways.<zone>`, belong to the zone: only a static record may claim them. Of these a
    fallthrough zone has `_explain` and `_status` alone. A reverse zone has SOA, NS and PTR records, and nothing else.
11. **SRV.** `_<port>._<tcp|udp|sctp>.<host>` has the true port, and each target has exactly the addresses that listen
    on it: the host itself where all its addresses do, else `p<port>.<cluster>.<host>`. Under a wildcard and in a
    `fallback` zone no further names are made up: a port that not all addresses share is NODATA there, and a problem. A
    headless Service of the own cluster or network names its pods one by one, `<hostname>.<svc>.<ns>.<zone>`, or with
    the dashes of its address for a pod without a host name. One whose host name cannot be read has no name.
"""


_GATEWAYS: Final = re.compile(r"[^.]+\.gateways\.")


class Record(NamedTuple):
    """One line of a master file."""

    owner: str
    ttl: str
    kind: str
    value: str


def reference() -> str:
    """The text of ``docs/semantics.md``."""
    return _HEAD + "".join(f"\n{line}\n" if isinstance(line, str) else _situation(line) for line in _order())


def _order() -> Iterator[str | Path]:
    """Headings and folders as ``zones/README.md`` lists them; a folder that it leaves out is an error."""
    listed = set()
    for line in (SITUATIONS / "README.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            yield line
        elif found := re.match(r"\| \[([\w-]+)\]\(", line):
            listed.add(found[1])
            yield SITUATIONS / found[1]
    if missing := {path.name for path in SITUATIONS.iterdir() if path.is_dir()} - listed:
        raise LookupError(f"zones/README.md does not list {', '.join(sorted(missing))}; add a row for each")


def _situation(folder: Path) -> str:
    title, _, text = (folder / "README.md").read_text("utf-8").partition("\n")
    told = re.sub(r"\n(?:<!--.*\n\n)?(?: {4}\S.*\n?)+", "\n", text).strip()
    heading = f"\n### {title.removeprefix('# ')}\n\n[zones/{folder.name}](../zones/{folder.name})\n\n"
    return f"{heading}{told}\n\n{_table(folder)}"


def _table(folder: Path) -> str:
    """Names down, vantages across."""
    views = {path.stem: list(_records(path)) for path in sorted(folder.glob("*.zone"), key=_rank)}
    names = sorted({(record.owner, record.kind) for records in views.values() for record in records}, key=_by_zone)
    if all(kind != "PTR" for _, kind in names):
        names = [(owner, kind) for owner, kind in names if not _GATEWAYS.match(owner)]
    head = f"| name | type | {' | '.join(views)} |\n|---|---|{'---|' * len(views)}\n"
    rows = (
        f"| `{owner}` | {kind} | {' | '.join(_cell(records, owner, kind) for records in views.values())} |\n"
        for owner, kind in names
    )
    return head + "".join(rows)


def _records(path: Path) -> Iterator[Record]:
    for line in path.read_text("utf-8").splitlines():
        owner, ttl, _, kind, value = line.split(None, 4)
        if kind not in ("SOA", "NS") and not owner.startswith("ns."):
            yield Record(owner.removesuffix("."), ttl, kind, value)


def _cell(records: list[Record], owner: str, kind: str) -> str:
    found = [record for record in records if (record.owner, record.kind) == (owner, kind)]
    ttls = {record.ttl for record in found} - {"30"}
    return ", ".join(record.value for record in found) + "".join(f" (TTL {ttl})" for ttl in ttls) if found else "–"


def _rank(path: Path) -> tuple[bool, str]:
    """The outside comes last."""
    return path.stem == "outside", path.stem


def _by_zone(name: tuple[str, str]) -> tuple[list[str], str]:
    owner, kind = name
    return owner.split(".")[::-1], kind


if __name__ == "__main__":
    sys.stdout.write(reference())
