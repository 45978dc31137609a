"""What httpx calls the network stream of a response, as far as it can be shown."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any

import attrs

from ._readable import looker


@attrs.define(eq=False)
class NetworkStream:
    """
    The facts of a connection, by the names that httpx gives them.

    It cannot be read or written: its bytes belong to a request.
    """

    _sock: socket.socket
    _addresses: dict[str, Any] = attrs.field(factory=dict[str, Any], init=False)

    def __attrs_post_init__(self) -> None:
        # Most users look once the reply is there, and the socket may be closed.
        with suppress(OSError):
            self._addresses["client_addr"] = self._sock.getsockname()
            self._addresses["server_addr"] = self._sock.getpeername()

    # Any: httpx has it so, and each name has a type of its own.
    def get_extra_info(self, info: str) -> Any:
        """
        Return what *info* names, or None.

        Args:
            info: ``socket``, ``ssl_object``, ``client_addr``, ``server_addr`` or
                ``is_readable``. The socket is for looking at, and never blocks.
        """
        if info == "socket":
            return self._sock
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        if info == "is_readable":
            return self._sock.fileno() < 0 or looker(self._sock)()
        return self._addresses.get(info)
