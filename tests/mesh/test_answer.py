"""What an answer records of its choice and of its provenance, and what version 0.1 wrote of the same."""

from ipaddress import ip_address

import msgspec
import pytest

from meshdns.mesh.answer import Answer, AnswerKind, decode_answer, encode_answer
from meshdns.mesh.deflate import decompress
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.references import (
    ADDRESSES_FIELD,
    ENDPOINTS_FIELD,
    HOSTS_FIELD,
    RECORDS_FIELD,
    SETTINGS,
    WHOLE_OBJECT,
    FieldRef,
    ObjectRef,
    decode_reference,
    encode_reference,
)
from tests.mesh.answer_scene import answer_scene, recorded_answers

ANSWERS = {name: answer for name, answer in answer_scene().refresh().items() if answer is not None}


def without_lacks(answer: Answer) -> Answer:
    """The answer without what version 0.1 did not record: why a candidate has no address, and the labels of pods."""
    candidates = tuple(msgspec.structs.replace(each, lack="", dead_host="", pod_label="") for each in answer.candidates)
    return msgspec.structs.replace(answer, candidates=candidates)


def object_ref(kind: ObjectKind, name: str) -> ObjectRef:
    """An object of the namespace that all objects of the scene are in."""
    return ObjectRef(kind, "prod", name)


ENTRY, SERVICE = ObjectKind.SERVICE_ENTRY, ObjectKind.SERVICE
WORKLOAD, POD = object_ref(ObjectKind.WORKLOAD_ENTRY, "vm"), object_ref(ObjectKind.POD, "db-0")


@pytest.mark.parametrize(
    ("name", "index", "origin", "field", "text"),
    [
        (
            "many",
            2,
            object_ref(ENTRY, "many"),
            FieldRef(ENDPOINTS_FIELD, 2),
            "ServiceEntry prod/many spec.endpoints[2]",
        ),
        ("db", 0, object_ref(ENTRY, "db"), FieldRef(selected=WORKLOAD), "ServiceEntry prod/db WorkloadEntry prod/vm"),
        ("db", 1, object_ref(ENTRY, "db"), FieldRef(selected=POD), "ServiceEntry prod/db Pod prod/db-0"),
        ("db", 3, object_ref(ENTRY, "all"), FieldRef(ADDRESSES_FIELD, 1), "ServiceEntry prod/all spec.addresses[1]"),
        ("vip", 0, object_ref(ENTRY, "vip"), FieldRef(ADDRESSES_FIELD), "ServiceEntry prod/vip spec.addresses"),
        ("self", 0, object_ref(ENTRY, "self"), FieldRef(HOSTS_FIELD), "ServiceEntry prod/self spec.hosts"),
        ("reviews", 0, object_ref(SERVICE, "reviews"), WHOLE_OBJECT, "Service prod/reviews "),
        (
            "reviews-0.reviews",
            0,
            object_ref(SERVICE, "reviews"),
            FieldRef("reviews-0"),
            "Service prod/reviews reviews-0",
        ),
        ("fixed", 0, SETTINGS, FieldRef(RECORDS_FIELD), "settings records"),
    ],
)
def test_a_candidate_names_its_object_and_the_part_of_it(
    name: str, index: int, origin: ObjectRef, field: FieldRef, text: str
) -> None:
    """Both are values, and read as they always did."""
    candidate = ANSWERS[f"{name}.prod.global"].candidates[index]
    assert (candidate.origin, candidate.field) == (origin, field)
    assert f"{candidate.origin} {candidate.field}" == text


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("many", tuple(range(15))),  # the cap leaves two of the group out
        ("far", (1, 3)),  # the other gateway is not healthy
        ("both", (0,)),  # the order prefers north, although south has the same address
        ("down", (2, 3)),  # the Service is not ready
        ("wait", (2, 3)),
        ("self", ()),  # pending
    ],
)
def test_the_answer_records_what_it_chose(name: str, chosen: tuple[int, ...]) -> None:
    """The indexes of exactly those candidates that the answer was made of."""
    assert ANSWERS[f"{name}.prod.global"].chosen == chosen


def test_what_is_encoded_is_decoded_the_same() -> None:
    """Nothing is lost on the way through the database."""
    assert {name: decode_answer(encode_answer(answer)) for name, answer in ANSWERS.items()} == ANSWERS


@pytest.mark.parametrize("name", recorded_answers())
def test_an_answer_of_version_0_1_is_read(name: str) -> None:
    """It has the same candidates; what it chose, which was not recorded, follows from its addresses."""
    answer = decode_answer(recorded_answers()[name])
    if name.startswith("*."):  # of which no more names are made
        answer = msgspec.structs.replace(answer, parts=())
    unrecorded = {"chosen": (0, 1)} if name == "both.prod.global" else {}  # which of two equal addresses is not known
    assert answer == msgspec.structs.replace(without_lacks(ANSWERS[name]), **unrecorded)


@pytest.mark.parametrize("name", recorded_answers())
def test_version_0_1_reads_what_is_written_now(name: str) -> None:
    """After a rollback: there is one key more, of each candidate three items more, and all else is as it wrote it.

    A wildcard has no names by cluster any more.
    """
    found = msgspec.msgpack.decode(decompress(encode_answer(ANSWERS[name])))
    found.pop("chosen", None)
    for candidate in found.get("considered", ()):
        lack, dead_host, label = candidate[-3:]
        del candidate[-3:]
        assert (lack, dead_host) == ("", "") or not candidate[5]  # of candidates without an address alone
        assert not label or candidate[2] == "Service prod/reviews"
    recorded = msgspec.msgpack.decode(decompress(recorded_answers()[name]))
    if name.startswith("*."):
        del recorded["parts"]
    assert found == recorded


def test_a_kind_of_a_later_version_is_kept_as_text() -> None:
    """After a rollback an object of a kind that is not known here is named all the same."""
    later = ObjectRef.parse("VirtualService prod/reviews")
    assert (later.kind, str(later)) == (None, "VirtualService prod/reviews")
    assert str(FieldRef.parse("VirtualService prod/reviews")) == "VirtualService prod/reviews"


def test_only_references_are_encoded_as_text() -> None:
    """Any other value without a form of its own is a mistake."""
    with pytest.raises(NotImplementedError):
        encode_reference(object())
    with pytest.raises(NotImplementedError):
        decode_reference(object, "ServiceEntry prod/reviews")


def test_the_chosen_candidates_have_the_addresses_of_the_answer() -> None:
    """Those of an answer that version 0.1 wrote as well."""
    for name, answer in [*ANSWERS.items(), *((name, decode_answer(d)) for name, d in recorded_answers().items())]:
        chosen = {ip_address(answer.candidates[index].address) for index in answer.chosen}
        assert chosen == set(map(ip_address, (*answer.ipv4, *answer.ipv6))), name


def test_an_answer_without_addresses_chose_nothing() -> None:
    """There is nothing to derive for it, whoever wrote it."""
    assert decode_answer(encode_answer(Answer(AnswerKind.NODATA))).chosen == ()
