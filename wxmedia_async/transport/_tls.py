"""TLS on a connected socket, resumed where the server and the context allow it."""

from __future__ import annotations

import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import attrs

from ._alpn import HTTP1, offering_http1
from ._certificates import Maker, maker_for
from ._origin import Origin
from ._turns import Turns
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
    and under the same rules of verification, as it was made with. And only if
    those are OpenSSL's alone: who looks at the certificates after a handshake, as
    those do that ask the operating system, would find none.
    """

    _encryption: Encryption
    _kept: OrderedDict[_Key, ssl.SSLSession] = attrs.field(
        factory=OrderedDict[_Key, ssl.SSLSession], init=False, repr=False
    )

    def get(self, origin: Origin) -> ssl.SSLSession | None:
        """Return what to resume, if anything."""
        if not _is_plain(self._encryption.context):
            return None
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
        context = self._encryption.context
        return origin, context.verify_mode, context.check_hostname


def _is_plain(context: ssl.SSLContext) -> bool:
    """Whether nothing of *context* is replaced, by a subclass or on the object."""
    return type(context).__module__ == "ssl" and not vars(context)


@attrs.define(eq=False)
class Encryption:
    """
    How connections are encrypted.

    The context is made for the first of them: that takes longer than all else that
    a client is made of, and many speak with a plain service only.

    Attributes:
        offering: Has a context offer HTTP/1.1, for the time of a block.
    """

    _make: Maker
    offering: Callable[[ssl.SSLContext], AbstractContextManager[None]]
    _context: ssl.SSLContext | None = attrs.field(default=None, init=False)
    _complaint: str | None = attrs.field(default=None, init=False)

    @property
    def context(self) -> ssl.SSLContext:
        """
        Decides everything but the protocol, which is HTTP/1.1.

        Raises:
            ValueError: It cannot be made; that is not tried a second time.
        """
        if self._complaint is not None:
            raise ValueError(self._complaint)
        if self._context is None:
            try:
                self._context = self._make()
            except ValueError as error:
                self._complaint = str(error)
                raise
        return self._context


def encryption_for(verify: ssl.SSLContext | bool) -> Encryption:
    """
    Return the encryption that *verify* asks for, as httpx understands it.

    A context of the user's is left as it is: it may serve others as well.

    Raises:
        TypeError: It is neither a context nor a bool.

        ValueError: The environment leads to no certificates.
    """
    make = maker_for(verify)
    if isinstance(verify, ssl.SSLContext):
        return Encryption(make, offering_http1)
    return Encryption(partial(_offering_always, make), lambda _: nullcontext())


def _offering_always(make: Maker) -> ssl.SSLContext:
    context = make()
    context.set_alpn_protocols(HTTP1)
    return context


def encrypted(
    sock: socket.socket,
    encryption: Encryption,
    server_name: str,
    session: ssl.SSLSession | None,
) -> ssl.SSLSocket:
    """
    Put TLS on *sock*, which is closed if that fails; the handshake is to follow.

    Raises:
        ValueError: The name of the server is none.
    """
    try:
        check_name(server_name)
        with encryption.offering(encryption.context):
            return encryption.context.wrap_socket(
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


def check_name(name: str) -> None:
    """
    Make sure that *name* can be in a certificate.

    ssl finds out too late, when it has taken the socket and loses it, and not always
    by the same error.

    Raises:
        ValueError: It cannot.
    """
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be in a certificate")
    name.encode("idna")


async def handshake(tls: ssl.SSLSocket, waiter: Waiter, turns: Turns) -> None:
    """
    Agree with the server on everything.

    Raises:
        OSError: It failed; `ssl.SSLCertVerificationError` is one.
    """
    while not _shaken(tls):
        # It is a short message that there is always room for.
        await waiter.readable(None)
        # What follows takes as long as a large piece of a body.
        await turns.take()
    protocol = tls.selected_alpn_protocol()
    if protocol not in (None, "http/1.1"):
        # A context may have its own way of offering protocols.
        raise OSError(f"the server wants to speak {protocol}")


def _shaken(tls: ssl.SSLSocket) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
