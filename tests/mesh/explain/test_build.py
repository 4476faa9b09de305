"""Explanations: what is said of a name must be what was decided, and to whom others lost."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import pytest

from meshdns.dns.presentation import PresentationRecord, PresentationReply
from meshdns.mesh.answer import Answer
from meshdns.mesh.diagnostics import check_answer
from meshdns.mesh.explain.build import MAX_COMPARED_NAMES, explain, nearest_names
from meshdns.mesh.explain.model import (
    EndpointResult,
    ExplainedZone,
    Explanation,
    ForwardZone,
    GatewayState,
    MatchKind,
    Refusal,
    Vantage,
)
from meshdns.mesh.explain.text import render_text
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.mesh.objects.references import ObjectRef
from meshdns.mesh.passthrough import Passthrough
from meshdns.mesh.settings import MeshSettings, MeshZone
from meshdns.mesh.topology import topology_problems
from tests.mesh.scene import (
    endpoint_slice,
    entry,
    gateway,
    mesh,
    name_table,
    on_networks,
    passthrough_gateway,
    service,
    system_namespace,
    workload_entry,
)

HOST = "reviews.prod.global"
FOUND = PresentationReply("NOERROR", authoritative=True, records=(PresentationRecord("A", 30, "203.0.113.7"),))
NODATA = PresentationReply("NOERROR", authoritative=True, negative_ttl=5)
NXDOMAIN = PresentationReply("NXDOMAIN", authoritative=True, negative_ttl=5)
VANTAGE = Vantage(
    cluster="east",
    network="net-east",
    zones=(ExplainedZone("global"),),
    forward=(ForwardZone(".", ("192.0.2.53",)), ForwardZone("corp.example", ("192.0.2.54",))),
)
Scene = Mapping[str, Sequence[AnyDeclaration]]


class SceneContext:
    """The surroundings of a name in a small mesh."""

    def __init__(self, made: NameTable, gateways: Sequence[GatewayState], refusals: Sequence[Refusal]) -> None:
        self._catalog = made
        self._answers = made.refresh()
        self._gateways = gateways
        self._refusals = refusals

    def answer(self, owner: str) -> Answer | None:
        """The answer of exactly this owner name."""
        return self._answers.get(owner)

    def declaration(self, cluster: str, ref: ObjectRef) -> AnyDeclaration | None:
        """A declaration by its identity."""
        known = self._catalog.inventory.clusters.get(cluster)
        if known is None or ref.kind is None:
            return None
        return known.declarations.get((ref.kind, ref.namespace, ref.name))

    def problems(self, cluster: str, ref: ObjectRef) -> Sequence[Problem]:
        """What is wrong with a declaration, by itself and in what is made of it."""
        found = self.declaration(cluster, ref)
        own = found.problems if found is not None else ()
        return [*own, *(p for p in self._shown(cluster) if f"{p.object} {p.namespace}/{p.name}" == str(ref))]

    def _shown(self, cluster: str) -> list[Problem]:
        inventory, topology = self._catalog.inventory, self._catalog.topology
        shown = [*topology_problems(inventory, topology)]
        for name, answer in self._answers.items():
            shown += check_answer(name, answer, inventory, topology) if answer is not None else ()
        return [problem for its, problem in shown if its == cluster]

    def passthrough(self, cluster: str) -> Passthrough | None:
        """What the gateways of a cluster pass through."""
        return self._catalog.topology.passthrough.get(cluster)

    def gateway_problems(self, cluster: str) -> Sequence[Problem]:
        """What is wrong with the gateway objects of a cluster."""
        found = topology_problems(self._catalog.inventory, self._catalog.topology)
        return [problem for its, problem in found if its == cluster]

    def gateways(self, cluster: str) -> Sequence[GatewayState]:
        """The gateways of a cluster."""
        return [each for each in self._gateways if each.cluster == cluster]

    def refusals(self, name: str) -> Iterator[Refusal]:  # noqa: ARG002 — the protocol's signature
        """The declarations that name a host but do not count."""
        yield from self._refusals


def explained(
    clusters: Scene,
    name: str = HOST,
    *,
    settings: MeshSettings | None = None,
    vantage: Vantage = VANTAGE,
    reply: PresentationReply | None = FOUND,
    rtype: str = "A",
    gateways: Sequence[GatewayState] = (),
    refusals: Sequence[Refusal] = (),
    is_of_zone: bool = False,
) -> Explanation:
    """The explanation of a name in a mesh seen from cluster east."""
    around = SceneContext(name_table(settings or mesh(), clusters), gateways, refusals)
    return explain(name, rtype, vantage=vantage, context=around, reply=reply, is_of_zone=is_of_zone)


def results(explanation: Explanation) -> list[tuple[str, str, EndpointResult, str]]:
    """Cluster, address, fate and reason of every endpoint."""
    return [
        (declaration.cluster, endpoint.address, endpoint.result, endpoint.reason)
        for declaration in explanation.declarations
        for endpoint in declaration.endpoints
    ]


class TestMatch:
    @pytest.mark.parametrize(
        ("name", "kind", "owner"),
        [
            ("api.shop.global", MatchKind.EXACT, "api.shop.global"),
            ("basket.shop.global", MatchKind.WILDCARD, "*.shop.global"),
            ("a.b.eu.shop.global", MatchKind.WILDCARD, "*.eu.shop.global"),
            ("pay.global", MatchKind.EMPTY_NON_TERMINAL, "pay.global"),
            ("global", MatchKind.APEX, "global"),
            ("ns.global", MatchKind.ZONE, ""),
            ("nosuch.global", MatchKind.NONE, ""),
            ("_http._udp.shop.global", MatchKind.NONE, ""),
            ("example.com", MatchKind.OUTSIDE, ""),
        ],
    )
    def test_names_are_matched_as_the_authority_does(self, name: str, kind: MatchKind, owner: str) -> None:
        """The owner name that speaks for a name is found in the authority's order."""
        match = explained(SHOP, name, reply=NXDOMAIN, is_of_zone=name == "ns.global").match
        assert (match.kind, match.owner) == (kind, owner)

    def test_what_was_more_and_less_specific_is_named(self) -> None:
        """A wildcard match names the owner names before it, which do not exist, and the wildcards it beat."""
        match = explained(SHOP, "a.eu.shop.global").match
        assert match.more_specific == ("a.eu.shop.global",)
        assert match.less_specific == ("*.shop.global",)

    def test_the_closest_encloser_stops_the_search(self) -> None:
        """With ``wildcards: dns`` a wildcard above an existing name covers nothing below that name."""
        strict = msgspec.structs.replace(VANTAGE, zones=(ExplainedZone("global", closest_encloser=True),))
        assert explained(SHOP, "x.api.shop.global", vantage=strict, reply=NXDOMAIN).match.kind is MatchKind.NONE
        assert explained(SHOP, "x.api.shop.global").match.owner == "*.shop.global"

    @pytest.mark.parametrize("name", ["ns.global", "pay.global"])
    def test_names_of_the_zone_itself_are_covered_by_no_wildcard(self, name: str) -> None:
        """They exist, as the authority says; one that is declared is answered as declared."""
        scene = {"east": [*SHOP["east"], entry("203.0.113.54", host="*.global", name="other")]}
        assert explained(scene, name, is_of_zone=True).match.kind is MatchKind.ZONE
        assert explained(scene, name).match.kind is MatchKind.WILDCARD
        assert explained(scene, "api.shop.global", is_of_zone=True).match.kind is MatchKind.EXACT

    def test_a_service_name_is_made_of_its_host(self) -> None:
        """An SRV name has no row of its own: it follows from its host, or from the wildcard that covers that."""
        srv = PresentationReply("NOERROR", authoritative=True, records=(PresentationRecord("SRV", 30, "0 1 443 x."),))
        exact = explained(SHOP, "_https._tcp.api.shop.global", rtype="SRV", reply=srv).match
        covered = explained(SHOP, "_https._tcp.basket.shop.global", rtype="SRV", reply=srv).match
        assert (exact.kind, exact.owner) == (MatchKind.SYNTHESIZED, "api.shop.global")
        assert (covered.kind, covered.owner) == (MatchKind.SYNTHESIZED, "*.shop.global")


