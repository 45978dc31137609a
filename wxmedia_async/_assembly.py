"""What a client is put together from, and how its children differ."""

from __future__ import annotations

import enum
import ssl
from typing import Literal, Self, cast

import anyio
import attrs
import httpx

from ._batch.order import Scope
from ._events import EventCallback
from ._foreign import Complaints
from ._models import Adaptive, Rate, RateLimiter, RetryPolicy
from ._platforms import Platform
from ._session.accounts import Accounts
from ._session.bound import Bound, width_for
from ._session.family import AsyncClient, family_of
from ._session.hosts import Hosts
from ._session.lifetime import Lifetime
from ._session.pace import Pace
from ._session.rate import limiter_for
from ._session.renewals import Renewals
from ._session.requests import HEADERS, Requests
from ._session.session import Session
from ._session.urls import shown_url
from ._tokens.account import account_name, identity_of
from ._tokens.bound import bind
from ._tokens.checked import checked
from ._tokens.providers import TokenLike
from ._upload.caches import UploadCache
from ._upload.reuse import Reuse, account_of
from ._upload.upload import Means
from .transport._client import own_client

# Well below the 1 024 descriptors that a process has by default.
_OPEN_SOURCES = 256

_USER_AGENT = {"User-Agent": "wxmedia_async"}


class Unchanged(enum.Enum):
    """An option that was not given, where None means something."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


@attrs.frozen(eq=False, repr=False)
class Assembly:
    """
    The parts of a client.

    Attributes:
        session: Sends.

        means: What uploads need beside it.

        account: The name of the account, where it is known.
    """

    session: Session
    means: Means
    account: str | None
    _accounts: Accounts
    _complaints: Complaints

    @property
    def scope(self) -> Scope:
        """What a manifest's records are good for."""
        url = self.session.requests.hosts.urls[0].rstrip("/")
        return Scope(self.session.platform.name, url, self.account)

    def limited(
        self,
        timeout: float | httpx.Timeout | Unchanged,
        deadline: float | Unchanged | None,
    ) -> Session:
        """Return the session with other limits, for one call."""
        session = self.session
        if not isinstance(timeout, Unchanged):
            requests = attrs.evolve(session.requests, timeout=timeout_of(timeout))
            session = attrs.evolve(session, requests=requests)
        if not isinstance(deadline, Unchanged):
            session = attrs.evolve(session, deadline=deadline_of(deadline))
        return session

    def with_limits(
        self,
        timeout: float | httpx.Timeout | Unchanged,
        deadline: float | Unchanged | None,
    ) -> Self:
        """Return one with other limits."""
        return attrs.evolve(self, session=self.limited(timeout, deadline))

    def with_policy(self, retry: RetryPolicy) -> Self:
        """Return one that is more or less patient."""
        return attrs.evolve(self, session=attrs.evolve(self.session, policy=retry))

    def with_rate(self, rate: Rate | RateLimiter | None) -> Self:
        """Return one with a rate of its own."""
        pace = attrs.evolve(self.session.pace, limiter=limiter_for(rate))
        return attrs.evolve(self, session=attrs.evolve(self.session, pace=pace))

    def with_token(self, token: TokenLike) -> Self:
        """
        Return one with another token.

        A pause, and a rate, are those of an account; the bound is one for all.
        """
        session, reuse = self.session, self.means.reuse
        account = self._accounts.of(identity_of(token))
        if account is not session.pace.account:
            pace = attrs.evolve(session.pace, account=account, limiter=None)
            session = attrs.evolve(session, pace=pace)
        means = attrs.evolve(self.means, reuse=reuse and reuse.of_account(token))
        return attrs.evolve(
            self,
            session=_bound(session, token, self._complaints),
            means=means,
            account=account_name(token),
        )


