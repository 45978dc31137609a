"""What is asked of the simulator wrongly, or too early."""

from __future__ import annotations

import gc
import socket

import anyio
import httpx
import pytest

from wxmedia_async import WECOM, AppToken, CredentialsError
from wxmedia_async.simulator import Fault, Simulator
from wxmedia_async.simulator._inprocess import InProcess
from wxmedia_async.simulator.serve import serve


@pytest.mark.parametrize("fault", [0, 1, 99, 600, 999, True, "nonsense"])
def test_no_such_fault(fault: Fault) -> None:
    """What is no errcode, status or name of a fault is refused at once."""
    with pytest.raises(ValueError, match="fault"):
        Simulator().fail(1, fault)


@pytest.mark.parametrize("fault", [-1000, -1, 100, 502, 599, 1000, 40001, "slow"])
def test_every_fault(fault: Fault) -> None:
    """Errcodes, statuses and names of faults are taken."""
    Simulator().fail(1, fault)


def test_a_negative_number_of_calls() -> None:
    """A negative number of calls is refused."""
    with pytest.raises(ValueError, match="negative"):
        Simulator().fail(-1, 40001)


async def test_the_address_that_is_not_permitted() -> None:
    """40164 names the caller's address, as the service does."""
    simulator = Simulator()
    simulator.fail(1, 40164, on="token")

    async with simulator.client(token=AppToken("appid", "secret")) as client:
        with pytest.raises(CredentialsError) as refused:
            await client.read("any")

    assert refused.value.ip == "127.0.0.1"


@pytest.mark.parametrize("control", ["\n", "\r", "\0", "\x7f"])
async def test_control_characters_in_a_name(control: str) -> None:
    """A name that would break the head of a download is no name."""
    simulator = Simulator(WECOM)
    simulator.open_access = True
    body = (
        f'--b\r\nContent-Disposition: form-data; name="media"; filename="a{control}'
        'X-More: 1.jpg"\r\n\r\n0123456789\r\n--b--\r\n'
    )

    async with httpx.AsyncClient(transport=InProcess(simulator)) as http:
        reply = await http.post(
            "http://simulator/cgi-bin/media/upload?type=image",
            content=body,
            headers={"content-type": "multipart/form-data; boundary=b"},
        )

    assert reply.json()["errcode"] == 41005
    assert simulator.media == {}


async def test_serving_that_is_cancelled_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A caller who is cancelled before the first await leaves no open port."""
    opened: list[socket.socket] = []
    create = socket.create_server

    def remember(*args: object, **options: object) -> socket.socket:
        opened.append(create(*args, **options))  # type: ignore[arg-type]  # as it is
        return opened[-1]

    monkeypatch.setattr(socket, "create_server", remember)
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with serve(Simulator()):
            await anyio.sleep_forever()

    gc.collect()
    assert [port.fileno() for port in opened] == [-1]
