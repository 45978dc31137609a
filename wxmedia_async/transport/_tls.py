"""TLS on a connected socket, resumed where the server allows it."""

from __future__ import annotations

import socket
import ssl
from collections import OrderedDict

import attrs

from ._origin import Origin
from ._waiting import Waiter

MAX_SESSIONS = 256
"""Servers whose last session is remembered."""

_Key = tuple[Origin, int, bool]


@attrs.define(eq=False)
class Sessions:
    """
    The last TLS session of each server, in memory only.

    A resumed handshake does not look at the certificate again: it trusts that
    the first one did. So a session is only offered to the same name and port,
    and under the same rules of verification, as it was made with.
    """

    _context: ssl.SSLContext
    _kept: OrderedDict[_Key, ssl.SSLSession] = attrs.field(
        factory=OrderedDict[_Key, ssl.SSLSession], init=False, repr=False
    )

    def get(self, origin: Origin) -> ssl.SSLSession | None:
        """Return what to resume, if anything."""
        key = self._key(origin)
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, origin: Origin, session: ssl.SSLSession) -> None:
        """Remember *session* in place of an older one."""
        self._kept[self._key(origin)] = session
        if len(self._kept) > MAX_SESSIONS:
            self._kept.popitem(last=False)

    def forget(self, origin: Origin) -> None:
        """Do not resume again what made trouble."""
        self._kept.pop(self._key(origin), None)

    def _key(self, origin: Origin) -> _Key:
        # The rules of the context may be changed after it was given to us.
        return origin, self._context.verify_mode, self._context.check_hostname


def encrypted(
    sock: socket.socket,
    context: ssl.SSLContext,
    server_name: str,
    session: ssl.SSLSession | None,
) -> ssl.SSLSocket:
    """
    Put TLS on *sock*, which is closed if that fails; the handshake is to follow.

    Raises:
        ValueError: The name of the server is none.
    """
    try:
        _check_name(server_name)
        return context.wrap_socket(
            sock,
            server_hostname=server_name,
            do_handshake_on_connect=False,
            # A stream cut short must not look like one that has ended.
            suppress_ragged_eofs=False,
            session=session,
        )
    except BaseException:
        sock.close()
        raise


def _check_name(name: str) -> None:
    # ssl finds out too late: it has taken the socket by then, and loses it.
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be in a certificate")
    name.encode("idna")


async def handshake(tls: ssl.SSLSocket, waiter: Waiter) -> None:
    """
    Agree with the server on everything.

    Raises:
        OSError: It failed; `ssl.SSLCertVerificationError` is one.
    """
    while not _shaken(tls):
        # It is a short message that there is always room for.
        await waiter.readable(None)
    protocol = tls.selected_alpn_protocol()
    if protocol not in (None, "http/1.1"):
        # A context that was made for HTTP/2 may have agreed on it.
        raise OSError(f"the server wants to speak {protocol}")


def _shaken(tls: ssl.SSLSocket) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
