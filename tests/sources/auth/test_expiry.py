"""What credentials say of their own end."""

import base64
import json
import math
from pathlib import Path

import pytest

from meshdns.sources.auth.credentials import Credential, credential_expiry
from tests.upstream.certificates import Authority

END = 1_900_000_000


def jwt(payload: object) -> str:
    """A token of three parts, unsigned."""
    middle = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{middle}.c2ln"


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (jwt({"exp": END}), END),
        (jwt({"exp": END + 0.5, "sub": "é"}), END + 0.5),
        (jwt({"sub": "no end"}), math.inf),
        (jwt({"exp": "soon"}), math.inf),
        (jwt([END]), math.inf),
        ("a.b.c", math.inf),
        ("a.\x00é.c", math.inf),
        ("opaque", math.inf),
        ("", math.inf),
    ],
)
def test_tokens(token: str, expected: float) -> None:
    """The claim ``exp`` of a JWT; whatever else is no end, and no fault."""
    assert credential_expiry(Credential(token)) == expected


def test_the_first_end_counts() -> None:
    """Of a plugin's word and its token's the earlier one."""
    assert credential_expiry(Credential(jwt({"exp": END}), expires_at=END - 60)) == END - 60
    assert credential_expiry(Credential(jwt({"exp": END}), expires_at=END + 60)) == END


@pytest.mark.rig
@pytest.mark.parametrize("days", [2, 20_000])
def test_certificates(tmp_path: Path, days: int) -> None:
    """The end of a real certificate's validity, whichever way the year is written (RFC 5280 section 4.1.2.5)."""
    file = Authority(tmp_path).sign("client", "DNS:client.test", days=days)
    end = credential_expiry(Credential(certificate=file.read_bytes()))
    assert end == pytest.approx(file.stat().st_mtime + days * 86_400, abs=120)


@pytest.mark.parametrize("cut", range(0, 600, 7))
def test_damaged_certificates(cut: int) -> None:
    """What is cut off or no certificate at all says nothing."""
    body = base64.b64encode(bytes([0x30, 0x82, 1, 0x90, 0x30, 0x82, 1, 0x36] + [0xA0, 3] * cut)[:cut]).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    assert credential_expiry(Credential(certificate=pem.encode())) == math.inf
