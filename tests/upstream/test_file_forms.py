"""Files that settings name hold anything: they become a value that can be used, or a reason that says what to do."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshdns.config.named_files import FileForm, FileUse
from meshdns.forwarding.upstreams import MAX_NAMESERVERS, Address, parse_resolv_conf
from meshdns.upstream.file_forms import FileReading, read_named_file
from meshdns.upstream.tls_context import TlsContext

OWN = [Address("127.0.0.1", 53)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all examples of a property."""
    return tmp_path_factory.mktemp("files")


def _read(folder: Path, form: FileForm, content: bytes) -> FileReading:
    path = folder / "f"
    path.write_bytes(content)
    return read_named_file(FileUse(form, str(path)), OWN)


LINES = st.sampled_from(
    [
        *(b"nameserver " + word for word in b"192.0.2.1 :: 127.0.0.1 224.0.0.1 fe80::1% fe80::1%e/h \xff #".split()),
        *b"nameserver,\x85,\r,\0,options x,MIIB,=".split(b","),
        *(b"-----%b-----" % words for words in (b"BEGIN CERTIFICATE", b"END CERTIFICATE", b"BEGIN PRIVATE KEY")),
    ]
)
CONTENTS = st.one_of(st.binary(max_size=200), st.lists(LINES, max_size=12).map(b"\n".join))


@given(CONTENTS)
@example(b"nameserver " + b"9" * 100_000)
@example(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
def test_any_bytes_are_a_value_or_a_reason(folder: Path, content: bytes) -> None:
    """A value is one that whoever gets it can use without a look at the file; a reason is short and has advice."""
    for form in FileForm:
        reading = _read(folder, form, content)
        if reading.text is None:
            assert 0 < len(reading.reason) < 400
            assert "; name " in reading.reason
        elif form is FileForm.RESOLV_CONF:
            assert parse_resolv_conf(reading.text, own_addresses=OWN)
        else:
            assert TlsContext(reading.text).context().get_ca_certs()


UNUSABLE = {
    "empty": b"",
    "comments": b"# nothing\n",
    "only this server": b"nameserver 127.0.0.1\n",
    "only what nobody can ask": b"nameserver 0.0.0.0\nnameserver 224.0.0.1\nnameserver fe80::1\n",
    "only names": b"NAMESERVER 192.0.2.1\nnameserver dns.example\nnameserver=192.0.2.1\nnameserver 8.8.8.8:53\n",
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
def test_a_resolv_conf_without_a_server_is_no_value(tmp_path: Path, content: bytes) -> None:
    """It would leave nobody to ask."""
    found = _read(tmp_path, FileForm.RESOLV_CONF, content)
    assert found.text is None
    assert found.reason.startswith("names no server that can be asked; name the upstream servers by address under")


def test_a_resolv_conf_becomes_its_servers(tmp_path: Path) -> None:
    """In order, without those that cannot be asked, and no more than its bound."""
    reading = _read(tmp_path, FileForm.RESOLV_CONF, b"search x\nnameserver 10.96.0.10 ; a\nnameserver 127.0.0.1\n")
    assert reading.text == "nameserver 10.96.0.10\n"
    many = b"".join(b"nameserver 192.0.2.%d\n" % number for number in range(200))
    assert len((_read(tmp_path, FileForm.RESOLV_CONF, many).text or "").splitlines()) == MAX_NAMESERVERS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no PEM", "holds no certificate in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "holds a certificate that cannot be read"),
    ],
    ids=["no PEM", "half a certificate"],
)
def test_a_file_of_authorities_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    """With what to do."""
    found = _read(tmp_path, FileForm.AUTHORITIES, content)
    assert found[:2] == (None, f"{reason}; name a readable file of PEM certificates with ca")


def test_a_fault_of_a_reader_costs_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is."""

    def fail(*_: object, **__: object) -> str:
        raise RecursionError

    monkeypatch.setattr("meshdns.upstream.file_forms.parse_resolv_conf", fail)
    assert _read(tmp_path, FileForm.RESOLV_CONF, b"x").reason.startswith("cannot be read (RecursionError); name the")
