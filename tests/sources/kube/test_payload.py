"""What refusals are told as."""

import json
import tracemalloc
from collections.abc import Iterable

import pytest

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.kube.payload import ApiStatus, PayloadError, decode_page, refusal_reason
from meshdns.sources.kube.resources import RESOURCES


def test_a_kind_that_a_cluster_need_not_have_is_no_reason_to_doubt_the_address() -> None:
    """Where a watch on ServiceEntries ends with 404, the CRD was deleted; without Services it is no Kubernetes API."""
    assert "install its CRD again" in refusal_reason(RESOURCES[ObjectKind.SERVICE_ENTRY], ApiStatus(404))
    assert "check that the address is a Kubernetes API server" in refusal_reason(
        RESOURCES[ObjectKind.SERVICE], ApiStatus(404)
    )


def long_page(items: Iterable[str], separator: str = ",") -> bytearray:
    """A page with these objects, as JSON."""
    return bytearray(('{"metadata":{"resourceVersion":"5"},"items":[' + separator.join(items) + "]}").encode())


def service_entry(number: int, size: int) -> str:
    """A ServiceEntry whose annotation has about so many octets, and holds what stands between two objects."""
    between = '},{"metadata"},{"apiVersion":"a","kind"'
    metadata = {"name": f"e{number}", "annotations": {"a": between + "y" * size}}
    nested = [{"name": "a", "kind": "b"}, {"name": "c"}]
    return json.dumps(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": metadata,
            "spec": {"ports": nested},
        }
    )


@pytest.mark.parametrize("separator", [",", ", ", " ,\n "])
@pytest.mark.parametrize(
    "sizes", [[1400] * 2000, [2**20 - 500, 100] * 3, [3 * 2**20, 2**20, 10, 2 * 2**20], [10] * 7000]
)
def test_a_long_page_is_cut_between_its_objects(sizes: list[int], separator: str) -> None:
    """Whatever their sizes and what their strings hold, each object is there once, in order, and whole."""
    texts = [service_entry(number, size) for number, size in enumerate(sizes)]
    page = decode_page(long_page(texts, separator))
    assert [json.loads(bytes(item)) for item in page.items] == [json.loads(text) for text in texts]


TINY = {
    "numbers": b"0," * 2_000_000 + b"0",
    "empty objects": b"{}," * 900_000 + b"{}",
    "metadata alone": b'{"metadata":0},' * 200_000 + b"{}",
    "one string": b'"' + b"a" * (17 * 2**20) + b'"',
    "many numbers": b"0," * 9_000_000 + b"0",
}


@pytest.mark.parametrize("case", TINY)
def test_a_page_makes_no_more_objects_than_its_octets_allow(case: str) -> None:
    """Memory for millions of objects is not taken before it is known that no API server sends such."""
    body = bytearray(b'{"metadata":{"resourceVersion":"5"},"items":[' + TINY[case] + b"]}")
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError):
            decode_page(body)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(body) + 2**20
    finally:
        tracemalloc.stop()


def test_a_token_that_fits_into_no_request_is_refused() -> None:
    """It would be sent back with the next page."""
    with pytest.raises(PayloadError, match="a token of more than 65536 characters"):
        decode_page(json.dumps({"metadata": {"resourceVersion": "5", "continue": "a" * 70_000}, "items": []}).encode())
