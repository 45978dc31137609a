"""When an exchange may start: pause of the account, slot, permit of the rate."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import attrs

from .._errors import MediaError, Phase, RateLimited, TransferTimeout
from .._events import Story
from .._foreign import sealed
from .._models import RateLimiter
from .bound import Bound, Queue
from .transfer import Transfer


@attrs.define(eq=False, repr=False)
class AccountPace:
    """
    Whose calls WeChat counts: the pause that it wants, and who waits.

    Shared by all clients of one family whose tokens are equal.
    """

    queue: Queue = attrs.field(factory=Queue, init=False)
    _resumes: float = attrs.field(default=-math.inf, init=False)

    def pause(self, seconds: float) -> None:
        """Start no further exchange for *seconds*: WeChat wants fewer calls."""
        self._resumes = max(self._resumes, anyio.current_time() + seconds)

    @property
    def paused(self) -> bool:
        """Whether no exchange may start now."""
        # Most services never want a pause, and the clock costs something.
        return self._resumes > -math.inf and self._resumes > anyio.current_time()

    async def end_of_pause(self, transfer: Transfer) -> None:
        """
        Wait until exchanges may start again.

        Raises:
            RateLimited: At once, when that is beyond the deadline of *transfer*.
        """
        while (left := self._resumes - anyio.current_time()) > 0:
            if left >= transfer.time_left():
                raise _paused(left)
            if transfer.story is not None:
                transfer.story.paused(left)
            await anyio.sleep(left)


@attrs.frozen(eq=False, repr=False)
class Pace:
    """
    Leave for one exchange of an account at a time, its headers and its body.

    The only way in is `enter()`. The bound is one for a client and all that
    `with_options` made of it; the account and its rate are those of the token.
    """

    bound: Bound
    account: AccountPace
    limiter: RateLimiter | None

    @property
    def width(self) -> int:
        """The most exchanges that will ever be in flight."""
        return self.bound.width.highest

    async def enter(self, transfer: Transfer, patience: float | None) -> None:
        """
        Return when an exchange of *transfer* may start; it holds a slot then.

        First the pause, then the slot, and last the permit: a permit that was taken
        earlier would be used later, and then too many calls start at a time. The
        deadline stands still while it is for a slot that we wait.

        Args:
            patience: Seconds for slot and permit together; None: any number.

        Raises:
            RateLimited: The account pauses for longer than the transfer may take.

            TransferTimeout: There was no leave within *patience* seconds.

            RuntimeError: There never can be: see `nesting`.

            Raised: What a limiter of the user's raised.
        """
        waits = self.limiter is not None or self.account.paused
        if waits or not self.bound.take_at_once(self.account.queue):
            with _timed(transfer.story):
                await self._entered(transfer, patience)
        transfer.holds_slot = True
        transfer.began = time.monotonic()

    def leave(self, transfer: Transfer) -> None:
        """Give the slot of *transfer* back; once for each `enter()`."""
        transfer.holds_slot = False
        self.bound.give_back()

    def succeeded(self) -> None:
        """Take note that the service kept up."""
        self.bound.succeeded()

    def failed(self, failure: MediaError, began: float) -> None:
        """Take note of why an exchange that *began* then has failed."""
        if isinstance(failure, RateLimited):
            self.account.pause(failure.retry_after)
        self.bound.failed(failure, began)

    async def _entered(self, transfer: Transfer, patience: float | None) -> None:
        while True:
            await self.account.end_of_pause(transfer)
            missing = "slot was free"
            with anyio.move_on_after(patience) as scope:
                await self.bound.take(self.account.queue, transfer)
                missing = "permit of the rate came"
                await self._permit()
            if scope.cancelled_caught:
                raise TransferTimeout(
                    f"no {missing} for {patience} s", phase=Phase.LEAVE
                )
            if not self.account.paused:
                return
            # The pause began while this one waited.
            self.bound.give_back()

    async def _permit(self) -> None:
        """Wait for the rate, the only one of the account that holds a slot for it."""
        if self.limiter is None:
            return
        self.bound.hold_up(self.account.queue)
        try:
            with sealed:
                await self.limiter.acquire()
        except BaseException:
            self.bound.give_back()
            raise
        finally:
            self.bound.let_go(self.account.queue)


@contextmanager
def _timed(story: Story | None) -> Generator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        if story is not None:
            story.slot_wait += time.monotonic() - began


def _paused(seconds: float) -> RateLimited:
    error = RateLimited(
        f"not sent: WeChat wants fewer calls of this account for {seconds:.0f} s more"
    )
    error.retry_after = seconds
    return error
