"""The rows of the conformance checklist for authority, EDNS and transport, and what shows each.

A row is shown by its cases of `cases.CASES`, which begin with its number, or by named tests of the suite, or by
behaviours of the hostile upstream.
"""

from typing import Final, NamedTuple

from tests.conformance.cases import CASES, Dig, Raw


class Row(NamedTuple):
    """A requirement, its RFCs, tests beside the cases (``file::test``), and why it does not apply, if so."""

    what: str
    source: str
    tests: tuple[str, ...] = ()
    apart: str = ""


_QUERY: Final = "tests/dns/test_query.py"
_RESPONSE: Final = "tests/dns/test_response.py"
_REPLY: Final = "tests/dns/test_reply.py"
_COOKIES: Final = "tests/dns/test_cookies.py"
_AUTHORITY: Final = "tests/authority/test_authority.py"
_CHAOS: Final = "tests/authority/test_chaos.py"
_STREAMS: Final = "tests/worker/test_tcp_server.py"
_LOCAL: Final = "tests/worker/test_local_answers.py"
_FORWARDER: Final = "tests/upstream/test_forwarder.py"
_HOSTILE: Final = "tests/upstream/test_lying_server.py"
_HOT_PATH: Final = "tests/e2e/test_hot_path.py"
_THROUGH: Final = "tests/e2e/test_through_peers.py"
_HEARD: Final = f"{_HOSTILE}::test_a_client_hears_the_truth_or_of_a_failure"
_NO_ALIASES: Final = (
    "a mesh zone holds no CNAME: answers are addresses, and records of the settings that are no aliases"
)