class TestResults:
    def test_a_later_level_loses_to_the_one_that_answered(self) -> None:
        """The own cluster's ServiceEntry beats that of another cluster, which is told so."""
        scene = {"east": [entry("203.0.113.7")], "west": [entry("203.0.113.8")]}
        assert results(explained(scene)) == [
            ("east", "203.0.113.7", EndpointResult.CHOSEN, ""),
            ("west", "203.0.113.8", EndpointResult.LOST, "level 2 answered first: ServiceEntry prod/reviews of east"),
        ]

    def test_a_farther_group_loses_to_a_nearer_one(self) -> None:
        """Inside a level what is reached directly beats what is reached through a gateway."""
        scene = {
            "west": [entry("203.0.113.7", "10.0.0.7"), gateway("198.51.100.9")],
            "east": [system_namespace("net-east")],
        }
        lost = [reason for _, address, fate, reason in results(explained(scene)) if fate is EndpointResult.LOST]
        assert lost == ["a nearer one answers: ServiceEntry prod/reviews of west, reached directly"]

    def test_what_is_not_ready_loses(self) -> None:
        """A Service without ready endpoints loses to another cluster's that has some, level or not."""
        scene = {
            "east": [service(), endpoint_slice("10.4.0.7", ready=False)],
            "west": [service(ip="10.96.0.8"), endpoint_slice("10.4.0.8"), gateway("198.51.100.9")],
        }
        told = results(explained(scene))
        assert ("east", "10.96.0.7", EndpointResult.LOST, "not ready") in told
        assert ("west", "198.51.100.9", EndpointResult.CHOSEN, "") in told

    def test_where_nothing_is_ready_that_is_said(self) -> None:
        """Readiness that was ignored is named as such."""
        scene = {"east": [service(), endpoint_slice("10.4.0.7", ready=False)]}
        assert (
            "east",
            "10.96.0.7",
            EndpointResult.CHOSEN,
            "nothing anywhere is ready, so readiness is ignored",
        ) in results(explained(scene))

    def test_an_unhealthy_gateway_is_named(self) -> None:
        """What lost because its gateway does not answer the probe is told so, and the gateway is shown unhealthy."""
        scene = {"west": [entry("10.0.0.7"), gateway("198.51.100.9", "198.51.100.10")], "east": []}
        made = name_table(mesh(), scene)
        made.refresh()
        made.set_health("198.51.100.9", 15443, healthy=False)
        explanation = explain(HOST, "A", vantage=VANTAGE, context=SceneContext(made, (), ()), reply=FOUND)
        told = results(explanation)
        assert ("west", "198.51.100.9", EndpointResult.LOST, "its gateway is unhealthy") in told
        assert ("west", "198.51.100.10", EndpointResult.CHOSEN, "") in told
        assert "198.51.100.9, port 15443, unhealthy" in render_text(explanation)

    def test_the_order_of_the_zone_is_named(self) -> None:
        """What lost only because of the zone's ``order`` is told which cluster is preferred."""
        settings = mesh(zones=(MeshZone("global", order=("west",)),))
        ordered = msgspec.structs.replace(VANTAGE, zones=(ExplainedZone("global", order=("west",)),))
        scene = {"west": [entry("203.0.113.7")], "south": [entry("203.0.113.8")], "east": []}
        told = results(explained(scene, settings=settings, vantage=ordered))
        assert ("south", "203.0.113.8", EndpointResult.LOST, "the zone's order prefers west") in told

    def test_the_cap_is_named(self) -> None:
        """The sixteenth address of a family is told of the limit."""
        scene = {"east": [entry(*(f"203.0.113.{i}" for i in range(1, 17)))]}
        assert results(explained(scene))[-1][2:] == (
            EndpointResult.LOST,
            "at most 15 addresses of a family are answered",
        )

    def test_a_more_specific_host_is_named(self) -> None:
        """The own wildcard loses to the own exact name and is told to which."""
        scene = {
            "east": [entry("203.0.113.7"), entry("203.0.113.8", host="*.prod.global", name="all")],
        }
        assert results(explained(scene))[-1] == (
            "east",
            "203.0.113.8",
            EndpointResult.LOST,
            "a more specific host answered first: ServiceEntry prod/reviews of east",
        )

    def test_what_is_still_to_come_is_pending(self) -> None:
        """A host name that is not resolved yet is no loss, and the reason says what is awaited."""
        pending = PresentationReply("SERVFAIL", error_code=22, error="no address is known yet for this name")
        explanation = explained({"east": [entry("db.example.com")]}, reply=pending)
        assert results(explanation) == [("east", "", EndpointResult.PENDING, "no reply yet for db.example.com")]
        assert explanation.reason == "an address is still to come: cluster east: no reply yet for db.example.com"

    def test_a_missing_gateway_is_named(self) -> None:
        """A private endpoint of another network whose cluster has no gateway yields nothing, and says what to do."""
        explanation = explained({"west": [entry("10.0.0.7")], "east": []}, reply=NODATA)
        ((_, _, fate, reason),) = results(explanation)
        assert fate is EndpointResult.NO_ADDRESS
        assert reason == "cluster west has no gateway; set clusters.<name>.gateways"
        assert explanation.reason == (
            "it is declared, but nothing of it can be reached from here: cluster west: cluster west has no gateway"
        )

    def test_an_endpoint_shows_what_is_written_the_rule_and_its_gateway(self) -> None:
        """A private endpoint of another network shows its own address, the row, the gateway and its health."""
        sick = GatewayState("west", "198.51.100.9", 15443, "Service istio-system/gateway", healthy=False)
        scene = {"west": [entry("10.0.0.7"), gateway("198.51.100.9")], "east": []}
        explanation = explained(scene, settings=mesh(clusters=on_networks(west="w", east="e")), gateways=[sick])
        (endpoint,) = explanation.declarations[0].endpoints
        assert (endpoint.field, endpoint.written) == ("spec.endpoints[0]", "10.0.0.7")
        assert endpoint.rule == "a private address of another network: the cluster's gateways"
        assert endpoint.gateway == sick


