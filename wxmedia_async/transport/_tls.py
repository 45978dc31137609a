"""TLS on a connected socket, resumed where the server allows it."""

from __future__ import annotations

import socket
import ssl
from collections import OrderedDict

import attrs

from ._origin import Origin
from ._waiting import Waiter, waiter_for

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
        return self._kept.get(self._key(origin))

    def put(self, origin: Origin, session: ssl.SSLSession) -> None:
        """Remember *session* in place of an older one."""
        key = self._key(origin)
        self._kept[key] = session
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_SESSIONS:
            self._kept.popitem(last=False)

    def forget(self, origin: Origin) -> None:
        """Do not resume again what made trouble."""
        self._kept.pop(self._key(origin), None)

    def _key(self, origin: Origin) -> _Key:
        # The rules of the context may be changed after it was given to us.
        return origin, self._context.verify_mode, self._context.check_hostname


async def encrypted(
    sock: socket.socket,
    context: ssl.SSLContext,
    server_name: str,
    session: ssl.SSLSession | None,
) -> ssl.SSLSocket:
    """
    Do the TLS handshake on *sock*, which is closed if that fails.

    Raises:
        OSError: It failed; `ssl.SSLCertVerificationError` is one.

        ValueError: The name of the server is none.
    """
    try:
        _check_name(server_name)
        tls = context.wrap_socket(
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
    try:
        await _handshake(tls, waiter_for(tls))
        _check_protocol(tls)
    except BaseException:
        tls.close()
        raise
    return tls


def _check_name(name: str) -> None:
    # ssl finds out too late: it has taken the socket by then, and loses it.
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be in a certificate")
    name.encode("idna")


async def _handshake(tls: ssl.SSLSocket, waiter: Waiter) -> None:
    while True:
        try:
            return tls.do_handshake()
        except ssl.SSLWantReadError:
            await waiter.readable(None)
        except ssl.SSLWantWriteError:
            await waiter.writable(None)


def _check_protocol(tls: ssl.SSLSocket) -> None:
    """A context that was made for HTTP/2 may have agreed on it."""
    protocol = tls.selected_alpn_protocol()
    if protocol not in (None, "http/1.1"):
        raise OSError(f"the server wants to speak {protocol}")
