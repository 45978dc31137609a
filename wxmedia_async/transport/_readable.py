"""Looking at a socket, without waiting, on every platform."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable


def looker(sock: socket.socket) -> Callable[[], bool]:
    """Return what tells, as often as it is asked, whether *sock* can be read at once."""
    if not hasattr(select, "poll"):
        # Windows. Elsewhere it fails for descriptors above 1 023.
        return lambda: bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return lambda: bool(poll.poll(0))


def breakage(sock: socket.socket) -> Callable[[], bool]:
    """Return what tells whether the connection of *sock* broke, and reads no bytes."""
    if not hasattr(select, "poll"):
        return lambda: False
    poll = select.poll()
    # Of errors it tells unasked.
    poll.register(sock, 0)
    return lambda: bool(poll.poll(0))
