"""Every way to get settings wrong, and the line that says so."""

from pathlib import Path

import pytest
import yaml

from meshdns.config import SettingsError, parse_settings, read_settings_file

V = "apiVersion: meshdns/v1\n"
ALL_KEYS = (
    "apiVersion, listen, vantage, sources, clusters, networks, defaultNetwork, systemNamespace, zones, records, "
    "fallback, forward, allowQuery, rateLimit, allowDebug, specialNames, chaos, probe, http, metrics, queryLog, admin, "
    "workers, stateDir, logLevel, logFormat, lameduck"
)
BRACKETS = "correct the brackets, quotes or indentation here"

BROKEN = {
    "empty": ("", "1:1: is empty; begin with apiVersion: meshdns/v1"),
    "only a comment": ("# soon\n", "1:1: is empty; begin with apiVersion: meshdns/v1"),
    "a list": ("- a\n", "1:1: holds no keys; begin with apiVersion: meshdns/v1"),
    "a manifest": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
        " is a manifest of Kubernetes (kind Service) and no settings file; put it into a folder for its cluster,",
    ),
    "a manifest in JSON": (
        '{"kind": "List", "apiVersion": "v1", "items": []}',
        " is a manifest of Kubernetes (kind List) and no settings file; put it into a folder for its cluster,",
    ),
    "several manifests": (
        "# all\n---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n---\napiVersion: v1\nkind: Service\n",
        " is a manifest of Kubernetes (kind ServiceEntry) and no settings file; put it into a folder for its cluster,",
    ),
    "a manifest with an anchor": (
        "apiVersion: v1\nkind: Service\nmetadata: &m {name: a}\nother: *m\n",
        " is a manifest of Kubernetes (kind Service) and no settings file",
    ),
    "a template of a manifest": (
        "apiVersion: v1\nkind: Service\nmetadata: {{ .Values.x }}: [\n",
        " is a manifest of Kubernetes (kind Service) and no settings file",
    ),
    "a kubeconfig": (
        "kind: Config\napiVersion: v1\nclusters: []\n",
        " is a kubeconfig and no settings file; name it in the settings, sources: [{kind: kubeconfig, path: FILE}], or",
    ),
    "our version with a kind": ("apiVersion: meshdns/v1\nkind: Settings\n", "2:1: kind: is no known key;"),
    "another version": (
        "apiVersion: meshdns/v2\n",
        "1:13: apiVersion: is no version that meshdns knows; begin with apiVersion: meshdns/v1",
    ),
    "a tab": ("a:\n\tb: 1\n", "2:1: a tab cannot indent YAML; use spaces"),
    "an open bracket": (
        V + "listen: ['127.0.0.1:53'\nzones: []\n",
        "3:1: is no YAML (while parsing a flow sequence; expected ',' or ']', but got '<scalar>'); " + BRACKETS,
    ),
    "two documents": ("a: 1\n---\nb: 1\n", "2:1: a second document begins; settings are one document: remove it"),
    "a control character": ("a: \x01\n", "1:4: holds a character that YAML forbids; remove it"),
    "an escape beyond Unicode": (
        'a: "\\UFFFFFFFF"\n',
        "1:1: holds an escape such as \\U that is no character; correct it",
    ),
    "deep nesting": ("[" * 1500, "1:1: nests too deeply; remove brackets"),
    "an anchor": (
        V + "listen: &x ['127.0.0.1:1']\nallowQuery: *x\n",
        "2:9: allowQuery: anchors are not supported here",
    ),
    "a tag": (V + "workers: !!timestamp 2\n", "2:10: workers: the tag 'tag:yaml.org,2002:timestamp' is not supported"),
    "a repeated key": (V + "workers: 1\nworkers: 2\n", "3:1: workers: occurs twice; remove one of the two"),
    "a key that is a number": (
        V + "clusters: {123: {}}\n",
        "2:12: clusters: the key '123' is not text; put it in quotes",
    ),
    "a misspelt key": (V + "allow_query: []\n", "2:1: allow_query: is no known key; did you mean 'allowQuery'?"),
    "an unknown key": (V + "qqq: 1\n", f"2:1: qqq: is no known key; use one of {ALL_KEYS}"),
    "an unknown key of a source": (
        V + "sources:\n- {kind: manifests, path: x, pth: y}\n",
        "3:30: sources[0].pth: is no known key; did you mean 'path'?",
    ),
    "no": (V + "clusters: {a: {required: no}}\n", "2:26: clusters.a.required: 'no' is wrong here; write true or false"),
    "a word for true, false or auto": (
        V + "specialNames: {reverse: always}\n",
        "2:25: specialNames.reverse: 'always' is wrong here; write auto, true or false",
    ),
    "a name that is never forwarded": (
        V + "specialNames: {onion: false}\n",
        "2:23: specialNames.onion: such names are never forwarded, so this cannot be false; write true, or leave the",
    ),
    "an address in a reverse zone": (
        V + "zones: [{name: 10.in-addr.arpa}]\nrecords: [{name: a.10.in-addr.arpa, type: A, value: 10.0.0.1}]\n",
        "3:43: records[0].type: '10.in-addr.arpa' is a reverse zone, which holds PTR records alone; name the host in",
    ),
    "a number for a name": (
        V + "clusters: {a: {network: 0123}}\n",
        "2:25: clusters.a.network: 123 is wrong here; write text, in quotes where YAML would read a number or nothing",
    ),
    "a sexagesimal": (
        V + "probe: {interval: 12:30}\n",
        "2:19: probe.interval: '12:30' is no duration; write a number and a unit: 500ms, 10s, 5m or 1h",
    ),
    "a duration without unit": (
        V + "lameduck: 5\n",
        "2:11: lameduck: 5 is no duration; write a number and a unit: 500ms, 10s, 5m or 1h",
    ),
    "a duration that is too short": (
        V + "probe: {interval: 1ms}\n",
        "2:19: probe.interval: '1ms' is out of range; use at",
    ),
    "a huge number": (V + f"workers: {'9' * 5000}\n", "2:10: workers: '9999"),
    "no workers": (V + "workers: 0\n", "2:10: workers: 0 is out of range; use at least 1"),
    "an unknown log level": (
        V + "logLevel: loud\n",
        "2:11: logLevel: 'loud' is unknown; use debug, info, warning or error",
    ),
    "nowhere to listen": (V + "listen: []\n", "2:9: listen: is empty; list at least one"),
    "a listener without port": (
        V + "listen: [127.0.0.1]\n",
        "2:10: listen[0]: '127.0.0.1' is no address and port; write both: 127.0.0.1:1053, or [::1]:1053 in quotes",
    ),
    "a port beyond 65535": (V + "listen: ['127.0.0.1:65536']\n", "2:10: listen[0]: '127.0.0.1:65536' is no address"),
    "text for a list": (
        V + "listen: 127.0.0.1:53\n",
        "2:9: listen: '127.0.0.1:53' is wrong here; write a list: [a, b], or lines that begin with a dash",
    ),
    "text for a mapping": (
        V + "vantage: east\n",
        "2:10: vantage: 'east' is wrong here; write keys and values: {key: value}",
    ),
    "an unknown kind of source": (
        V + "sources: [{kind: folder}]\n",
        "2:18: sources[0].kind: 'folder' is unknown; use one of manifests, inCluster, kubeconfig, remoteSecrets",
    ),
    "a source without kind": (
        V + "sources: [{path: x}]\n",
        "2:11: sources[0].kind: is missing; add it: manifests, inCluster, kubeconfig or remoteSecrets",
    ),
    "a source without path": (V + "sources: [{kind: manifests}]\n", "2:11: sources[0].path: is missing; add it"),
    "a cluster of no name": (V + "clusters: {'a b': {}}\n", "2:12: clusters['a b']: 'a b' is no name; use 1 to 253"),
    "a gateway with an impossible port": (
        V + "clusters: {a: {gateways: ['lb.example.com:99999']}}\n",
        "2:27: clusters.a.gateways[0]: 'lb.example.com:99999' has no port from 1 to 65535 behind its colon",
    ),
    "a gateway of no form": (
        V + "clusters: {a: {gateways: ['203.0.113:15443']}}\n",
        "2:27: clusters.a.gateways[0]: '203.0.113:15443' is no address; write one such as 203.0.113.7",
    ),
    **{
        f"a gateway {text}": (
            V + f"clusters: {{a: {{gateways: ['{text}']}}}}\n",
            f"2:27: clusters.a.gateways[0]: '{text}' {reason}",
        )
        for text, reason in {
            "203.0.113.300": "is no address; write one such as 203.0.113.7",
            "203.0.113.010": "is no address; write one such as 203.0.113.7",
            "203.0.113": "is no address; write one such as 203.0.113.7",
            "lb.example.7": "is neither an IP address nor a host name: its last label is all digits; write a name",
            "lb.example.7:70000": "has no port from 1 to 65535",
            "LB.example.7": "is neither an IP address nor a host name",
            "2001:db8::1:15443": "is no address; write [2001:db8::1]:15443",
            "2001:db8::1:99999": "is no address; write one such as 203.0.113.7, 203.0.113.7:15443 or [2001",
            "[2001:db8::1": "is no address; write one such as 203.0.113.7",
            "https://lb.example": "is no address; write one such as 203.0.113.7",
        }.items()
    },
    "a sixteenth address of a name": (
        V + "records:\n" + "".join(f"- {{name: a.global, type: A, value: 192.0.2.{n}}}\n" for n in range(1, 17)),
        "18:36: records[15].value: 'a.global' has more than 15 A records; remove this one",
    ),
    "an IPv4 address in a record of type AAAA": (
        V + "records: [{name: a.global, type: AAAA, value: '::ffff:192.0.2.1'}]\n",
        "2:47: records[0].value: value '::ffff:192.0.2.1' is an IPv4 address; write a record of type A: 192.0.2.1",
    ),
    "an address as the target of a service": (
        V + "records: [{name: a.global, type: SRV, value: 0 0 443 192.0.2.1}]\n",
        "2:46: records[0].value: '192.0.2.1' is neither an IP address nor a host name",
    ),
    "host bits": (
        V + "networks: {n: {cidrs: [10.128.0.1/16]}}\n",
        "2:24: networks.n.cidrs[0]: '10.128.0.1/16' has bits set behind its prefix; write 10.128.0.0/16",
    ),
    "a client that is no CIDR": (
        V + "allowQuery: [everyone]\n",
        "2:14: allowQuery[0]: 'everyone' is no CIDR; write one such as 10.128.0.0/16 or fd00:1::/64, or private, or",
    ),
    "a zone with a space": (V + "zones: [{name: my zone}]\n", "2:16: zones[0].name: 'my zone' has the label 'my zone'"),
    "a zone beyond ASCII": (V + "zones: [{name: zürich}]\n", "2:16: zones[0].name: 'zürich' has the label"),
    "a TTL beyond a day": (
        V + "zones: [{name: global, ttl: 86401}]\n",
        "2:29: zones[0].ttl: 86401 is out of range; use at most 86400",
    ),
    "a record of another type": (
        V + "records: [{name: a.global, type: CNAME, value: b.global}]\n",
        "2:34: records[0].type: 'CNAME' is unknown; use A, AAAA, TXT, SRV or PTR",
    ),
    "an IPv6 address for A": (
        V + "records: [{name: a.global, type: A, value: '::1'}]\n",
        "2:44: records[0].value: value '::1' is no IPv4 address; write one such as 192.0.2.1",
    ),
    "an SRV value without port": (
        V + "records: [{name: a.global, type: SRV, value: 0 0 b.global}]\n",
        "2:46: records[0].value: value '0 0 b.global' is no SRV value; write priority, weight, port and target",
    ),
    "DNS over TLS": (
        V + "forward: [{zone: ., to: ['tls://dns.quad9.net']}]\n",
        "2:26: forward[0].to[0]: 'tls://dns.quad9.net' is no server that is asked over TLS; write an address and the n",
    ),
    "an own address as upstream": (
        V + "listen: ['127.0.0.1:1053']\nforward:\n- zone: .\n  to: [10.0.0.53, '127.0.0.1:1053']\n",
        "5:19: forward[0].to[1]: '127.0.0.1:1053' is listened on by this server, which would ask itself; name another",
    ),
    "an own address as upstream of a fallback zone": (
        V + "listen: ['0.0.0.0:53']\nfallback: [{zone: cluster.local, upstream: [127.0.0.53]}]\n",
        "3:45: fallback[0].upstream[0]: '127.0.0.53:53' is listened on by this server, which would ask itself; name",
    ),
    "an upstream by name": (
        V + "forward: [{zone: ., to: [dns.example]}]\n",
        "2:26: forward[0].to[0]: 'dns.example' is no server; write an address and perhaps a port: 10.0.0.53, [fd00::",
    ),
    "an upstream that is no machine": (
        V + "forward:\n- zone: .\n  to: [10.0.0.53, 0.0.0.0]\n",
        "4:19: forward[0].to[1]: '0.0.0.0' is the address of no server; write 127.0.0.1 for a server on this machine",
    ),
    "an upstream that is no machine, with a port": (
        V + "forward: [{zone: ., to: ['[::]:53']}]\n",
        "2:26: forward[0].to[0]: '[::]:53' is the address of no server; write ::1 for this machine",
    ),
    "an upstream over TLS that is no machine": (
        V + "forward: [{zone: ., to: ['tls://0.0.0.0#x']}]\n",
        "2:26: forward[0].to[0]: '0.0.0.0' is the address of no server; write 127.0.0.1",
    ),
    "an upstream that is many machines": (
        V + "forward: [{zone: ., to: ['224.0.0.1']}]\n",
        "2:26: forward[0].to[0]: '224.0.0.1' is the address of many machines; write an address",
    ),
    "a broadcast address as upstream": (
        V + "forward: [{zone: ., to: ['255.255.255.255:53']}]\n",
        "2:26: forward[0].to[0]: '255.255.255.255:53' is the address of many machines; write an address",
    ),
    "an upstream of a fallback zone that is no machine": (
        V + "fallback: [{zone: cluster.local, upstream: ['::']}]\n",
        "2:45: fallback[0].upstream[0]: '::' is the address of no server; write ::1 for this machine",
    ),
    "a link-local upstream without its interface": (
        V + "forward: [{zone: ., to: ['fe80::1']}]\n",
        "2:26: forward[0].to[0]: 'fe80::1' is link-local and names no interface; write it behind a %: fe80::1%eth0",
    ),
    "an upstream with port 0": (
        V + "forward: [{zone: ., to: ['10.0.0.53:0']}]\n",
        "2:26: forward[0].to[0]: '10.0.0.53:0' has no port from 1 to 65535 behind its colon; write an address",
    ),
    "an upstream over TLS with a name that is none": (
        V + "forward: [{zone: ., to: ['tls://10.0.0.53#a..b']}]\n",
        "2:26: forward[0].to[0]: 'a..b' has an empty label; write an address and the name in its certificate: tls://",
    ),
    "a zone twice": (
        V + "zones: [{name: Global.}, {name: global}]\n",
        "2:33: zones[1].name: 'global' occurs twice; join the two",
    ),
    "a forward zone with the name of a zone": (
        V + "forward: [{zone: global, to: [192.0.2.1]}]\n",
        "2:18: forward[0].zone: 'global' is in zones, too; remove one of the two, or give the zone fallthrough: true",
    ),
    "a fallback zone with the name of a zone": (
        V + "zones: [{name: a.example}]\nfallback: [{zone: a.example, upstream: [192.0.2.1]}]\n",
        "3:19: fallback[0].zone: 'a.example' is in zones, too; remove one of the two",
    ),
    "a forward zone with the name of a fallback zone": (
        V + "fallback: [{zone: a.example, upstream: none}]\nforward: [{zone: a.example, to: [192.0.2.1]}]\n",
        "3:18: forward[0].zone: 'a.example' is in fallback, too; remove one of the two",
    ),
    "a record in a forward zone inside a zone": (
        V + "forward: [{zone: b.global, to: [192.0.2.1]}]\nrecords: [{name: a.b.global, type: TXT, value: x}]\n",
        "3:18: records[0].name: 'a.b.global' lies in the forward zone 'b.global'; remove one of the two",
    ),
    "a record outside all zones": (
        V + "records: [{name: a.example, type: TXT, value: x}]\n",
        "2:18: records[0].name: 'a.example' is in none of the zones; add its zone to zones",
    ),
    "a cluster that speaks for no zone of ours": (
        V + "clusters: {a: {zones: [example]}}\n",
        "2:24: clusters.a.zones[0]: 'example' is not configured; add it to zones, or remove it here",
    ),
    "a cluster from two sources": (
        V + "sources: [{kind: inCluster, cluster: a}, {kind: kubeconfig, contexts: [a]}]\n",
        "2:72: sources[1].contexts[0]: the cluster 'a' has another source already; remove one of them",
    ),
    "a label for two clusters": (
        V + "clusters: {west: {}, w2: {dnsName: West}}\n",
        "2:36: clusters.w2.dnsName: 'west' is also the label of the cluster 'west'; set another dnsName",
    ),
}


