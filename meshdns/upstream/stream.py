"""One query over one short-lived TCP connection (RFC 7766)."""

import asyncio

from meshdns.forwarding.addresses import Address


async def exchange(address: Address, message: bytes, *, seconds: float) -> bytes | None:
    """Send `message`, return the first message that comes back; None where none came in `seconds`, for any reason.

    Length and body leave in one write (RFC 7766 section 8); a reply is at most 65,535 octets by its length field.
    """
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                writer.write(len(message).to_bytes(2, "big") + message)
                length = int.from_bytes(await reader.readexactly(2), "big")
                return await reader.readexactly(length)
            finally:
                writer.transport.abort()
    except (OSError, EOFError):  # TimeoutError is an OSError, IncompleteReadError an EOFError
        return None
