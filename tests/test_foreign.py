from __future__ import annotations

import asyncio
import traceback

import anyio
import pytest

from wxmedia_async._foreign import Complaints, Raised, sealed, unsealed


async def _theirs(error: BaseException) -> None:
    await anyio.lowlevel.checkpoint()
    raise error


@pytest.mark.parametrize("kind", [ValueError, OSError, StopIteration, BaseException])
async def test_whatever_their_code_raises_is_sealed(kind: type[BaseException]) -> None:
    """No clause of ours sees the error itself, and the caller gets that very object."""
    error = kind("theirs")

    with pytest.raises(Raised) as caught, sealed:
        raise error

    assert caught.value.error is error
    with pytest.raises(kind) as out, unsealed:
        raise caught.value
    assert out.value is error


async def test_frames_and_context_are_theirs_alone() -> None:
    """An error that was unsealed leads to no frame and no error of ours."""
    error = ValueError("theirs")

    async def ours(token: str) -> None:
        with sealed:
            await _theirs(error)

    with pytest.raises(ValueError, match="theirs") as out, unsealed:
        await ours("secret")

    names = [frame.name for frame in traceback.extract_tb(out.value.__traceback__)]
    assert "ours" not in names
    assert "_theirs" in names
    assert out.value.__context__ is None


async def test_our_own_cancellation_passes() -> None:
    """A scope around their code cancels it as any other."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        with sealed:
            await anyio.sleep_forever()

    assert scope.cancelled_caught


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_native_cancellation_passes() -> None:
    """Task.cancel() of asyncio reaches through their code."""

    async def ours() -> None:
        with sealed:
            await anyio.sleep_forever()

    task = asyncio.ensure_future(ours())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancellation_of_something_of_theirs_is_sealed() -> None:
    """A future of theirs that was cancelled is a failure of theirs."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()

    with pytest.raises(Raised) as caught, sealed:
        await future

    assert isinstance(caught.value.error, asyncio.CancelledError)


async def test_cancellation_that_was_kept_is_sealed() -> None:
    """One of a scope that has ended says nothing of this task."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class() as error:
            kept = error
            raise

    with pytest.raises(Raised) as caught, sealed:
        raise kept

    assert caught.value.error is kept


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_passes(kind: type[BaseException]) -> None:
    """Nobody waits for an outcome then."""
    with pytest.raises(kind), sealed:
        raise kind


def test_complaints_come_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each helper that fails is told of once, and not in its own words."""
    complaints = Complaints()

    for _ in range(3):
        complaints.note("the upload cache", Raised(ValueError("token=SECRET")))
        complaints.note("the token store", OSError(28, "No space left on device"))

    assert [record.getMessage() for record in caplog.records] == [
        "the upload cache failed and is passed over: ValueError",
        "the token store failed and is passed over: OSError, No space left on device",
    ]
