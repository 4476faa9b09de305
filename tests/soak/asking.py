"""A DNS client that asks one question after the other over UDP, as fast as it is told."""

import secrets
import socket
import struct

NXDOMAIN = 3
_ANSWER = struct.Struct("!HHIH")


class Lost(Exception):  # noqa: N818 - the answer is lost, not the program
    """No answer came in time."""


class Refused(Exception):  # noqa: N818 - as above
    """The answer is no address and no denial: it holds the RCODE."""


class Client:
    """Asks one server for A records."""

    def __init__(self, address: str, port: int, patience: float = 1.0) -> None:
        self._server = (address, port)
        self._patience = patience

    def address(self, name: str) -> str | None:
        """The one address of a name; None where it does not exist. Raises `Lost` and `Refused`."""
        number = secrets.token_bytes(2)
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        question = labels + b"\0\0\x01\0\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(self._patience)
            sock.connect(self._server)
            try:
                sock.send(number + b"\1\0\0\1\0\0\0\0\0\0" + question)
                reply = sock.recv(4096)
            except OSError as error:
                raise Lost(str(error)) from None
        return self._read(reply, number, 12 + len(question))

    @staticmethod
    def _read(reply: bytes, number: bytes, answers: int) -> str | None:
        rcode, count = reply[3] & 15, int.from_bytes(reply[6:8])
        if reply[:2] != number or rcode not in (0, NXDOMAIN) or (rcode == 0) != (count == 1):
            raise Refused(f"rcode {rcode} with {count} answers")
        if rcode == NXDOMAIN:
            return None
        at = answers + 2  # the owner is a pointer to the question
        rtype, _, _, length = _ANSWER.unpack_from(reply, at)
        if (rtype, length) != (1, 4):
            raise Refused(f"an answer of type {rtype}")
        return socket.inet_ntoa(reply[at + 10 : at + 14])
