"""The simulated service on a port of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import closing
from functools import partial

import anyio
import attrs

from .. import Platform
from ..simulator import Simulator
from ..simulator.serve import serve
from ._interrupt import interruptible
from ._screen import PlainScreen

APPID = "WXMEDIA_SIM_APPID"
SECRET = "WXMEDIA_SIM_SECRET"


async def serve_until_signal(
    port: int, platform: Platform, max_bytes: int | None
) -> int:
    """Serve a `Simulator` until a signal ends it, and return the exit code."""
    rules = platform if max_bytes is None else with_limit(platform, max_bytes)
    with closing(simulator_from(os.environ, rules)) as simulator:
        code = await interruptible(partial(_serve, simulator, port))
    # A supervisor stops a server by SIGTERM; that is no failure.
    return 0 if code == 128 + signal.SIGTERM else code


async def _serve(simulator: Simulator, port: int) -> int:
    screen = PlainScreen()
    try:
        async with serve(simulator, port=port) as base_url:
            screen.say(base_url)
            await anyio.sleep_forever()
    # The port is taken.
    except OSError as error:
        screen.complain(str(error))
    return 1


def simulator_from(environment: Mapping[str, str], platform: Platform) -> Simulator:
    """Return a simulator that accepts what the environment says, else anything."""
    return Simulator(
        platform,
        appid=environment.get(APPID) or None,
        secret=environment.get(SECRET) or None,
    )


def with_limit(platform: Platform, max_bytes: int) -> Platform:
    """Return the platform with one limit for every type."""
    limits = {
        name: attrs.evolve(limit, max_bytes=max_bytes)
        for name, limit in platform.limits.items()
    }
    return attrs.evolve(platform, limits=limits, max_bytes=max_bytes)
