"""What the name servers of the rig have in common: they are ready when they answer a query."""

import secrets
import socket

from tests.rig.component import Component

# version.bind CH TXT (RFC 4892): each server answers or refuses it by itself, whatever it serves or forwards.
_QUESTION = b"\x07version\x04bind\x00\x00\x10\x00\x03"
_PATIENCE = 0.5  # seconds for one query on loopback


class NameServer(Component):
    """A DNS server on UDP and TCP `port` of `address`."""

    def ready(self) -> bool:
        """Whether a query over UDP is answered, with any rcode, and TCP connections are accepted."""
        query_id = secrets.token_bytes(2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(_PATIENCE)
            client.connect((self.address, self.port))
            client.send(query_id + bytes.fromhex("0000 0001 0000 0000 0000") + _QUESTION)
            answered = client.recv(512)[:2] == query_id
        with socket.create_connection((self.address, self.port), timeout=_PATIENCE):
            return answered
