"""From the catalog to the view: what changed in the mesh becomes one commit.

Keys of the databases: rows, reasons and refusals by owner name in wire format; declarations and their problems by
cluster, kind, namespace and name, joined by zero octets (other problems: see `findings`); clusters by name.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from meshdns.authority import rows
from meshdns.authority.rows import Blocks, Part, Service, Status
from meshdns.authority.state import ViewState, decode, encode
from meshdns.controller.census import Census
from meshdns.controller.description import ClusterDescription, GatewayDescription
from meshdns.controller.findings import GATEWAYS, Findings, judged, problems_of
from meshdns.controller.refused import Refused
from meshdns.dns import names, records
from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.dns.response import record
from meshdns.mesh.addresses import parsed
from meshdns.mesh.answer import Answer, Outcome, pack
from meshdns.mesh.candidates import Level
from meshdns.mesh.catalog import Catalog
from meshdns.mesh.consequences import consequences, placed
from meshdns.mesh.declarations import AnyDeclaration, Key, Kind, key_of
from meshdns.mesh.passthrough import Passage
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.squeeze import expand, squeeze
from meshdns.mesh.topology import Topology, topology_problems
from meshdns.view.writer import Commit, Writer

_STATUS: Final = {
    Outcome.ADDRESSES: Status.DATA,
    Outcome.NODATA: Status.DATA,
    Outcome.PENDING: Status.PENDING,
    Outcome.FORWARD: Status.FORWARD,
}
NAMES_PER_COMMIT: Final = 1000
"""Some 100 ms of work: between two parts of a large change the heart beats and other changes are taken in."""

_MAX_KEY: Final = 500  # LMDB takes 511 octets

_Served = tuple[tuple[object, ...], tuple[object, ...]]
"""All of an answer that its row holds."""


class Publisher:
    """Applies changes to the catalog and commits what follows from them."""

    def __init__(self, settings: MeshSettings, writer: Writer) -> None:
        self.catalog = Catalog(settings)
        self._settings = settings
        self._writer = writer
        self._commit = Commit()
        self._state = ViewState()
        self._ids: dict[str, int] = {}
        self._wildcards: set[str] = set()
        self._leftovers: set[bytes] = set()  # rows of an earlier process that this one has not judged yet
        self._resolved: dict[str, tuple[str, ...]] = {}
        self._findings = Findings()
        self._refused = Refused(settings)
        self._judged: Topology | None = None  # the topology whose problems are known
        self.changes = 0  # of declarations, since this process began
        self.census = Census(settings)

    def declarations(self) -> list[tuple[str, AnyDeclaration]]:
        """All declarations with their clusters."""
        return [
            (name, declaration)
            for name, cluster in self.catalog.inventory.clusters.items()
            for declaration in cluster.declarations.values()
        ]

    def reader_check(self) -> None:
        """Free what dead readers of the view hold, which would make its file grow."""
        self._writer.reader_check()

    def restore(self) -> frozenset[str]:
        """Take over what an earlier process left in the view; returns the clusters it had synced."""
        meta = dict(self._writer.stored(b"meta"))
        if b"state" in meta:
            self._state = decode(meta[b"state"])
            self._ids = {name: number for number, name in enumerate(self._state.clusters)}
        if b"resolved" in meta:
            self._resolved = msgspec.json.decode(meta[b"resolved"], type=dict[str, tuple[str, ...]])
            for host, addresses in self._resolved.items():
                self.catalog.set_resolved(host, addresses)
        clusters = set()
        for key, value in self._writer.stored(b"declarations"):
            cluster = key.split(b"\0", 1)[0].decode()
            declaration = decode_declaration(value)
            self.catalog.upsert(cluster, declaration)
            self._refused.declare(cluster, declaration, judged(cluster, declaration, self._settings))
            clusters.add(cluster)
        self._leftovers = {key for key, _ in self._writer.stored(b"rows")}
        self._refused.restore(dict(self._writer.stored(b"refusals")))
        problems = self._writer.stored(b"problems")
        self.census.note_problems(problems)
        for key, _ in problems:
            if b"\0\0" in key:
                self._commit.problems[key] = None
        return frozenset(clusters)

    # ------------------------------------------------------------------------------------------ changes

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Add or replace a declaration."""
        if self.catalog.upsert(cluster, declaration):
            self.changes += 1
            key = object_key(cluster, key_of(declaration))
            self._commit.declarations[key] = encode_declaration(declaration)
            found = list(problems_of(cluster, declaration, self._settings))
            self._commit.problems[key] = msgspec.json.encode(found) if found else None
            self._refused.declare(cluster, declaration, found)

    def remove(self, cluster: str, key: Key) -> None:
        """Forget a declaration."""
        if self.catalog.remove(cluster, key):
            self.changes += 1
            self._commit.declarations[object_key(cluster, key)] = None
            self._commit.problems[object_key(cluster, key)] = None
            self._refused.forget(cluster, key)

    def keys(self, cluster: str, kind: Kind) -> set[Key]:
        """The keys known of one kind."""
        return {key for key in self.catalog.inventory.cluster(cluster).declarations if key[0] is kind}

    def of(self, cluster: str) -> list[AnyDeclaration]:
        """All declarations of a cluster."""
        return list(self.catalog.inventory.cluster(cluster).declarations.values())

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster."""
        known = self.catalog.inventory.clusters.get(cluster)
        for key in list(known.declarations) if known is not None else ():
            self.remove(cluster, key)
        self.catalog.remove_cluster(cluster)
        self._commit.clusters[cluster.encode()] = None

    def set_resolved(self, host: str, addresses: tuple[str, ...]) -> None:
        """Note what a host name resolves to; kept in the view, so that a new process knows it before it can ask."""
        self.catalog.set_resolved(host, addresses)
        wanted = self.catalog.unresolved_hosts
        self._resolved = {name: found for name, found in self._resolved.items() if name in wanted} | {host: addresses}
        self._commit.meta[b"resolved"] = msgspec.json.encode(self._resolved)

    def describe(self, cluster: str, description: ClusterDescription) -> None:
        """Set what people are shown of a cluster."""
        self._commit.clusters[cluster.encode()] = msgspec.json.encode(description)

    def gateways(self, cluster: str) -> tuple[GatewayDescription, ...]:
        """The gateways of a cluster, and those in it that lead elsewhere, with their health, for people."""
        return tuple(
            GatewayDescription(
                gateway.address,
                gateway.port,
                gateway.owner,
                gateway.origin,
                self.catalog.healthy(gateway) if self._settings.probed else None,
                gateway.network,
            )
            for gateway in self.catalog.topology.gateways_at(cluster)
        )

    def passage(self, cluster: str) -> Passage | None:
        """What the gateways of a cluster pass through; None where that is not known."""
        return self.catalog.topology.passages.get(cluster)

    # ------------------------------------------------------------------------------------------ commit

    def publish(self, *, ready: bool, complete: bool, stale: Collection[str]) -> int:
        """Commit everything that changed, with the state that holds now; returns the number of changed rows.

        A large change is committed in parts, `busy` says that some are left; until then `ready` and `complete` stay as
        they were. Raises `ViewError` where the view cannot be written; the changes are kept and tried with the next
        call.
        """
        commit = self._commit
        made: dict[_Served, bytes] = {}
        for name, answer in self.catalog.refresh(NAMES_PER_COMMIT).items():
            self._note_wildcard(name, answer)
            self.census.note(name, answer)
            owner = names.wire(name)
            self._leftovers.discard(owner)
            commit.rows[owner] = self._row(answer, made) if answer is not None else None
            commit.reasons[owner] = pack(answer) if answer is not None else None
            self._refused.judge(name, owner, answer)
            self._note_consequences(name, owner, answer)
        self._judge_gateways()
        for name in stale:
            self._id(name)
        if not self.busy:
            self._forget_leftovers()
            self._refused.settle(self.catalog.declares)
        commit.refusals.update(self._refused.changes())
        state = ViewState(
            ready=self._state.ready if self.busy else ready,
            complete=self._state.complete if self.busy else complete,
            clusters=tuple(self._ids),
            stale=tuple(sorted(self._ids[name] for name in stale)),
            wildcards=bool(self._wildcards),
        )
        if state != self._state:
            commit.meta[b"state"] = encode(state)
        if not commit:
            return 0
        changed = self._writer.apply(commit)
        self.census.note_problems(commit.problems)
        self._state = state
        self._commit = Commit()
        return changed

    @property
    def busy(self) -> bool:
        """Whether a part of a large change is left for the next commit."""
        return self.catalog.busy

    def _forget_leftovers(self) -> None:
        """Remove the names of an earlier process that this one, all names judged, does not know."""
        for owner in self._leftovers:
            self._commit.rows[owner] = None
            self._commit.reasons[owner] = None
        self._leftovers.clear()

    def _note_consequences(self, name: str, owner: bytes, answer: Answer | None) -> None:
        """Keep the problems that show in an answer."""
        inventory, topology = self.catalog.inventory, self.catalog.topology
        found = consequences(name, answer, inventory, topology) if answer is not None else ()
        self._commit.problems.update(self._findings.note(owner, found))

    def _judge_gateways(self) -> None:
        """Look for what is wrong with gateway objects, where anything about them changed."""
        topology = self.catalog.topology
        if topology is not self._judged:
            self._judged = topology
            inventory = self.catalog.inventory
            found = placed(topology_problems(inventory, topology), inventory)
            self._commit.problems.update(self._findings.note(GATEWAYS, found))

    def _note_wildcard(self, name: str, answer: Answer | None) -> None:
        if name.startswith("*."):
            (self._wildcards.discard if answer is None else self._wildcards.add)(name)

    def _row(self, answer: Answer, made: dict[_Served, bytes]) -> bytes:
        """The row of an answer; names with the same addresses, ports and clusters share what was `made` of them."""
        static = answer.level is Level.STATIC
        served = (
            (answer.outcome, answer.level, answer.ttl, answer.ipv4, answer.ipv6),
            (answer.clusters, answer.parts, answer.services, answer.records),
        )
        row = made.get(served)
        if row is None:
            row = made[served] = self._encoded(answer, static=static)
        return row

    def _encoded(self, answer: Answer, *, static: bool) -> bytes:
        rrsets = _address_rrsets(answer.ipv4, answer.ipv6)
        for own in answer.records:
            rtype, rdata = records.rdata(own.type, own.value)
            rrsets.setdefault(rtype, []).append(rdata)
        addresses = answer.outcome is Outcome.ADDRESSES
        ttl = answer.ttl if addresses or not answer.records else answer.records[0].ttl
        return rows.encode(
            Status.DATA if rrsets else _STATUS[answer.outcome],
            rrsets,
            ttl=ttl,
            clusters=[self._id(name) for name in answer.clusters if name],
            static=static,
            source=answer.level or 0,
            blocks=self._blocks(answer) if answer.parts or answer.services else None,
        )

    def _blocks(self, answer: Answer) -> Blocks:
        """What further names are made of: by cluster, and SRV."""
        return Blocks(
            parts=tuple(
                Part(
                    self._label(part.cluster),
                    part.port,
                    {
                        rtype: (len(rdatas), b"".join(record(rtype, answer.ttl, rdata) for rdata in rdatas))
                        for rtype, rdatas in _address_rrsets(part.ipv4, part.ipv6).items()
                    },
                )
                for part in answer.parts
                if self._label(part.cluster)
            ),
            services=tuple(
                Service(
                    service.name.lower().encode(),
                    service.protocol.encode(),
                    answer.ttl,
                    tuple((port, self._label(cluster) if cluster else b"") for port, cluster in service.targets),
                )
                for service in answer.services
            ),
        )

    def _label(self, cluster: str) -> bytes:
        """The label of a cluster in names: ``dnsName`` of its settings, else its name where that is a label."""
        label = self._settings.cluster(cluster).dns_name or cluster.lower()
        return label.encode() if "." not in label and not names.fault(label) else b""

    def _id(self, cluster: str) -> int:
        """The number of a cluster in rows; it never changes while the view exists."""
        return self._ids.setdefault(cluster, len(self._ids))


def _address_rrsets(ipv4: Sequence[str], ipv6: Sequence[str]) -> dict[int, list[bytes]]:
    return {
        rtype: [address.packed for text in texts if (address := parsed(text)) is not None]
        for rtype, texts in ((TYPE_A, ipv4), (TYPE_AAAA, ipv6))
        if texts
    }


def encode_declaration(declaration: AnyDeclaration) -> bytes:
    """A slim declaration as it is kept in the view: few octets, since it is read only when a controller begins."""
    return squeeze(msgspec.msgpack.encode(declaration))


def decode_declaration(data: bytes) -> AnyDeclaration:
    """The declaration that `encode_declaration` wrote."""
    declaration: AnyDeclaration = msgspec.msgpack.decode(expand(data), type=AnyDeclaration)
    return declaration


def object_key(cluster: str, key: Key) -> bytes:
    """The key of an object in the databases."""
    text = f"{cluster}\0{key[0].value}\0{key[1]}\0{key[2]}".encode()
    if len(text) <= _MAX_KEY:
        return text
    return text[: _MAX_KEY - 32] + hashlib.blake2b(text, digest_size=32).digest()
