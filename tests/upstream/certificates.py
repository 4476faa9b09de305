"""A private certificate authority and what it signs, made by OpenSSL's command for the length of a test run."""

import subprocess
from pathlib import Path
from typing import Final

from tests.rig.packages import program

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Signs certificates in `folder`; `file` is its own, which clients may trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "ca.crt"
        ca = "basicConstraints=critical,CA:TRUE"
        _openssl("req", "-x509", *_KEY, "-subj", "/CN=ca", "-addext", ca, "-keyout", self._key, "-out", self.file)

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return self.file.read_text("ascii")

    @property
    def _key(self) -> Path:
        return self._folder / "ca.key"

    def sign(self, title: str, names: str, *, days: int = 1) -> Path:
        """A file of key and certificate for `names` (``DNS:dns.test,IP:127.0.0.1``), long expired below 0 `days`."""
        key, request, signed = (self._folder / f"{title}.{suffix}" for suffix in ("key", "csr", "crt"))
        _openssl(
            "req", *_KEY, "-subj", f"/CN={title}", "-addext", f"subjectAltName={names}", "-keyout", key, "-out", request
        )
        by = ("-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-copy_extensions", "copy")
        _openssl("x509", "-req", "-in", request, *by, "-days", str(days), "-out", signed)
        return _joined(self._folder / f"{title}.pem", key, signed)

    def self_signed(self, names: str) -> Path:
        """A file of key and certificate that nobody vouches for."""
        key, signed = self._folder / "self.key", self._folder / "self.crt"
        san = f"subjectAltName={names}"
        _openssl("req", "-x509", *_KEY, "-subj", "/CN=self", "-addext", san, "-keyout", key, "-out", signed)
        return _joined(self._folder / "self.pem", key, signed)


def _joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def _openssl(*words: str | Path) -> None:
    subprocess.run([program("openssl"), *words], check=True, capture_output=True)