class TestGateways:
    @pytest.mark.parametrize(
        ("passed", "lines"),
        [
            ((), ["west: for which hosts is not known: no Gateway of it is read that says so"]),
            (
                (passthrough_gateway("*.local"),),
                [
                    "west: port 15443, for *.local (IstioGateway istio-system/cross-network)",
                    "  -> reviews.prod.global. is not: clients get no further",
                ],
            ),
            (
                (passthrough_gateway("prod/*.global"),),
                [
                    "west: port 15443, for prod/*.global (IstioGateway istio-system/cross-network)",
                    "  -> reviews.prod.global. is among them",
                ],
            ),
            (
                (passthrough_gateway("*.global", port=443),),
                [
                    "west: for no host: no Gateway of it passes TLS through by itself",
                    "  -> reviews.prod.global. is not: clients get no further",
                ],
            ),
        ],
        ids=["not read", "other hosts", "the name", "another port"],
    )
    def test_what_the_gateways_can_carry_is_told(self, passed: Sequence[AnyDeclaration], lines: list[str]) -> None:
        """The hosts and the port that they pass TLS through for, and whether the name is one of them."""
        text = render_text(explained({"west": [entry("10.0.0.7"), gateway("198.51.100.9"), *passed], "east": []}))
        _, _, after = text.partition("What the gateways can carry: mesh TLS, passed through, and neither plain text")
        assert after.splitlines()[1 : len(lines) + 1] == [f"      {line}" for line in lines]

    def test_what_the_gateways_can_carry_is_there_for_machines(self) -> None:
        """The JSON form has each opening apart, and says whether the name gets through."""
        scene = {"west": [entry("10.0.0.7"), gateway("198.51.100.9"), passthrough_gateway("prod/*.local")], "east": []}
        (carriage,) = msgspec.json.decode(msgspec.json.encode(explained(scene)))["carriage"]
        opening = {"host": "*.local", "namespace": "prod", "port": 15443}
        assert carriage == {
            "cluster": "west",
            "passes": False,
            "openings": [{**opening, "origin": "IstioGateway istio-system/cross-network"}],
            "more": 0,
        }

    def test_a_gateway_known_by_name_is_named_with_its_object(self) -> None:
        """The address of an endpoint is what the host name resolved to; the gateway beside it is what is written."""
        scene = {"west": [entry("10.0.0.7"), gateway("gw.example.com")], "east": []}
        made = name_table(mesh(), scene)
        made.set_resolved_addresses("gw.example.com", ("198.51.100.9",))
        known = GatewayState("west", "gw.example.com", 15443, "Service istio-system/gateway", healthy=True)
        explanation = explain(HOST, "A", vantage=VANTAGE, context=SceneContext(made, [known], ()), reply=FOUND)
        (endpoint,) = explanation.declarations[0].endpoints
        assert (endpoint.address, endpoint.gateway) == ("198.51.100.9", known)
        assert "Other gateways" not in render_text(explanation)

    def test_a_gateway_that_no_probe_judged_is_not_called_healthy(self) -> None:
        """Where nothing is probed it is said so."""
        scene = {"west": [entry("10.0.0.7"), gateway("198.51.100.9")], "east": []}
        unknown = GatewayState("west", "198.51.100.9", 15443, "Service istio-system/gateway")
        text = render_text(explained(scene, gateways=[unknown]))
        assert "gateway of west: 198.51.100.9, port 15443, Service istio-system/gateway, not probed" in text

    def test_gateways_into_networks_that_nobody_asked_for_are_left_out(self) -> None:
        """Of the gateways that a cluster holds for other networks only those that carry the name are shown."""
        scene = {"west": [entry("10.0.0.7"), gateway("198.51.100.9")], "east": []}
        own = GatewayState("west", "198.51.100.9", 15443, "Service istio-system/gateway")
        other = GatewayState("west", "198.51.100.10", 15443, "Gateway istio-system/remote", network="net-vm")
        assert explained(scene, gateways=[own, other]).gateways == (own,)


