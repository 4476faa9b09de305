"""What settings become when they are right."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshdns.config import Settings, SettingsError, parse_settings, read_settings_file
from meshdns.config.model import FallbackSection
from meshdns.config.sections import KubeconfigSection, ManifestsSection
from meshdns.config.values import read_duration, split_host_port, write_duration

V = "apiVersion: meshdns/v1\n"
ZONES = Path(__file__).parents[2] / "zones"

FULL = (
    V
    + """
listen: ["127.0.0.1:1053", "[::0001]:1053"]
vantage: {cluster: east, network: net-east}
sources:
  - {kind: manifests, path: ./clusters}
  - {kind: inCluster, cluster: east}
  - {kind: kubeconfig, path: ~/.kube/config, contexts: [north, west]}
  - {kind: remoteSecrets, namespace: meshdns}
clusters:
  west: {network: net-west, domain: cluster.local, gateways: [203.0.113.7, GW.example., "::ffff:203.0.113.8"],
         zones: [global], namespaces: ["*"], hosts: any, required: false, discover: all, readiness: true, maxStale: 90s,
         configCluster: east, dnsName: west, uid: 2f4b7c1e-9d3a-4e8b-8a55-0c6f1d2e3a4b}
networks: {vm-net: {cidrs: [10.128.0.0/16, "::ffff:10.129.0.0/112"]}}
defaultNetwork: null
systemNamespace: istio-system
zones:
  - {name: Global., answer: gateway, fallthrough: false, ttl: 30, negativeTtl: 5, wildcards: istio, exportTo: public,
     order: [east], failover: level}
records:
  - {name: A.global., type: A, value: 192.0.2.1, ttl: 0}
  - {name: "*.b.global", type: AAAA, value: "2001:DB8::1"}
  - {name: _x._tcp.global, type: SRV, value: "0 00 443 A.global."}
fallback: [{zone: cluster.local, upstream: none}]
forward:
  - {zone: ".", to: [/etc/resolv.conf]}
  - {zone: corp.example, to: [10.0.0.53, "[fd00::53]:5353"]}
  - {zone: tls.example, to: ["tls://9.9.9.9#DNS.Quad9.net.", "tls://[2620:fe::FE]:8853"], ca: ./ca.pem,
     randomCase: true}
allowQuery: [private, 198.51.100.0/24, any]
rateLimit: {perSecond: 100, slip: 3, private: true}
specialNames: {localhost: true, invalid: true, test: false, alt: true, onion: true, local: true, homeArpa: false,
               internal: auto, resolverArpa: true, reverse: auto}
