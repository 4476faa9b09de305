"""Batched UDP on Linux: recvmmsg and sendmmsg by ctypes, one system call each for up to 64 messages.

Rules:
- A message is answered in place: the reply overwrites it behind the id, and the header that the kernel filled in on
  receipt (peer address, and on a wildcard bind the address that was queried: IP_PKTINFO) serves for the send.
- Source port 0 is dropped at receipt: it cannot be answered, and sendmmsg would stop at it.
- On a short return of sendmmsg the failing message is skipped and counted, and the others go on.
- No allocation per message besides the key of the lookup.
- Replies that come after their batch is over leave together, in one system call for those of one turn of the loop.
"""

import ctypes
import errno
import os
import select
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Final

from meshdns.worker.recorder import SendReply
from meshdns.worker.reply_metrics import PLUGIN_MESH
from meshdns.worker.responder import Responder
from meshdns.worker.scoreboard_counters import WorkerCounters

BATCH_SIZE: Final = 64
SLOT_SIZE: Final = 2048  # bytes per message; queries are small, replies at most 1232
_NAME_SIZE: Final = 28  # sizeof(struct sockaddr_in6)
_CONTROL_SIZE: Final = 64  # room for one IP_PKTINFO or IPV6_PKTINFO
_IP_PKTINFO: Final = 8  # linux/in.h; Python names it from 3.14 on
_SEND_TIMEOUT_MS: Final = 5  # ms to wait for room in the send buffer before giving up on the rest


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("hdr", _Msghdr), ("len", ctypes.c_uint32))


_HEADER_SIZE: Final = ctypes.sizeof(_Mmsghdr)
_LEN_WORD: Final = _Mmsghdr.len.offset // 4


