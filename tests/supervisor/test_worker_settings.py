"""What of the settings reaches the workers."""

from types import MappingProxyType

import dns.message
import dns.rcode
import dns.rdataclass
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from meshdns import __version__
from meshdns.authority.rrl import RrlSettings
from meshdns.config.consistency import conflicts
from meshdns.config.model import Settings
from meshdns.config.named_files import FileForm, FileTexts
from meshdns.dns import names
from meshdns.dns.query import parse_query
from meshdns.forwarding.health import UpstreamGroup
from meshdns.forwarding.upstreams import parse_upstream
from meshdns.supervisor import worker_settings
from meshdns.supervisor.cookie_secrets import CookieSecrets
from meshdns.supervisor.sockets import Sockets
from meshdns.upstream.routes import build_routes
from meshdns.worker import settings as worker_line
from meshdns.worker import worker
from meshdns.worker.acl import AccessList

DEFAULT = RrlSettings(per_second=200, slip=2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"allowQuery": ["private", "10.1.0.0/16", "fd00::/8"]}, None),
        ({"allowQuery": ["private", "198.51.100.0/24"]}, DEFAULT),
        ({"allowQuery": ["2001:db8::/32"]}, DEFAULT),
        ({"allowQuery": ["8.0.0.0/5"]}, DEFAULT),
        ({"allowQuery": ["any"]}, DEFAULT),
        ({"allowQuery": ["any"], "rateLimit": {"perSecond": 0}}, None),
        ({"allowQuery": ["any"], "rateLimit": {"perSecond": 5, "slip": 0}}, RrlSettings(per_second=5, slip=0)),
        ({"rateLimit": {"private": True}}, RrlSettings(per_second=200, slip=2, private=True)),
    ],
)
def test_a_limit_is_for_those_who_admit_strangers(settings: dict[str, object], expected: RrlSettings | None) -> None:
    """Nobody else pays for it."""
    assert worker_settings.rate_limit_settings(Settings.model_validate(settings)) == expected


def _line(settings: Settings, files: FileTexts) -> bytes:
    """Return the line that the supervisor writes to a worker."""
    sockets = Sockets.bind([("127.0.0.1", 0)], workers=1)
    try:
        cookies = CookieSecrets(current=bytes(16), previous=b"", created_at=0.0)
        return worker_line.encode(
            worker_settings.worker_settings(
                settings, files, sockets, number=0, scoreboard=0, namedb="", generation=1, cookies=cookies
            )
        )
    finally:
        sockets.close()


def _handed(settings: Settings, files: FileTexts = MappingProxyType({})) -> worker_line.WorkerSettings:
    """Return what a worker reads from that line."""
    return worker_line.decode(_line(settings, files))


def _chaos_text(settings: Settings, name: str) -> str:
    """Return the text that a worker with these settings answers in class CHAOS, or REFUSED."""
    query = parse_query(dns.message.make_query(name, "TXT", dns.rdataclass.CHAOS).to_wire())
    assert query is not None
    reply = worker._local_answers(_handed(settings)).respond(query, bytes([127, 0, 0, 1]), tcp=False)
    if reply is None:
        return dns.rcode.to_text(dns.rcode.REFUSED)
    text: str = dns.message.from_wire(reply).answer[0][0].to_text()
    return text.strip('"')


@pytest.mark.parametrize("name", ["version.bind.", "version.server."])
def test_the_version_is_hidden_unless_the_settings_show_it(name: str) -> None:
    """With default settings, and whatever is set of the identity, a version query is refused (RFC 4892)."""
    assert _chaos_text(Settings(), name) == "REFUSED"
    assert _chaos_text(Settings.model_validate({"chaos": {"identity": True}}), name) == "REFUSED"
    assert _chaos_text(Settings.model_validate({"chaos": {"version": True}}), name) == f"meshdns {__version__}"


def test_the_identity_is_shown_unless_the_settings_hide_it() -> None:
    """The default tells which of many instances answered; a hidden identity leaves nothing of class CHAOS."""
    assert _chaos_text(Settings(), "id.server.") == _handed(Settings()).nsid.decode() != ""
    assert _chaos_text(Settings.model_validate({"chaos": {"identity": False}}), "id.server.") == "REFUSED"


NO_CLIENT = ("255.255.255.255/32",)
HERE = ("127.0.0.0/8", "::1/128")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, NO_CLIENT),
        ({"listen": ["127.0.0.1:53"]}, NO_CLIENT),
        ({"listen": ["10.0.0.53:53", "[::1]:53"]}, NO_CLIENT),
        ({"listen": ["127.9.9.9:53"]}, NO_CLIENT),
        ({"listen": ["10.0.0.53:53"]}, HERE),
        ({"listen": ["[::]:53"]}, HERE),
        ({"listen": ["127.0.0.1:53"], "allowDebug": ["127.0.0.0/8"]}, ("127.0.0.0/8",)),
        ({"listen": ["10.0.0.53:53"], "allowDebug": []}, NO_CLIENT),
        ({"allowDebug": ["any"]}, ("0.0.0.0/0", "::/0")),
    ],
    ids=str,
)
def test_nobody_sees_the_inside_through_a_cache_on_this_machine(
    settings: dict[str, object], expected: tuple[str, ...]
) -> None:
    """On a loopback listener all queries come from this machine, whoever asked the cache that sends them."""
    assert worker_settings.debug_prefixes(Settings.model_validate(settings)) == expected


