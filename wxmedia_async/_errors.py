"""
Everything that this library raises on purpose:

* MediaError
  + APIError               WeChat answered with an errcode
    - TokenRejected        three fetched tokens in a row were refused
    - CredentialsError     wrong id, secret or IP address
    - PermissionDenied     the account may not call this
    - MediaNotFound        wrong, expired, or another account's id
    - MediaRejected        type, size or content refused
    - RateLimited          slow down
    - QuotaExceeded        today's calls are used up
    - ServerBusy           and retries did not help
  + TransferError          the bytes did not get through
    - Truncated            fewer bytes than announced
    - TransferTimeout      a read or write, the deadline, or a server that drips
  + TooLarge               more than max_bytes or the type's limit
  + SourceChanged          the file grew or shrank while it was sent
  + UnsafeURL              a video_url that must not be fetched
  + UnexpectedReply        neither media nor a documented reply
  + ClientClosed           used after aclose()

Failures of the local disk stay `OSError`; a wrong argument is `ValueError` or
`TypeError`. `DestinationUnusable` is for users to raise.
"""

from __future__ import annotations

import enum
from typing import Any


class Phase(enum.StrEnum):
    """
    Where a transfer was when it failed, and what follows from that.

    ``leave``: it waited for leave to start (a slot, the pool of a client of yours, a
    limiter). ``connect``: nobody had answered yet. ``send``: before the reply's head
    was complete. ``receive``: in the reply's body.
    """

    LEAVE = "leave"
    CONNECT = "connect"
    SEND = "send"
    RECEIVE = "receive"

    @property
    def nothing_sent(self) -> bool:
        """Whether WeChat cannot have seen any of the request."""
        return self in (Phase.LEAVE, Phase.CONNECT)

    @property
    def host_at_fault(self) -> bool:
        """Whether another host of the platform may do better."""
        return self is Phase.CONNECT

    @property
    def service_at_fault(self) -> bool:
        """Whether it tells how much the service copes with."""
        return self is not Phase.LEAVE


class MediaError(Exception):
    """
    Base class of everything this library raises on purpose.

    Attributes:
        retryable: Whether the same call may succeed later.

        attempts: How many times the transfer was tried, 0 when it was refused
            before any request.

        remark: What else the caller should know, shown after the message.
    """

    retryable: bool = False
    attempts: int = 0
    remark: str | None = None

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text} ({self.remark})" if self.remark else text

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls __init__ with args alone, and so loses
        # every fact that is given by keyword.
        return _restore, (type(self), self.args, self.__dict__.copy())


def _restore(
    cls: type[MediaError], args: tuple[object, ...], facts: dict[str, object]
) -> MediaError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class APIError(MediaError):
    """
    WeChat answered with an errcode.

    Attributes:
        code: The errcode, or None where only the HTTP status says so.

        message: WeChat's errmsg. For people; never match on it.

        rid: WeChat's id of the request, to be quoted to their support.

        hint: WeChat's trace hint, the older kind of `rid`.

        status: The HTTP status, nearly always 200; None before any request.
    """

    def __init__(
        self,
        message: str = "",
        *,
        code: int | None = None,
        rid: str | None = None,
        hint: str | None = None,
        status: int | None = None,
    ) -> None:
        label = _label(code, status)
        super().__init__(": ".join(filter(None, (label, message))))
        self.code = code
        self.message = message
        self.rid = rid
        self.hint = hint
        self.status = status


def _label(code: int | None, status: int | None) -> str:
    """What there was of a reply, if any."""
    if code is not None:
        return f"errcode {code}"
    return "" if status is None else f"HTTP {status}"


class TokenRejected(APIError):
    """
    Three tokens in a row were refused, each of them freshly fetched.

    Or one that nothing can renew, such as a plain str. Most often another program
    fetches tokens for the same account, which ends those of this one.
    """


class CredentialsError(APIError):
    """
    The appid, the secret or the caller's address is wrong: a matter for people.

    Attributes:
        ip: The address that WeChat saw and that is not on the account's list
            of permitted ones, where WeChat names it.
    """

    ip: str | None = None


class PermissionDenied(APIError):
    """The account may not call this interface: see the rights in WeChat's console."""


class MediaNotFound(APIError):
    """The media_id is wrong, older than three days, or another account's."""


class MediaRejected(APIError):
    """Type, size or content were refused."""


class RateLimited(APIError):
    """
    WeChat wants fewer calls for a while.

    Attributes:
        retry_after: Seconds to wait before any further call.
    """

    retryable = True
    retry_after: float = 60.0


class QuotaExceeded(APIError):
    """Today's calls are used up; the count starts again at midnight, UTC+8."""


class ServerBusy(APIError):
    """
    WeChat was too busy, and retries did not help.

    Attributes:
        retry_after: Seconds after which it wants to be asked again, where the reply
            said so (``Retry-After``); else None.
    """

    retryable = True
    retry_after: float | None = None


class TransferError(MediaError):
    """
    The bytes did not get through.

    Attributes:
        phase: Where it happened; see `Phase`, which is a str as well.
    """

    retryable = True

    def __init__(self, message: str = "", *, phase: Phase = Phase.SEND) -> None:
        super().__init__(message)
        self.phase: Phase = Phase(phase)


class Truncated(TransferError):
    """
    Fewer bytes arrived than were announced.

    Attributes:
        expected: The announced length in bytes; None where the framing alone
            showed that something is missing.

        received: The bytes that did arrive.
    """

    def __init__(self, *, expected: int | None, received: int) -> None:
        promised = "more" if expected is None else expected
        super().__init__(
            f"the body ended after {received} bytes, {promised} were announced",
            phase=Phase.RECEIVE,
        )
        self.expected = expected
        self.received = received


class TransferTimeout(TransferError):
    """A single read or write, or the whole transfer, took too long."""


class TooLarge(MediaError):
    """
    More bytes than allowed.

    Attributes:
        limit: The most bytes that are allowed.

        size: The bytes that there are, as far as is known.
    """

    def __init__(self, *, limit: int, size: int) -> None:
        super().__init__(
            f"the media has {size} bytes or more; at most {limit} are allowed"
        )
        self.limit = limit
        self.size = size


class SourceChanged(MediaError):
    """The source was changed while it was sent, or its length is not the given one."""


class UnsafeURL(MediaError):
    """
    WeChat named a video_url that must not be fetched.

    Attributes:
        host: The host in question, or None where the URL has none.
    """

    def __init__(self, message: str = "", *, host: str | None = None) -> None:
        super().__init__(message)
        self.host = host


class UnexpectedReply(MediaError):
    """
    Neither media nor a documented reply.

    Attributes:
        status: The HTTP status, or None where there was no valid one.

        excerpt: The first characters of the body, at most 200, redacted.
    """

    def __init__(
        self, message: str = "", *, status: int | None = None, excerpt: str = ""
    ) -> None:
        super().__init__(f"{message}: {excerpt}" if excerpt else message)
        self.status = status
        self.excerpt = excerpt


class ClientClosed(MediaError):
    """The client was closed, before the call or while it ran."""


class DestinationUnusable(Exception):
    """
    A `Destination` can store nothing: the bucket is gone, say, or locked.

    Raised by its ``put``, it ends a batch: the rest of the items fail with it,
    without a request each. A single download raises it as it is.

    Args:
        cause: What stands in the way, in words or as an exception, which becomes
            its ``__cause__``.
    """

    def __init__(self, cause: BaseException | str = "") -> None:
        super().__init__(cause)
        if isinstance(cause, BaseException):
            setattr(self, "__cause__", cause)  # noqa: B010  an annotation would clash