class BatchSocket:
    """A bound UDP socket and the memory for one batch. `call_soon` calls what it is given when this turn is over."""

    def __init__(
        self, sock: socket.socket, counters: WorkerCounters, call_soon: Callable[[Callable[[], None]], object]
    ) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg = libc.recvmmsg
        self._sendmmsg = libc.sendmmsg
        self._sock = sock
        self._counters = counters
        self._fd = sock.fileno()
        self._ipv6 = sock.family == socket.AF_INET6
        self._buffer = bytearray(BATCH_SIZE * SLOT_SIZE)
        self._names = bytearray(BATCH_SIZE * _NAME_SIZE)
        self._control = bytearray(BATCH_SIZE * _CONTROL_SIZE)
        self._iovecs = (_Iovec * BATCH_SIZE)()
        self._headers = (_Mmsghdr * BATCH_SIZE)()
        self._uncached: set[int] = set()  # places in the batch that were not answered from cached replies
        self._call_soon = call_soon
        self._deferred: list[tuple[bytes, bytes, bytes]] = []  # peer, control message and reply, after their batches
        self._wildcard = _enable_pktinfo(sock)
        self._lay_out(wildcard=self._wildcard)
        self._headers_template = bytes(self._headers)
        self._iovecs_template = bytes(self._iovecs)
        self._slots = memoryview(self._buffer)
        self._sizes = memoryview(self._headers).cast("B").cast("I")[_LEN_WORD :: _HEADER_SIZE // 4]
        self._lengths = memoryview(self._iovecs).cast("B").cast("Q")[1::2]
        self._name_bytes = memoryview(self._names)
        self._ports = memoryview(self._names).cast("H")[1 :: _NAME_SIZE // 2]
        self._hosts = memoryview(self._names).cast("I")[1 :: _NAME_SIZE // 4]  # of IPv4, behind family and port
        self._header_bytes = memoryview(self._headers).cast("B")

    def _lay_out(self, *, wildcard: bool) -> None:
        buffer, names, control = (_address_of(each) for each in (self._buffer, self._names, self._control))
        for i in range(BATCH_SIZE):
            self._iovecs[i].base = buffer + i * SLOT_SIZE
            self._iovecs[i].len = SLOT_SIZE
            header = self._headers[i].hdr
            header.name = names + i * _NAME_SIZE
            header.namelen = _NAME_SIZE
            header.iov = ctypes.addressof(self._iovecs[i])
            header.iovlen = 1
            header.control = control + i * _CONTROL_SIZE if wildcard else None
            header.controllen = _CONTROL_SIZE if wildcard else 0

    def serve_batch(self, responder: Responder) -> int:
        """Receive one batch, answer it, send the replies; returns how many messages came."""
        count: int = self._recvmmsg(self._fd, self._headers, BATCH_SIZE, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return 0
        began, hits_before = perf_counter(), responder.counters.reply_cache_hits
        try:
            silent = self._answer(count, responder)
            self._send(count - self._compact(count, silent))
            responder.metrics.observe_batch(responder.counters.reply_cache_hits - hits_before, perf_counter() - began)
        finally:
            self._reset()
        return count

    def _reset(self) -> None:
        """Undo what the kernel and the answers changed in the headers."""
        self._header_bytes[:] = self._headers_template
        ctypes.memmove(self._iovecs, self._iovecs_template, len(self._iovecs_template))

    def _answer(self, count: int, responder: Responder) -> list[int]:
        """Write the replies into the batch; returns the places that get none (now)."""
        octets, lengths = self._slots, self._lengths
        get = responder.cached_replies.get
        admitted = responder.access_list.admitted_keys
        hits_by_series = responder.metrics.cached_hits[self._ipv6]
        silent: list[int] = []
        asked = self._copies(count) if responder.sampler.is_enabled else []
        self._uncached.clear()
        hits = 0
        at = 0
        sizes, ports = self._sizes[:count].tolist(), self._ports[:count].tolist()
        for i, (size, port, host) in enumerate(zip(sizes, ports, self._sources(count), strict=True)):
            found = get(octets[at + 2 : at + size].tobytes())
            if found is not None and port and host in admitted:
                series_id, variants = found
                hits_by_series[series_id] += 1
                body = variants[0] if len(variants) == 1 else variants[octets[at + 1] % len(variants)]
                end = len(body) + 2
                octets[at + 2 : at + end] = body
                lengths[i] = end
                hits += 1
            elif not self._answer_uncached(i, octets[at : at + size].tobytes(), responder):
                silent.append(i)
            at += SLOT_SIZE
        responder.counters.queries += count
        responder.counters.reply_cache_hits += hits
        if asked:
            self._sample_cached(asked, responder)
        return silent

    def _copies(self, count: int) -> list[bytes]:
        """Return copies of the messages of a batch, which are overwritten by their replies."""
        return [self._slots[i * SLOT_SIZE : i * SLOT_SIZE + self._sizes[i]].tobytes() for i in range(count)]

    def _sample_cached(self, asked: list[bytes], responder: Responder) -> None:
        """Offer the queries that were answered from cached replies to the sampler, with a duration of 0."""
        for i, data in enumerate(asked):
            if i not in self._uncached:
                reply = self._slots[i * SLOT_SIZE : i * SLOT_SIZE + self._lengths[i]].tobytes()
                found = responder.cached_replies.get(data[2:])
                plugin = responder.metrics.plugin_of(found[0]) if found is not None else PLUGIN_MESH
                responder.sampler.offer(data, reply, self.source(i), self._ports[i], plugin, seconds=0.0, tcp=False)

    def _sources(self, count: int) -> list[int] | list[bytes]:
        """Return the source addresses of a batch as the access list holds them (`meshdns.worker.acl.source_key`)."""
        if self._ipv6:
            return [self.source(i) for i in range(count)]
        hosts: list[int] = self._hosts[:count].tolist()
        return hosts

    def _answer_uncached(self, i: int, data: bytes, responder: Responder) -> bool:
        self._uncached.add(i)
        if not self._ports[i]:
            self._counters.zero_source_port += 1
            return False
        reply = responder.respond(data, self.source(i), self._ports[i], lambda: self._reply_sender(i), tcp=False)
        if reply is None:
            return False
        at = i * SLOT_SIZE
        self._slots[at : at + len(reply)] = reply
        self._lengths[i] = len(reply)
        return True

    def source(self, i: int) -> bytes:
        """Return the packed source address of message `i`."""
        at = i * _NAME_SIZE
        if self._ipv6:
            return bytes(self._names[at + 8 : at + 24])
        return bytes(self._names[at + 4 : at + 8])

    def _compact(self, count: int, silent: list[int]) -> int:
        """Move the headers of answered messages together; returns how many are silent."""
        if silent:
            headers = self._header_bytes
            skip = set(silent)
            to = 0
            for i in range(count):
                if i not in skip:
                    if to != i:
                        headers[to * _HEADER_SIZE : (to + 1) * _HEADER_SIZE] = headers[
                            i * _HEADER_SIZE : (i + 1) * _HEADER_SIZE
                        ]
                    to += 1
        return len(silent)

    def _send(self, count: int) -> None:
        start = 0
        while start < count:
            at = ctypes.byref(self._headers, start * _HEADER_SIZE)
            sent: int = self._sendmmsg(self._fd, at, count - start, socket.MSG_DONTWAIT)
            if sent > 0:
                start += sent
                continue
            if ctypes.get_errno() in (errno.EAGAIN, errno.ENOBUFS) and self._wait_writable():
                continue
            self._counters.send_failed += 1
            start += 1

    def _wait_writable(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(_SEND_TIMEOUT_MS))

    def _reply_sender(self, i: int) -> SendReply:
        """Return a function that sends a reply to message `i` after this batch is over."""
        name = self._name_bytes[i * _NAME_SIZE : (i + 1) * _NAME_SIZE].tobytes()
        control = b""
        if self._wildcard:
            control = bytes(self._control[i * _CONTROL_SIZE : i * _CONTROL_SIZE + int(self._headers[i].hdr.controllen)])

        def deliver(reply: bytes) -> None:
            if not self._deferred:
                self._call_soon(self.flush)
            self._deferred.append((name, control, reply))

        return deliver

    def flush(self) -> None:
        """Send the replies that came since their batches were over; not to be called while one is answered."""
        late, self._deferred = self._deferred, []
        for start in range(0, len(late), BATCH_SIZE):
            batch = late[start : start + BATCH_SIZE]
            for i, (name, control, reply) in enumerate(batch):
                self._slots[i * SLOT_SIZE : i * SLOT_SIZE + len(reply)] = reply
                self._lengths[i] = len(reply)
                self._name_bytes[i * _NAME_SIZE : (i + 1) * _NAME_SIZE] = name
                if control:
                    self._control[i * _CONTROL_SIZE : i * _CONTROL_SIZE + len(control)] = control
                    self._headers[i].hdr.controllen = len(control)
            try:
                self._send(len(batch))
            finally:
                self._reset()


def _enable_pktinfo(sock: socket.socket) -> bool:
    """On a wildcard bind, make the kernel report which address was queried; return whether it does."""
    host = sock.getsockname()[0]
    if host == "0.0.0.0":  # noqa: S104 — compared, not bound
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        return True
    if host == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        return True
    return False


def _address_of(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def is_available() -> bool:
    """Return whether this machine has the two system calls and the layout used here."""
    return os.uname().sysname == "Linux" and ctypes.sizeof(ctypes.c_void_p) == 8