@pytest.mark.parametrize("source", [b"\x7f\0\0\1", b"\x08\x08\x08\x08", bytes(15) + b"\1"], ids=["here", "any", "::1"])
def test_an_empty_list_admits_nobody(source: bytes) -> None:
    """Neither an empty allowDebug nor an empty allowQuery is the word any."""
    assert not AccessList(()).admits(source)
    assert not AccessList(NO_CLIENT).admits(source)
    assert AccessList(worker_line.admitted_prefixes(())).admits(source)
    assert worker_settings.rate_limit_settings(Settings.model_validate({"allowQuery": []})) is None


# ---------------------------------------------------------------------------------------------- routes and files

PEM = "-----BEGIN CERTIFICATE-----\n" + "x" * 1000
UNASKABLE = ("0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "tls://0.0.0.0#x", "[::]:53", "fe80::1", "10.0.0.53:0")  # noqa: S104
SERVERS = ("fe80::1%eth0", "10.0.0.53", "127.0.0.1:1053", "127.0.0.2:5353", "[2001:db8::1]:5353", "::ffff:192.0.2.1")
TLS_SERVERS = ("tls://192.0.2.1", "tls://192.0.2.1:8853#a.b", "tls://192.0.2.1#")
PATHS = ("./resolv.conf", "/etc/resolv.conf", "~/resolv.conf", "../x")
FORWARDS = st.fixed_dictionaries(
    {"to": st.lists(st.sampled_from(UNASKABLE + SERVERS + TLS_SERVERS + PATHS), min_size=1, max_size=3)},
    optional={"ca": st.sampled_from(["/ca.pem", "/absent.pem"]), "randomCase": st.booleans()},
)
TEXTS = st.one_of(st.just("nameserver 192.0.2.7\n"), st.text(max_size=40), st.just("nameserver 0.0.0.0"))
FILES = st.fixed_dictionaries(
    {
        FileForm.RESOLV_CONF: st.dictionaries(st.sampled_from(["/etc/resolv.conf", "./resolv.conf"]), TEXTS),
        FileForm.AUTHORITIES: st.dictionaries(st.just("/ca.pem"), st.just(PEM)),
    }
)


@given(FORWARDS, FORWARDS, st.sampled_from(["127.0.0.1:1053", "0.0.0.0:5353", "[::]:53"]), FILES)
def test_whatever_the_settings_accept_a_worker_takes(
    root: dict[str, object], inner: dict[str, object], listen: str, files: FileTexts
) -> None:
    """Routes are built from it without a refusal, whatever was in the files, and are read as they were sent."""
    fallback = {"zone": "cluster.local", "upstream": inner["to"], **{k: v for k, v in inner.items() if k != "to"}}
    tree = {"listen": [listen], "forward": [{"zone": ".", **root}], "fallback": [fallback]}
    try:
        settings = Settings.model_validate(tree)
        if list(conflicts(settings)):
            return
    except ValidationError:
        return
    routes = _handed(settings, files).routes
    assert routes == tuple(build_routes(settings, files))
    assert [route.zone for route in routes] == [b"\x07cluster\x05local\0", b"\0"]
    for route in routes:
        UpstreamGroup(route.upstreams)
        for server in route.upstreams:
            assert parse_upstream(str(server)).port == server.port


def test_authorities_are_sent_once() -> None:
    """However many servers they may vouch for: a line to a worker is bounded."""
    to = [f"tls://192.0.2.{number}" for number in range(200)]
    settings = Settings.model_validate({"forward": [{"zone": ".", "to": to, "ca": "/ca.pem"}]})
    files = {FileForm.AUTHORITIES: {"/ca.pem": PEM}}
    assert _line(settings, files).count(b"BEGIN CERTIFICATE") == 1
    assert {each.tls.ca for each in _handed(settings, files).routes[0].upstreams if each.tls is not None} == {PEM}


def _is_special(name: str, settings: Settings, files: FileTexts) -> bool:
    """Return whether a worker with these settings answers a name by itself."""
    query = parse_query(dns.message.make_query(name, "A").to_wire())
    assert query is not None
    return worker._local_answers(_handed(settings, files)).special_reply(query, tcp=False) is not None


PRIVATE_RESOLVER = {FileForm.RESOLV_CONF: {"/etc/resolv.conf": "nameserver 10.0.0.2\n"}}
PUBLIC_RESOLVER = {FileForm.RESOLV_CONF: {"/etc/resolv.conf": "nameserver 10.0.0.2\nnameserver 198.51.100.53\n"}}
SPECIAL = ("x.test.", "x.home.arpa.", "x.internal.", "1.0.0.10.in-addr.arpa.")


@pytest.mark.parametrize(
    ("value", "private", "public", "unread"),
    [("auto", False, True, True), (True, True, True, True), (False, False, False, False)],
)
def test_a_resolv_conf_decides_as_it_is_at_the_moment(
    value: object, *, private: bool, public: bool, unread: bool
) -> None:
    """Special names set to auto are forwarded while it holds private servers alone; true and false do not look."""
    keys = {} if value == "auto" else dict.fromkeys(("test", "homeArpa", "internal", "reverse"), value)
    settings = Settings.model_validate({"specialNames": keys})
    for files, expected in ((PRIVATE_RESOLVER, private), (PUBLIC_RESOLVER, public), ({}, unread)):
        assert {name: _is_special(name, settings, files) for name in SPECIAL} == dict.fromkeys(SPECIAL, expected)


def test_names_that_upstreams_may_set_follow_the_decision() -> None:
    """An upstream that serves internal names may lead to them by an alias; any other may not."""
    settings = Settings()
    internal = names.to_wire("internal")
    assert internal in worker._own_zones(_handed(settings, PUBLIC_RESOLVER))
    assert internal not in worker._own_zones(_handed(settings, PRIVATE_RESOLVER))