chaos: {identity: false, version: true}
probe: {type: tcp, interval: 1m30s, down: 3, up: 2}
http: {listen: "127.0.0.1:9153"}
admin: {socket: /run/meshdns/admin.sock}
workers: 2
stateDir: state
logLevel: debug
lameduck: 250ms
"""
)


def full() -> Settings:
    """Settings in which every key is set."""
    return parse_settings(FULL.encode(), "m.yaml")


def test_every_value_has_one_canonical_spelling() -> None:
    """Names lose case and trailing dot, addresses get their shortest form, servers a port."""
    settings = full()
    assert settings.listen == ("127.0.0.1:1053", "[::1]:1053")
    assert settings.zones[0].name == "global"
    assert settings.clusters["west"].gateways == ("203.0.113.7", "gw.example", "203.0.113.8")
    assert settings.networks["vm-net"].cidrs == ("10.128.0.0/16", "10.129.0.0/16")
    assert settings.clusters["west"].max_stale == 90.0
    assert [(record.name, record.value) for record in settings.records] == [
        ("a.global", "192.0.2.1"),
        ("*.b.global", "2001:db8::1"),
        ("_x._tcp.global", "0 0 443 a.global"),
    ]
    assert settings.forward[1].to == ("10.0.0.53:53", "[fd00::53]:5353")
    assert settings.forward[2].to == ("tls://9.9.9.9:853#dns.quad9.net", "tls://[2620:fe::fe]:8853")
    assert settings.fallback == (FallbackSection(zone="cluster.local", upstream=()),)
    assert (settings.probe.interval, settings.lameduck) == (90.0, 0.25)


@pytest.mark.parametrize("settings", [Settings(), full()], ids=["defaults", "every key"])
def test_settings_survive_a_round_trip_through_json(settings: Settings) -> None:
    """The supervisor hands them to its children as JSON."""
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_a_file_that_sets_nothing_means_the_defaults() -> None:
    """Nothing is needed for a first run."""
    settings = parse_settings(V.encode(), "m.yaml")
    assert settings == Settings()
    assert (settings.listen, settings.http.listen) == (("127.0.0.1:1053",), "127.0.0.1:9153")
    assert [zone.name for zone in settings.zones] == ["global"]
    assert settings.forward[0].to == ("/etc/resolv.conf",)
    assert settings.allow_query == ("private",)


def test_a_byte_order_mark_is_no_fault() -> None:
    """Some editors write one."""
    assert parse_settings(b"\xef\xbb\xbf" + V.encode(), "m.yaml") == Settings()


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """And a tilde is the home of who runs it."""
    (tmp_path / "m.yaml").write_text(FULL.replace("[/etc/resolv.conf]", "[./resolv.conf]"))
    settings = read_settings_file(tmp_path / "m.yaml", "/home/op")
    manifests, _, kubeconfig, _ = settings.sources
    assert manifests == ManifestsSection(path=f"{tmp_path}/clusters")
    assert kubeconfig == KubeconfigSection(path="/home/op/.kube/config", contexts=("north", "west"))
    assert settings.forward[0].to == (f"{tmp_path}/resolv.conf",)
    assert settings.forward[1].to == ("10.0.0.53:53", "[fd00::53]:5353")
    assert settings.forward[2].ca == f"{tmp_path}/ca.pem"
    assert settings.state_dir == f"{tmp_path}/state"


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in ZONES.glob("*/meshdns.yaml")))
def test_the_settings_of_every_sample_situation_are_right(folder: str) -> None:
    """The samples are what people copy."""
    settings = read_settings_file(ZONES / folder / "meshdns.yaml", "/home/op")
    (manifests,) = settings.sources
    assert manifests == ManifestsSection(path=str(ZONES / folder / "clusters"))


@pytest.mark.parametrize(
    ("text", "parts"), [("127.0.0.1:53", ("127.0.0.1", 53)), ("[fd00::53]:5353", ("fd00::53", 5353))]
)
def test_a_canonical_socket_address_splits_into_its_parts(text: str, parts: tuple[str, int]) -> None:
    """Brackets belong to the text, not to the address."""
    assert split_host_port(text) == parts


def test_every_setting_is_described() -> None:
    """The settings reference is generated from the descriptions; a section describes itself."""
    schema = Settings.model_json_schema()
    sections = {"Settings": schema, **schema["$defs"]}
    silent = [
        f"{section}.{key}"
        for section, body in sections.items()
        for key, field in body.get("properties", {}).items()
        if not field.keys() & {"description", "$ref", "const"}
    ]
    assert silent == []


def test_a_worker_can_start_without_the_settings() -> None:
    """Nothing that the package imports of ours is needed the other way round."""
    code = "import sys, meshdns.dns.query; sys.exit('pydantic' in sys.modules or 'meshdns.config' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ZONES.parent).returncode == 0


@given(st.floats(min_value=0, max_value=31536000).map(lambda seconds: round(seconds, 3)))
def test_a_duration_is_read_as_it_was_written(seconds: float) -> None:
    """To the millisecond."""
    assert read_duration(write_duration(seconds)) == seconds


WORDS = """
~ no 0x1F 1e3 .nan .inf 10s 12:30 203.0.113.7 127.0.0.1:53 '' "\\ud800" &a *a !!int !x <<: - ? : | > { [ ] } ,
tls:// tls://1.1.1.1 [::1]:53 fe80::1%eth0 10.0.0.0/8 ./x ~/x A TXT SRV manifests kubeconfig none
"""
SCALARS = st.one_of(st.text(max_size=12), st.sampled_from(WORDS.split()))
KEYS = sorted({*Settings.model_json_schema()["properties"], "kind", "path", "name", "type", "value", "to", "zone", "a"})


DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=3).map(
            lambda parts: "{" + ", ".join(f"{key}: {part}" for key, part in parts.items()) + "}"
        ),
    ),
    max_leaves=8,
)


def lines_of(octets: bytes) -> tuple[str, ...]:
    """The error lines of settings; none where they are right, after a round trip through JSON."""
    try:
        settings = parse_settings(octets, "m.yaml")
    except SettingsError as error:
        return error.lines or ("no line at all",)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    return ()


def survives(octets: bytes) -> bool:
    """Whether octets are settings, or a SettingsError each line of which names the file."""
    return all(line.startswith("m.yaml:") and "\n" not in line for line in lines_of(octets))


@given(st.dictionaries(st.sampled_from(KEYS), DOCUMENTS, max_size=4))
@example({"clusters": '{"\\ud800": {}}'})
@example({"records": '[{name: a.global, type: TXT, value: "\\ud800"}]'})
@example({"zones": "&a [*a]"})
def test_no_yaml_about_our_keys_raises_anything_but_a_settings_error(keys: dict[str, str]) -> None:
    """Values of any shape below known keys are settings or a SettingsError."""
    assert survives((V + "".join(f"{key}: {value}\n" for key, value in keys.items())).encode())


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_octets_raise_anything_but_a_settings_error(octets: bytes) -> None:
    """Any file at all is settings or a SettingsError."""
    assert survives(octets)
    assert survives(V.encode() + octets)