class TestProblems:
    def test_what_the_mesh_makes_of_a_declaration_is_told_beside_it(self) -> None:
        """A problem that shows only when the name is judged stands under its declaration."""
        (declaration,) = explained({"west": [entry("10.0.0.7")], "east": []}, reply=NODATA).declarations
        assert [problem.kind for problem in declaration.problems] == [ProblemKind.NO_GATEWAY]

    def test_a_selected_workload_s_problem_is_told_with_its_object(self) -> None:
        """What is wrong with a WorkloadEntry stands under the ServiceEntry that selects it, and says whose it is."""
        vm = entry(workloadSelector={"labels": {"app": "vm"}})
        text = render_text(
            explained({"west": [vm, workload_entry("w1", "10.9.0.1", app="vm")], "east": []}, reply=NODATA)
        )
        assert "problem of WorkloadEntry/prod/w1: spec.address: cluster west has no gateway" in text

    def test_a_gateway_s_problem_is_told(self) -> None:
        """A gateway without an address is named with what to do, although the answer can name no address of it."""
        explanation = explained({"west": [entry("10.0.0.7"), gateway()], "east": []}, reply=NODATA)
        assert [(each.cluster, each.problem.field) for each in explanation.gateway_problems] == [
            ("west", "status.loadBalancer.ingress")
        ]
        assert "Service west/istio-system/gateway: status.loadBalancer.ingress: has no address yet" in render_text(
            explanation
        )

    def test_each_host_of_a_declaration_stands_by_itself(self) -> None:
        """A declaration that speaks for the name by an exact host and by a wildcard is named for either."""
        both = entry("203.0.113.7", hosts=[HOST, "*.prod.global"])
        explanation = explained({"east": [both]})
        assert [declaration.host for declaration in explanation.declarations] == [HOST, "*.prod.global"]
        endpoints_ = [each.endpoints[0] for each in explanation.declarations]
        assert [(each.host, each.result) for each in endpoints_] == [
            (HOST, EndpointResult.CHOSEN),
            ("*.prod.global", EndpointResult.LOST),
        ]

    def test_a_svc_host_is_named_where_it_gives_the_derived_name(self) -> None:
        """Of a ServiceEntry with several hosts the one that speaks for the name is shown."""
        svc = "reviews.prod.svc.cluster.local"
        (declaration,) = explained({"east": [entry("203.0.113.7", hosts=["x.other.global", svc])]}).declarations
        assert (declaration.level, declaration.host) == (3, svc)