@pytest.mark.parametrize(("text", "line"), BROKEN.values(), ids=BROKEN.keys())
def test_a_fault_is_reported_with_its_place_and_what_to_do(text: str, line: str) -> None:
    """Broken settings raise exactly one line: file, line, column, path, message."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(text.encode(), "m.yaml")
    (only,) = caught.value.lines
    assert only.startswith(f"m.yaml:{line}")


def test_all_faults_are_reported_in_the_order_of_the_file() -> None:
    """A fault does not hide the others."""
    text = V + "zone: []\nprobe: {interval: 5, up: 0}\nworkers: 1\nworkers: two\nlogLevel: no\n"
    with pytest.raises(SettingsError) as caught:
        parse_settings(text.encode(), "m.yaml")
    assert [line.split(": ")[0] for line in caught.value.lines] == [
        "m.yaml:2:1",
        "m.yaml:3:19",
        "m.yaml:3:26",
        "m.yaml:5:1",
        "m.yaml:6:11",
    ]


def test_brackets_are_read_no_deeper_than_they_may_nest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a walk over all that enclose it: a file of nothing else would take minutes."""
    read = 0
    original = yaml.scanner.Scanner.fetch_flow_collection_start

    def counted(scanner: yaml.scanner.Scanner, token: object) -> None:
        nonlocal read
        read += 1
        original(scanner, token)

    monkeypatch.setattr(yaml.scanner.Scanner, "fetch_flow_collection_start", counted)
    with pytest.raises(SettingsError, match="nests too deeply; remove brackets"):
        parse_settings(b"[" * 3000, "m.yaml")
    assert 64 <= read <= 70


def test_octets_that_are_no_utf_8_are_reported_with_their_place() -> None:
    """The column counts characters, not octets."""
    with pytest.raises(SettingsError, match=r"^m\.yaml:2:6: is not UTF-8; save the file in UTF-8$"):
        parse_settings(V.encode() + "a: ü".encode() + b" \xff", "m.yaml")


def test_a_file_too_large_is_refused() -> None:
    """A mistaken path must not cost a start minutes."""
    with pytest.raises(SettingsError, match=r"^m\.yaml: is larger than 1 MiB; name another settings file$"):
        parse_settings(b"#" * (1 << 20) + b"\n", "m.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message names the file and the flag."""
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read \(No such file or directory\); name another"):
        read_settings_file(tmp_path / "none.yaml", "/home/op")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """Naming the folder instead of the file in it is a common slip."""
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\); name another settings file"):
        read_settings_file(tmp_path, "/home/op")
