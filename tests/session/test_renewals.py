"""What is known of refused tokens by all transfers of a client together."""

from __future__ import annotations

from wxmedia_async._session.renewals import Renewals


def test_three_in_a_row() -> None:
    """Three tokens that were refused one after the other are no bad luck."""
    renewals = Renewals()

    for token, successor in (("a", "b"), ("b", "c")):
        renewals.refused(token)
        renewals.replaced(token, successor)
    before = renewals.exhausted
    renewals.refused("c")

    assert not before
    assert renewals.exhausted
    assert renewals.is_dead("c")


def test_many_tell_of_one() -> None:
    """A hundred transfers that met one dead token have met one, early or late."""
    renewals = Renewals()

    for _ in range(50):
        renewals.refused("a")
    renewals.replaced("a", "b")
    for _ in range(50):
        renewals.refused("a")

    assert not renewals.exhausted
    assert renewals.newest("a") == "b"


def test_acceptance_in_between() -> None:
    """One transfer that is accepted shows that tokens are good."""
    renewals = Renewals()

    for number in range(20):
        renewals.refused(str(number))
        renewals.replaced(str(number), str(number + 1))
        renewals.accepted()

    assert not renewals.exhausted


def test_acceptance_that_is_told_late() -> None:
    """A token may be accepted, replaced and refused before its acceptance is told."""
    renewals = Renewals()
    for token, successor in (("a", "b"), ("b", "c")):
        renewals.refused(token)
        renewals.replaced(token, successor)

    renewals.accepted()
    renewals.refused("b")
    renewals.refused("c")

    assert not renewals.exhausted


def test_a_provider_that_comes_back() -> None:
    """Whatever a provider gives is the newest, an older one too; nothing goes round."""
    renewals = Renewals()

    renewals.replaced("a", "b")
    renewals.replaced("b", "a")

    assert renewals.newest("b") == "a"
    assert renewals.newest("a") == "a"


def test_memory_is_bounded() -> None:
    """Tokens of a long life are forgotten."""
    renewals = Renewals()

    for number in range(10_000):
        renewals.replaced(str(number), str(number + 1))

    assert renewals.newest("9999") == "10000"
    assert renewals.newest("0") == "0"
