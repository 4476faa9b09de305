"""Encoder of the rows of answers; it numbers the clusters that rows name."""

from collections.abc import Sequence
from typing import Final

from meshdns.authority import row_format
from meshdns.authority.row_format import ClusterPart, RowService, RowStatus, SynthesisData
from meshdns.dns import records
from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.dns.response import record
from meshdns.mesh.addresses import parse_address
from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.candidates import Level
from meshdns.mesh.settings import MeshSettings

_ROW_STATUS: Final = {
    AnswerKind.ADDRESSES: RowStatus.DATA,
    AnswerKind.NODATA: RowStatus.DATA,
    AnswerKind.PENDING: RowStatus.PENDING,
    AnswerKind.FORWARD: RowStatus.FORWARD,
}

PENDING_ROW: Final = row_format.encode_row(RowStatus.PENDING, {}, ttl=0)
"""The row of a name of which nothing is known but that it exists: SERVFAIL."""

RowContent = tuple[tuple[object, ...], tuple[object, ...]]
"""All of an answer that its row holds."""


class RowEncoder:
    """Encodes rows. The number of a cluster in `cluster_ids` never changes while the name database exists."""

    def __init__(self, settings: MeshSettings) -> None:
        self.cluster_ids: dict[str, int] = {}
        self._settings = settings

    def row(self, answer: Answer, encoded_rows: dict[RowContent, bytes]) -> bytes:
        """The row of an answer; names with the same addresses, ports and clusters share one of `encoded_rows`."""
        static = answer.level is Level.STATIC
        served = (
            (answer.outcome, answer.level, answer.ttl, answer.ipv4, answer.ipv6, answer.is_declared),
            (answer.clusters, answer.parts, answer.services, answer.records),
        )
        row = encoded_rows.get(served)
        if row is None:
            row = encoded_rows[served] = self._encode_row(answer, static=static)
        return row

    def _encode_row(self, answer: Answer, *, static: bool) -> bytes:
        rrsets = _address_rrsets(answer.ipv4, answer.ipv6)
        for own in answer.records:
            rtype, rdata = records.encode_rdata(own.type, own.value)
            rrsets.setdefault(rtype, []).append(rdata)
        addresses = answer.outcome is AnswerKind.ADDRESSES
        ttl = answer.ttl if addresses or not answer.records else answer.records[0].ttl
        is_lacking = answer.outcome is AnswerKind.NODATA and answer.is_declared
        status = RowStatus.DECLARED if is_lacking else _ROW_STATUS[answer.outcome]
        return row_format.encode_row(
            RowStatus.DATA if rrsets else status,
            rrsets,
            ttl=ttl,
            clusters=[self.cluster_id(name) for name in answer.clusters if name],
            static=static,
            level=answer.level or 0,
            synthesis=self._blocks(answer) if answer.parts or answer.services else None,
        )

    def _blocks(self, answer: Answer) -> SynthesisData:
        """What further names are made of: by cluster, and SRV."""
        return SynthesisData(
            parts=tuple(
                ClusterPart(
                    self._cluster_label(part.cluster),
                    part.port,
                    {
                        rtype: (len(rdatas), b"".join(record(rtype, answer.ttl, rdata) for rdata in rdatas))
                        for rtype, rdatas in _address_rrsets(part.ipv4, part.ipv6).items()
                    },
                )
                for part in answer.parts
                if self._cluster_label(part.cluster)
            ),
            services=tuple(
                RowService(
                    service.name.lower().encode(),
                    service.protocol.encode(),
                    answer.ttl,
                    tuple(
                        (port, self._cluster_label(cluster) if cluster else b"") for port, cluster in service.targets
                    ),
                    tuple((port, label.encode()) for port, label in service.pods),
                )
                for service in answer.services
            ),
        )

    def _cluster_label(self, cluster: str) -> bytes:
        """The label of a cluster in names; empty if it has none."""
        return self._settings.cluster_label(cluster).encode()

    def cluster_id(self, cluster: str) -> int:
        """The number of a cluster in rows."""
        return self.cluster_ids.setdefault(cluster, len(self.cluster_ids))


def _address_rrsets(ipv4: Sequence[str], ipv6: Sequence[str]) -> dict[int, list[bytes]]:
    return {
        rtype: [address.packed for text in texts if (address := parse_address(text)) is not None]
        for rtype, texts in ((TYPE_A, ipv4), (TYPE_AAAA, ipv6))
        if texts
    }
