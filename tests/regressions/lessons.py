"""What other servers' vulnerabilities teach, and the tests that hold meshdns to it.

A row: the product, the CVEs, the lesson, and the tests as ``file::function`` below ``tests``. What does not apply here
stands in `NOT_APPLICABLE` with the reason.
"""

from typing import Final, NamedTuple


class Lesson(NamedTuple):
    """One row."""

    product: str
    cves: tuple[str, ...]
    lesson: str
    tests: tuple[str, ...]


_HOSTILE: Final = "upstream/test_lying_server.py::"
_STREAMS: Final = "worker/test_tcp_server.py::"
_REPLY: Final = "dns/test_reply.py::"
_FORWARDER: Final = "upstream/test_forwarder.py::"
_CACHE: Final = "forwarding/test_cache.py::"
_OWN: Final = "regressions/test_lessons.py::"

LESSONS: Final = (
    Lesson(
        "CoreDNS",
        ("2022-2835", "2022-2837"),
        "a declaration must not redirect names that are not its own",
        ("zones/test_golden.py::test_a_situation_is_served_as_its_master_file_says",),
    ),
    Lesson(
        "CoreDNS",
        ("2023-30464",),
        "one query in flight for identical questions",
        (_FORWARDER + "test_a_thousand_identical_questions_make_one_upstream_query",),
    ),
    Lesson(
        "CoreDNS, dnspython, ldns",
        ("2023-28452", "2023-29483", "2026-10846"),
        "a malformed reply does not end the wait for the valid one",
        (_HOSTILE + "test_a_client_hears_the_truth_or_of_a_failure",),
    ),
    Lesson(
        "CoreDNS",
        ("2024-0874",),
        "CD and DO are part of the cache's key",
        (_FORWARDER + "test_questions_that_differ_in_do_cd_or_type_are_asked_apart",),
    ),
    Lesson(
        "CoreDNS",
        ("2025-47950", "2025-68151", "2026-32934"),
        "every transport has limits of number, size and time",
        (
            _STREAMS + "test_connections_of_one_client_are_bounded",
            _STREAMS + "test_unfinished_queries_of_all_connections_are_bounded",
            _STREAMS + "test_untaken_replies_of_one_connection_are_bounded",
            _STREAMS + "test_octets_that_dribble_in_keep_no_connection",
            _STREAMS + "test_the_idlest_connection_gives_way",
        ),
    ),
    Lesson(
        "CoreDNS",
        ("2025-58063",),
        "what is taken for a TTL is one, and has a bound",
        (_REPLY + "test_ttls_are_capped_and_the_top_bit_means_0",),
    ),
    Lesson(
        "CoreDNS",
        ("2026-26017", "2026-33190", "2026-35579"),
        "who may ask is checked for every transport and every way to an answer",
        ("worker/test_udp_transports.py::test_strangers_are_refused", _OWN + "test_strangers_are_refused_over_tcp"),
    ),
    Lesson(
        "CoreDNS",
        ("2026-26018",),
        "no name that is received ends the process, and loops end by themselves",
        (
            _FORWARDER + "test_a_query_that_was_here_before_is_refused",
            "e2e/test_hostile_clients.py::test_mutated_datagrams_move_nobody",
        ),
    ),
    Lesson(
        "CoreDNS",
        ("2026-82399", "2026-86003"),
        "counts and opcode are judged before anything is unpacked, on every transport",
        (_OWN + "test_a_header_is_judged_first", _OWN + "test_other_opcodes_reach_no_upstream"),
    ),
    Lesson(
        "dnsmasq",
        ("2020-25681", "2020-25687", "2021-3448"),
        "a reply must match in address, port, id and question; ports and ids are drawn afresh",
        (
            _REPLY + "test_what_does_not_echo_the_question_is_told_apart",
            _FORWARDER + "test_ports_and_ids_are_hard_to_guess",
        ),
    ),
    Lesson(
        "dnsmasq",
        ("2023-28450",),
        "1232 octets are announced",
        ("forwarding/test_policy.py::test_the_query_has_rd_and_our_size",),
    ),
    Lesson(
        "dnsmasq",
        ("2023-49441", "2026-2291", "2026-4890"),
        "names are read within their bounds, whatever lengths they claim",
        ("dns/test_query.py::test_refusals", _REPLY + "test_names_of_255_octets_are_read_and_longer_ones_refused"),
    ),
    Lesson(
        "dnsmasq",
        ("2026-4893",),
        "an address in an option (ECS) says nothing about who asks, and travels nowhere",
        (_OWN + "test_a_client_subnet_opens_nothing", _FORWARDER + "test_no_option_of_the_client_reaches_the_upstream"),
    ),
    Lesson(
        "Unbound, BIND",
        ("2024-8508", "2026-44390", "2023-4408"),
        "the work for names is bounded by the message, in reading and in writing",
        (
            _REPLY + "test_a_name_bomb_costs_no_more_than_as_many_plain_names",
            _REPLY + "test_the_walk_over_a_message_of_labels_is_cut_off",
            "fuzz/test_cost.py::test_the_most_expensive_messages_that_are_known_are_cheap",
        ),
    ),
    Lesson(
        "Unbound",
        ("2024-33655", "2026-42534"),
        "answers are not gathered for one client, and no way leads around the bound",
        (
            _FORWARDER + "test_one_client_cannot_have_more_than_its_share_wait",
            _FORWARDER + "test_more_clients_than_may_wait_are_refused_at_once",
            _STREAMS + "test_pending_forwards_are_bounded",
        ),
    ),
    Lesson(
        "Unbound",
        ("2026-41292", "2026-42944"),
        "hundreds of EDNS options cost no more than their octets",
        ("dns/test_query.py::test_what_may_be_answered", _OWN + "test_options_without_end_are_cheap"),
    ),
    Lesson(
        "Unbound",
        ("2026-44687",),
        "a denial by one route says nothing about names of another",
        (_OWN + "test_a_denial_of_one_route_is_not_of_another",),
    ),
    Lesson(
        "Unbound, BIND",
        ("2026-46582", "2025-40777"),
        "what is told stale is what was kept, and gives way",
        (
            _CACHE + "test_a_failure_does_not_cost_the_last_good_answer",
            _FORWARDER + "test_a_stale_answer_gives_way_to_a_fresh_one",
        ),
    ),
    Lesson(
        "Unbound, BIND",
        ("2026-50252", "2025-40780"),
        "ids and ports come from the system's source of chance",
        (
            _FORWARDER + "test_ports_and_ids_are_hard_to_guess",
            "upstream/test_parts.py::test_random_numbers_are_spread_evenly",
        ),
    ),
    Lesson(
        "Unbound",
        ("2026-50046",),
        "a reply to a client that is gone harms nobody",
        (
            _STREAMS + "test_reset_connection_costs_nothing",
            "worker/test_udp_transports.py::test_forwarded_reply_to_nobody_harms_nobody",
        ),
    ),
    Lesson(
        "PowerDNS",
        ("2025-59030",),
        "NOTIFY changes nothing, over TCP as well",
        (_OWN + "test_notify_over_tcp_changes_nothing",),
    ),
    Lesson(
        "PowerDNS",
        ("2026-42389",),
        "all fields of a reply's header are checked",
        (_REPLY + "test_what_does_not_echo_the_question_is_told_apart",),
    ),
    Lesson(
        "PowerDNS",
        ("2026-52690",),
        "what one packet says about an upstream's abilities holds for its question alone",
        (_OWN + "test_one_packet_does_not_take_edns_from_an_upstream",),
    ),
    Lesson(
        "PowerDNS",
        ("2026-52682",),
        "no crafted packet costs more than its bound",
        ("fuzz/test_cost.py::test_the_most_expensive_messages_that_are_known_are_cheap",),
    ),
    Lesson(
        "BIND",
        ("2024-1737",),
        "records of one message have a bound",
        (_REPLY + "test_more_records_than_the_bound_are_refused",),
    ),
    Lesson(
        "BIND",
        ("2025-40778",),
        "records that nobody asked for are not believed",
        (_HOSTILE + "test_no_forgery_reaches_a_client", _REPLY + "test_what_is_believed_of_a_well_formed_reply"),
    ),
    Lesson(
        "BIND",
        ("2026-11622",),
        "memory is bounded while it is attacked, expired entries included",
        (_CACHE + "test_the_budget_bounds_what_is_kept", "worker/test_responder.py::test_memory_is_bounded"),
    ),
    Lesson(
        "dnslib",
        ("2022-22846",),
        "dnslib sees nothing that came over the network",
        ("test_architecture.py::test_import_contracts_hold",),
    ),
    Lesson(
        "CPython",
        ("2022-45061",),
        "no name goes through the idna codec, and long ones are refused at once",
        (_OWN + "test_no_name_goes_through_idna", _OWN + "test_a_host_of_a_million_octets_is_refused_at_once"),
    ),
    Lesson(
        "CoreDNS",
        ("2026-32936",),
        "sizes are bounded before anything is decoded",
        (
            "config/test_broken.py::test_a_file_too_large_is_refused",
            _STREAMS + "test_unfinished_queries_of_all_connections_are_bounded",
        ),
    ),
    Lesson(
        "aiohttp",
        ("2024-30251", "2025-53643", "2026-22815"),
        "no version is installed that has them",
        (_OWN + "test_aiohttp_is_new_enough",),
    ),
    Lesson(
        "PyYAML",
        ("2020-14343",),
        "YAML from outside makes plain values and nothing else",
        ("sources/test_documents.py::test_what_cannot_be_read_is_refused_with_its_line",),
    ),
)

NOT_APPLICABLE: Final = {
    "2026-54478": "the PROXY protocol is not spoken",
    "2024-23334": "aiohttp serves no files here",
    "2024-52304": "aiohttp parses no requests here: it is a client",
}
