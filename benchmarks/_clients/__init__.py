"""
The contestants: one module for each way of writing a client.

Each has ``opened(job)``, an async context manager that gives a coroutine function
which does jobs. What is blocking just blocks: nothing else runs on its loop.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

OURS = "ours"
BASELINE = "aiohttp, plain"
WELL = "httpx, well written"
TRANSPORT = "httpx, our transport"


@attrs.frozen
class Contestant:
    module: str
    backend: str = "asyncio"
    options: Mapping[str, bool] = attrs.field(factory=dict)
    longer: int = 1  # times the seconds, where each job begins without connections


CONTESTANTS = {
    OURS: Contestant("ours"),
    "ours, uvloop": Contestant("ours", options={"use_uvloop": True}),
    "ours, trio": Contestant("ours", backend="trio"),
    "ours, in threads": Contestant("ours_in_threads"),
    "ours, httpx's stack": Contestant("ours_over_httpx"),
    "httpx, naive": Contestant("httpx_naive"),
    WELL: Contestant("httpx_well"),
    TRANSPORT: Contestant("httpx_our_transport"),
    "httpx over aiohttp": Contestant("httpx_aiohttp"),
    "pyreqwest": Contestant("pyreqwest_own"),
    BASELINE: Contestant("aiohttp_plain"),
    "aiohttp, tuned": Contestant("aiohttp_tuned"),
    "wechatpy, threads": Contestant("wechatpy_threads"),
    "curl -Z": Contestant("curl", longer=4),
    "raw sockets": Contestant("raw"),
}
