"""Errors of sockets that are about this process or machine, and say nothing about an upstream."""

import errno
from typing import Final

_LOCAL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN})
"""No descriptors, no memory, no port that is free, or a full send buffer."""


def is_local_error(error: OSError) -> bool:
    """Return whether an error comes from a limit of this process or machine."""
    return error.errno in _LOCAL
