"""What a kubeconfig may say: all of it in the operator's own file, none that reaches into this machine in a Secret."""

import base64
from pathlib import Path
from typing import Any

import pytest

from meshdns.sources.auth.kubeconfig import ClientConfig, KubeconfigEntry, build_client_config
from meshdns.sources.settings import SourceError

SERVER = {"server": "https://east.example:6443"}
TITLE = "Secret meshdns/east, key east"

REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "exec": ({}, {"exec": {"command": "sh"}}, "exec is refused in a kubeconfig that comes out of a Secret; use a serv"),
    "auth provider": (
        {},
        {"auth-provider": {"name": "gcp"}},
        "auth-provider is refused in a kubeconfig that comes",
    ),
    "token file": ({}, {"tokenFile": "/etc/shadow"}, "tokenFile is refused in a kubeconfig that comes out of a Secret"),
    "client certificate": ({}, {"client-certificate": "/c"}, "client-certificate is refused in a kubeconfig that"),
    "client key": ({}, {"client-key": "/k"}, "put its content into client-key-data in base64"),
    "authority": ({"certificate-authority": "/a"}, {}, "put its content into certificate-authority-data in base64"),
    "no verification": ({"insecure-skip-tls-verify": True}, {}, "give the server's certificate-authority-data"),
    "impersonation": ({}, {"as": "admin"}, "impersonation (as) is not supported; name the user who shall read"),
    "no server": ({"server": "file:///etc"}, {}, "the server 'file:///etc' is no https://host:port; correct it"),
    "another proxy": ({"proxy-url": "socks5://p:1"}, {}, "the proxy-url 'socks5://p:1' is not http:// or https://"),
    "no base64": ({"certificate-authority-data": "*"}, {}, "certificate-authority-data is not base64; correct it"),
    "header injection": ({}, {"token": "a\nb"}, "token is not one line of text; correct it"),
}


def read(cluster: dict[str, Any], user: dict[str, Any], folder: Path = Path("/"), *, trusted: bool) -> ClientConfig:
    """The access that these make."""
    return build_client_config(
        TITLE, KubeconfigEntry(SERVER | cluster, folder), KubeconfigEntry(user, folder), trusted=trusted
    )


@pytest.mark.parametrize("case", REFUSED)
def test_a_kubeconfig_from_a_secret_may_not_reach_into_this_machine(case: str) -> None:
    """The refusal names the Secret and the field, and says what to write instead."""
    cluster, user, message = REFUSED[case]
    with pytest.raises(SourceError) as caught:
        read(cluster, user, trusted=False)
    assert str(caught.value).startswith(f"{TITLE}: ")
    assert message in str(caught.value)


def test_a_kubeconfig_from_a_secret_may_hold_what_it_needs() -> None:
    """Data, a token, a server name and a proxy."""
    data = base64.b64encode(b"PEM").decode()
    cluster = {"certificate-authority-data": data, "tls-server-name": "api", "proxy-url": "http://proxy:3128"}
    found = read(cluster, {"token": "t", "client-certificate-data": data, "client-key-data": data}, trusted=False)
    assert (found.ca_bundle, found.certificate, found.key, found.token) == (b"PEM", b"PEM", b"PEM", "t")
    assert (found.server_name, found.proxy) == ("api", "http://proxy:3128")


def test_the_operators_own_file_may_name_files_beside_it(tmp_path: Path) -> None:
    """Certificates are read, so that a new content is another access; the token file is named, its content rotates."""
    (tmp_path / "ca.crt").write_bytes(b"one")
    before = read({"certificate-authority": "ca.crt"}, {"tokenFile": "token", "token": "old"}, tmp_path, trusted=True)
    assert (before.ca_bundle, before.referenced_files) == (b"one", (str(tmp_path / "ca.crt"),))
    assert (before.token, before.token_file) == ("", str(tmp_path / "token"))
    (tmp_path / "ca.crt").write_bytes(b"two")
    assert read({"certificate-authority": "ca.crt"}, {"tokenFile": "token"}, tmp_path, trusted=True) != before


def test_secrets_are_not_shown() -> None:
    """An access can be logged."""
    found = read({}, {"token": "s3cr3t", "username": "u", "password": "s3cr3t"}, trusted=True)
    assert "s3cr3t" not in repr(found)
