from __future__ import annotations

import ssl

import attrs
import pytest
import trustme

from tests.fakes import JPEG
from tests.sockets.server import (
    Peer,
    Server,
    always,
    answers,
    client_to,
    said,
    whole,
)
from wxmedia_async import OFFICIAL_ACCOUNT, RetryPolicy, TransferError

ONCE = RetryPolicy(attempts=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    """What a server with a certificate of *authority* needs."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_next_host_is_tried_and_kept(refusing: str) -> None:
    """Fault 1: after a refused connection the platform's next host serves all."""
    with Server(always(whole())) as server:
        platform = attrs.evolve(OFFICIAL_ACCOUNT, hosts=(refusing, server.url))
        async with client_to(server, platform=platform, base_url=None) as client:
            first = await client.read("ID")
            client_in_a_hurry = client.with_options(retry=ONCE)
            second = await client_in_a_hurry.read("ID")

    assert first.content == second.content == JPEG


async def test_hosts_are_tried_in_turn(refusing: str) -> None:
    """Fault 1: from the last host it goes on to the first."""
    with Server(always(whole())) as server:
        hosts = (refusing, refusing, server.url)
        platform = attrs.evolve(OFFICIAL_ACCOUNT, hosts=hosts)
        async with client_to(server, platform=platform, base_url=None) as client:
            media = await client.read("ID")

    assert media.content == JPEG


async def test_refused_connection(refusing: str) -> None:
    """Fault 1: a refusal is tried again, then raised with the phase and the host."""
    with Server(always(whole())) as server:
        async with client_to(server, base_url=refusing) as client:
            with pytest.raises(TransferError, match="while connecting") as info:
                await client.read("ID")

    assert info.value.attempts == 4
    assert info.value.phase == "connect"
    assert "127.0.0.1" in str(info.value)


async def test_refused_call_is_sent_again(refusing: str) -> None:
    """Fault 1: even what must not be repeated is, since nothing was sent."""
    with Server(answers(said("{}"))) as server:
        platform = attrs.evolve(OFFICIAL_ACCOUNT, hosts=(refusing, server.url))
        async with client_to(server, platform=platform, base_url=None) as client:
            reply = await client.call("POST", "/cgi-bin/message/send", json={"n": 1})

    assert reply == {}
    assert server.requests[0].body == b'{"n":1}'


async def test_name_that_does_not_exist() -> None:
    """Fault 1: a name without an address is a failure to connect."""
    with Server(always(whole())) as server:
        async with client_to(
            server, base_url="http://nowhere.invalid", retry=ONCE
        ) as client:
            with pytest.raises(TransferError, match=r"nowhere\.invalid") as info:
                await client.read("ID")

    assert info.value.phase == "connect"
    assert info.value.retryable


async def test_name_that_cannot_exist() -> None:
    """Fault 1: a name too long for DNS is a failure to connect."""
    name = "a" * 70 + ".test"
    with Server(always(whole())) as server:
        async with client_to(server, base_url=f"http://{name}", retry=ONCE) as client:
            with pytest.raises(TransferError) as info:
                await client.read("ID")

    assert info.value.phase == "connect"


async def test_certificate_of_a_stranger(certified: ssl.SSLContext) -> None:
    """Fault 1: a certificate that does not verify is not tried again."""
    with Server(always(whole()), tls=certified) as server:
        async with client_to(server) as client:
            with pytest.raises(TransferError, match="certificate") as info:
                await client.read("ID")

    assert info.value.attempts == 1
    assert not info.value.retryable
    assert server.connections == 1


async def test_other_hosts_are_left_alone(certified: ssl.SSLContext) -> None:
    """Fault 1: no later transfer goes elsewhere because a certificate was wrong."""
    with (
        Server(always(whole()), tls=certified) as wrong,
        Server(always(whole())) as other,
    ):
        platform = attrs.evolve(OFFICIAL_ACCOUNT, hosts=(wrong.url, other.url))
        async with client_to(wrong, platform=platform, base_url=None) as client:
            for _ in range(2):
                with pytest.raises(TransferError, match="certificate"):
                    await client.read("ID")

    assert wrong.connections == 2
    assert other.connections == 0


async def test_certificate_of_a_friend(
    authority: trustme.CA, certified: ssl.SSLContext
) -> None:
    """A context of the user's decides which certificates are good."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Server(always(whole()), tls=certified) as server:
        async with client_to(server, verify=context) as client:
            media = await client.read("ID")
            uploaded_head = server.requests[0].head

    assert media.content == JPEG
    assert uploaded_head.startswith(b"GET /cgi-bin/media/get?")


async def test_server_without_tls() -> None:
    """Fault 1: plain text where TLS should be is a failure to connect."""

    def speaks_first(peer: Peer) -> None:
        peer.send(whole())
        peer.wait_closed()

    with Server(speaks_first) as server:
        url = server.url.replace("http:", "https:")
        async with client_to(server, base_url=url, retry=ONCE) as client:
            with pytest.raises(TransferError) as info:
                await client.read("ID")

    assert info.value.phase == "connect"
