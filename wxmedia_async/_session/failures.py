"""httpx's errors become ours, here and nowhere else."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator

import httpx
import idna

from .._errors import (
    MediaError,
    Phase,
    ServerBusy,
    TransferError,
    TransferTimeout,
    Truncated,
    UnexpectedReply,
)
from .._wire.redaction import excerpt
from .family import as_httpx

# What httpcore and h11 say when the peer went away; every other protocol error
# is a reply that is none.
_WENT_AWAY = (
    "server disconnected",
    "peer closed connection",
    "connection closed",
    "connectionterminated",
    "incomplete",
)


def translated(
    raised: Exception,
    *,
    host: str,
    phase: Phase,
    received: int = 0,
    expected: int | None = None,
    secrets: Collection[str] = (),
) -> MediaError:
    """
    Return our error for one of httpx's, with a cause that gives nothing away.

    Args:
        raised: What httpx or httpx2 raised, one of `httpx_errors()`.

        host: Whom we were talking to.

        phase: `Phase.SEND` until the reply's head is complete, then `RECEIVE`.

        received: Bytes of the body that came, for the text.

        expected: Bytes of the body that were announced, if so.

        secrets: What must not be in any text.
    """
    error = as_httpx(raised)
    # h11 quotes what it does not understand, which may be a page of text.
    told = excerpt(str(error).encode(errors="replace"), secrets) or type(error).__name__
    ours = _ours(error, told, host, phase, received, expected)
    ours.__cause__ = _without_request(error, told)
    return ours


def _ours(
    error: Exception,
    told: str,
    host: str,
    phase: Phase,
    received: int,
    expected: int | None,
) -> MediaError:
    if isinstance(error, httpx.HTTPStatusError):
        return _status_error(error.response.status_code, told)
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
        phase = Phase.CONNECT
    if isinstance(error, httpx.PoolTimeout):
        return TransferTimeout(
            f"no connection of the client was free: {told}", phase=Phase.LEAVE
        )
    where = _place(phase, host, received)
    if isinstance(error, httpx.TimeoutException):
        return TransferTimeout(f"timed out {where}: {told}", phase=phase)
    if isinstance(error, httpx.RemoteProtocolError):
        return _protocol_error(told, where, phase, received, expected)
    if isinstance(error, idna.IDNAError):
        return UnexpectedReply(f"a redirect to no host, {where}: {told}")
    failure = TransferError(f"failed {where}: {told}", phase=phase)
    if _is_hopeless(error):
        failure.retryable = False
    return failure


def _status_error(status: int, told: str) -> MediaError:
    """A hook of the user's has called `raise_for_status()` before we could look."""
    if status == 429 or status >= 500:
        return ServerBusy(told, status=status)
    return UnexpectedReply(told, status=status)


def _protocol_error(
    told: str, where: str, phase: Phase, received: int, expected: int | None
) -> MediaError:
    # Behind the colon stands what the peer sent, and it may say anything.
    reason = told.lower().partition(":")[0]
    went_away = any(words in reason for words in _WENT_AWAY)
    if went_away and phase is Phase.RECEIVE:
        return Truncated(expected=expected, received=received)
    if went_away:
        return TransferError(f"failed {where}: {told}", phase=phase)
    return UnexpectedReply(f"not valid HTTP, {where}: {told}")


def _place(phase: Phase, host: str, received: int) -> str:
    if phase is Phase.CONNECT:
        return f"while connecting to {host}"
    if phase is Phase.RECEIVE:
        return f"after {received} bytes from {host}"
    return f"before the reply of {host}"


def _is_hopeless(error: Exception) -> bool:
    """A wrong certificate or address stays wrong, however often it is tried."""
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return True
    if isinstance(error, (httpx.InvalidURL, httpx.StreamError)):
        return True
    return any(isinstance(e, ssl.SSLCertVerificationError) for e in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _without_request(error: Exception, told: str) -> Exception:
    """The original holds the request, and its traceback the frames that sent it."""
    # Some kinds are not made of a text alone.
    if isinstance(error, httpx.StreamError):
        return httpx.StreamError(told)
    if isinstance(error, httpx.HTTPStatusError):
        return httpx.HTTPError(told)
    if isinstance(error, idna.IDNAError):
        return idna.IDNAError(told)
    # Not always "httpx": httpx2 can go by its name.
    home = httpx.__name__
    theirs = (c for c in type(error).__mro__ if c.__module__.partition(".")[0] == home)
    return next(theirs)(told)  # type: ignore[no-any-return]