ROWS: Final[dict[int, Row]] = {
    1: Row(
        "id, opcode and RD are copied, Z is 0",
        "RFC 1035 4.1.1",
        (f"{_RESPONSE}::test_rd_and_cd_are_copied_and_nothing_else",),
    ),
    2: Row(
        "one question, else FORMERR",
        "RFC 9619 4",
        (f"{_COOKIES}::test_only_a_cookie_excuses_a_query_without_a_question",),
    ),
    3: Row("a response is dropped", "RFC 1035 4.1.1", (f"{_QUERY}::test_silence",)),
    4: Row("less than a header is dropped", "RFC 1035 4.1.1", (f"{_QUERY}::test_silence",)),
    5: Row("labels of 63 octets, names of 255", "RFC 1035 2.3.4"),
    6: Row("label types 01 and 10 are refused", "RFC 6891 5"),
    7: Row("no pointers in a question", "RFC 9267 2"),
    8: Row("any octet in a label", "RFC 2181 11"),
    9: Row("the question comes back in its letter case", "RFC 4343 4.1"),
    10: Row(
        "octets behind the message are ignored",
        "RFC 1035 4.1",
        (f"{_QUERY}::test_the_question_ends_where_trailing_octets_begin",),
    ),
    11: Row("no other sections in a query", "RFC 1035 4.1"),
    12: Row("unknown opcodes are NOTIMP", "RFC 8906 8.1.4"),
    13: Row("IQUERY, STATUS, NOTIFY, UPDATE are not implemented, never forwarded", "RFC 2136, RFC 1996"),
    14: Row("DSO is not implemented", "RFC 8490 5.1"),
    15: Row("other classes are refused", "RFC 1035 3.2.4"),
    16: Row("meta types are no data", "RFC 6895 3.1"),
    17: Row(
        "the version is told only where it is wished",
        "RFC 4892",
        (f"{_CHAOS}::test_the_four_names_are_told_where_they_may_be",),
    ),
    18: Row(
        "replies leave from the address that was asked",
        "RFC 2181 4",
        (f"{_HOT_PATH}::test_reply_leaves_from_the_address_that_was_asked",),
    ),
    19: Row(
        "unknown types are answered and forwarded",
        "RFC 3597",
        (f"{_REPLY}::test_unknown_types_are_relayed_octet_by_octet",),
    ),
    20: Row(
        "no compression in RDATA of newer types", "RFC 3597 4", (f"{_AUTHORITY}::test_every_reply_is_a_valid_message",)
    ),
    21: Row(
        "TTLs with the top bit are 0, others capped",
        "RFC 2181 8",
        (f"{_REPLY}::test_ttls_are_capped_and_the_top_bit_means_0",),
    ),
    22: Row(
        "one TTL in an RRset, no duplicates",
        "RFC 2181 5",
        ("tests/conformance/test_zones.py::test_meshdns_answers_as_nsd_with_the_zone_it_prints",),
    ),
    23: Row("a CNAME stands alone", "RFC 2181 10.1", apart=_NO_ALIASES),
    24: Row("a positive answer with AA", "RFC 1034 4.3.1"),
    25: Row("a known name without the type: no data, SOA", "RFC 2308 2.2"),
    26: Row("an unknown name: NXDOMAIN, SOA", "RFC 2308 2.1"),
    27: Row("empty non-terminals exist", "RFC 4592 2.2.2"),
    28: Row("a wildcard covers several labels, under the asked name", "RFC 4592 3.3.1"),
    29: Row("a wildcard does not cover its parent", "RFC 4592 2.1.1"),
    30: Row(
        "the closest encloser decides, where the settings say so",
        "RFC 4592 3.3.1",
        (f"{_AUTHORITY}::test_wildcards_by_rfc_4592",),
    ),
    31: Row("an alias under a wildcard has the asked name", "RFC 4592 4.4", apart=_NO_ALIASES),
    32: Row("aliases are followed in the zone", "RFC 1034 3.6.2", apart=_NO_ALIASES),
    33: Row("outside the zones: refused without RD", "RFC 8906 3"),
    34: Row("DNSSEC types of an unsigned zone: no data", "RFC 4035 3.1.4.1"),
    35: Row("ANY is one RRset", "RFC 8482 4"),
    36: Row(
        "SOA and NS at the apex", "RFC 1034 4.2.1", ("tests/zones/test_golden.py::test_what_is_printed_is_a_zone",)
    ),
    37: Row("NSID where it is asked for", "RFC 5001 2", (f"{_AUTHORITY}::test_nsid_says_which_instance_answers",)),
    38: Row(
        "an upstream's denial never hides a name of ours",
        "RFC 8020 3",
        (f"{_THROUGH}::test_a_denial_by_the_upstream_hides_no_name_below",),
    ),
    39: Row("an OPT for an OPT, in errors too", "RFC 6891 7"),
    40: Row("versions above 0 are BADVERS", "RFC 6891 6.1.3"),
    41: Row("unknown options and flags are ignored", "RFC 6891 6.1.2"),
    42: Row("a malformed OPT is FORMERR", "RFC 6891 6.1.1"),
    43: Row("sizes below 512 mean 512, ours is 1232", "RFC 6891 6.2.3", (f"{_QUERY}::test_the_udp_size_has_bounds",)),
    44: Row("TC keeps question and OPT", "RFC 2181 9", (f"{_RESPONSE}::test_truncation_keeps_question_and_opt",)),
    45: Row("no fragments", "RFC 9715 3.1", (f"{_QUERY}::test_the_udp_size_has_bounds",)),
    46: Row("DO comes back", "RFC 3225 3"),
    47: Row(
        "NSID goes no further", "RFC 5001 2.1", (f"{_FORWARDER}::test_no_option_of_the_client_reaches_the_upstream",)
    ),
    48: Row(
        "cookies",
        "RFC 7873 5.2",
        (
            f"{_LOCAL}::test_a_client_cookie_is_answered_with_a_full_one",
            f"{_LOCAL}::test_a_bad_server_cookie_costs_no_answer",
        ),
    ),
    49: Row(
        "server cookies of one layout",
        "RFC 9018 4",
        (
            f"{_COOKIES}::test_a_cookie_has_the_layout_of_rfc_9018",
            f"{_COOKIES}::test_a_cookie_of_one_server_is_good_at_another_with_its_secret",
        ),
    ),
    50: Row(
        "keepalive over TCP alone",
        "RFC 7828 3.2",
        (f"{_RESPONSE}::test_keepalive_comes_only_over_tcp_and_where_asked",),
    ),
    51: Row(
        "padding on encrypted channels", "RFC 7830 4", apart="clients ask over UDP and TCP, which are not encrypted"
    ),
    52: Row("extended errors", "RFC 8914 2", (f"{_AUTHORITY}::test_the_table", _HEARD)),
    53: Row(
        "no client subnet upstream",
        "RFC 7871 11",
        (f"{_FORWARDER}::test_no_option_of_the_client_reaches_the_upstream",),
    ),
    54: Row("many options cost little", "CVE-2026-41292"),
    55: Row("TCP as UDP", "RFC 7766 5"),
    56: Row(
        "pipelining, replies as they are ready",
        "RFC 7766 7",
        (
            f"{_STREAMS}::test_pipelined_queries_are_all_answered",
            f"{_STREAMS}::test_forwarded_replies_overtake_nobody_who_is_ready",
        ),
    ),
    57: Row("messages in pieces", "RFC 7766 8", (f"{_STREAMS}::test_dribble_is_put_together",)),
    58: Row(
        "idle limits, half-closed connections",
        "RFC 7766 6.2.3",
        (
            f"{_STREAMS}::test_idle_connection_is_closed_and_a_waiting_one_is_not",
            f"{_STREAMS}::test_half_closed_connection_gets_everything_first",
        ),
    ),
    59: Row(
        "bounded connections",
        "RFC 9210 4.1",
        (
            f"{_STREAMS}::test_connections_of_one_client_are_bounded",
            f"{_STREAMS}::test_the_idlest_connection_gives_way",
        ),
    ),
    60: Row("TC upstream means TCP", "RFC 7766 5", (_HEARD,)),
    61: Row("TCP upstream: id and question count", "RFC 7766 6.2.4", (_HEARD,)),
    62: Row(
        "DNS over TLS to an upstream, by its name",
        "RFC 8310",
        ("tests/upstream/test_tls.py::test_a_server_that_cannot_prove_its_name_gets_no_question",),
    ),
}


def cases_of(number: int) -> list[Raw | Dig]:
    """The cases that show a row."""
    return [case for case in CASES if case.row.split()[0] == str(number)]