class TestOutside:
    def test_a_name_outside_the_zones_names_its_forward_zone(self) -> None:
        """The longest forward zone of the settings is named."""
        assert explained({}, "db.corp.example", reply=None).forwarding == ForwardZone("corp.example", ("192.0.2.54",))
        assert explained({}, "example.com", reply=None).forwarding == ForwardZone(".", ("192.0.2.53",))

    def test_a_refused_declaration_of_an_unknown_name_is_named(self) -> None:
        """What names the host but does not count is shown with the reason and what to do."""
        problem = Problem(ProblemKind.NOT_PUBLIC, "ServiceEntry", "prod", "reviews", "spec.hosts[0]", "is hidden", "do")
        text = render_text(explained({}, reply=NXDOMAIN, refusals=[Refusal("west", problem)]))
        assert "ServiceEntry west/prod/reviews names it, but does not count" in text
        assert "spec.hosts[0]: is hidden; do" in text


class TestNearest:
    def test_the_nearest_known_name_is_found(self) -> None:
        """A typo leads to the name that was meant."""
        assert nearest_names("reveiws.prod.global", ["ratings.prod.global", HOST])[0] == HOST

    def test_nothing_alike_is_nothing(self) -> None:
        """A name that resembles no other leads nowhere."""
        assert nearest_names("zzz.other.global", [HOST]) == ()

    def test_the_search_is_bounded(self) -> None:
        """Of very many names only so many are looked at."""
        known = (f"r{number:05}.prod.global" for number in range(MAX_COMPARED_NAMES + 50))
        nearest_names("reviews.prod.global", known)
        assert len(list(known)) == 50