def assembled(
    token: TokenLike,
    *,
    platform: Platform,
    base_url: str | None,
    http: AsyncClient | None,
    max_concurrency: int | Adaptive,
    retry: RetryPolicy,
    timeout: float | httpx.Timeout,
    deadline: float | None,
    verify: ssl.SSLContext | bool,
    rate: Rate | RateLimiter | None,
    file_io: Literal["inline", "thread"],
    upload_cache: UploadCache | None,
    account: str | None,
    on_event: EventCallback | None,
) -> Assembly:
    """Put a client together from what `MediaClient` was given, and refuse the rest."""
    if file_io not in ("inline", "thread"):
        raise ValueError("file_io must be 'inline' or 'thread'")
    if not isinstance(platform, Platform):
        raise TypeError("platform must be a Platform, such as WECOM")
    if on_event is not None and not callable(on_event):
        raise TypeError("on_event must be a function that takes one Event")
    urls = platform.hosts if base_url is None else (_checked(base_url),)
    accounts, complaints = Accounts(), Complaints()
    session = Session(
        requests=_requests(http, verify, urls, timeout_of(timeout)),
        platform=platform,
        pace=Pace(
            Bound(width_for(max_concurrency)),
            accounts.of(identity_of(token)),
            limiter_for(rate),
        ),
        tokens=None,
        renewals=Renewals(),
        policy=retry,
        deadline=deadline_of(deadline),
        lifetime=Lifetime(),
        on_event=on_event,
    )
    means = Means(
        file_io=file_io,
        open_sources=anyio.Semaphore(_OPEN_SOURCES, fast_acquire=True),
        reuse=None
        if upload_cache is None
        else Reuse(
            upload_cache,
            urls[0],
            account_of(token, account),
            platform.wecom,
            complaints,
        ),
    )
    owner = account_name(token) if account is None else account
    session = _bound(session, token, complaints)
    return Assembly(session, means, owner, accounts, complaints)


def _requests(
    http: AsyncClient | None,
    verify: ssl.SSLContext | bool,
    urls: tuple[str, ...],
    timeout: httpx.Timeout,
) -> Requests:
    owns_http, shortcut = http is None, None
    if http is None:
        http, shortcut = own_client(
            verify, always=_USER_AGENT, headers=HEADERS, shown=shown_url
        )
    return Requests(
        http=http,
        owns_http=owns_http,
        family=family_of(http),
        hosts=Hosts(urls),
        timeout=timeout,
        shortcut=shortcut,
    )


def _bound(session: Session, token: TokenLike, complaints: Complaints) -> Session:
    # The endpoint is called by a session without a token, or it would wait for
    # itself.
    anonymous = attrs.evolve(session, tokens=None, renewals=Renewals())
    base_url = session.requests.hosts.urls[0]
    provider = bind(token, anonymous.fetch_token, scope=base_url, complaints=complaints)
    return attrs.evolve(anonymous, tokens=checked(provider))


def timeout_of(timeout: float | httpx.Timeout) -> httpx.Timeout:
    """Make a number of seconds, or httpx2's kind, an `httpx.Timeout`."""
    if isinstance(timeout, httpx.Timeout):
        return timeout
    if callable(each := getattr(timeout, "as_dict", None)):
        return httpx.Timeout(**cast("dict[str, float | None]", each()))
    return httpx.Timeout(_positive(timeout, "timeout"), pool=None)


def deadline_of(deadline: float | None) -> float | None:
    """Refuse what is no time."""
    return None if deadline is None else _positive(deadline, "deadline")


def _positive(seconds: float, name: str) -> float:
    if not seconds > 0:  # which NaN is not either
        raise ValueError(f"{name} must be a positive number of seconds")
    return seconds


def _checked(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"base_url is not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(
            "base_url must begin with http:// or https://, and name a host"
        )
    if url.userinfo:
        # It would have to join every kind of request, and be kept out of every text.
        raise ValueError(
            "base_url must not hold a user name; set client.http.auth instead"
        )
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("base_url has a port that cannot exist")
    if url.query or url.fragment:
        raise ValueError("base_url must not have a query or a fragment")
    return base_url