class TestForms:
    def test_text_has_numbered_steps(self) -> None:
        """The text begins with the answer, then counts its steps to the answer again."""
        lines = render_text(explained({"east": [entry("203.0.113.7")]})).splitlines()
        assert lines[0] == "reviews.prod.global. A: 203.0.113.7 (TTL 30, NOERROR)"
        assert lines[1] == "seen from cluster east, network net-east"
        steps = [line for line in lines if line[:3].strip(" .").isdigit() or line[2:3] == "."]
        assert [line[:4] for line in steps] == [" 1. ", " 2. ", " 3. ", " 4. "]
        assert steps[-1] == " 4. Answer: 203.0.113.7 (TTL 30, NOERROR)"

    def test_an_extended_error_is_told(self) -> None:
        """Before sync the text shows SERVFAIL with the extended error and its text."""
        unready = PresentationReply("SERVFAIL", error_code=14, error="the own cluster has not synced yet")
        text = render_text(explained({"east": [entry("203.0.113.7")]}, reply=unready))
        assert "reviews.prod.global. A: SERVFAIL" in text
        assert "with extended error 14: the own cluster has not synced yet" in text

    def test_json_is_versioned_and_comes_back_the_same(self) -> None:
        """What machines read carries its version in camel case and loses nothing."""
        explanation = explained({"east": [entry("203.0.113.7")], "west": [entry("10.0.0.7")]})
        octets = msgspec.json.encode(explanation)
        assert msgspec.json.decode(octets)["apiVersion"] == "meshdns/v1"
        assert "moreSpecific" in msgspec.json.decode(octets)["match"]
        assert msgspec.json.decode(octets, type=Explanation) == explanation


SHOP: Scene = {
    "east": [
        entry("203.0.113.50", host="*.shop.global", name="storefront"),
        entry("203.0.113.51", host="api.shop.global", name="api"),
        entry("203.0.113.52", host="*.eu.shop.global", name="europe"),
        entry("203.0.113.53", host="ledger.eu.pay.global", name="ledger"),
    ],
}
