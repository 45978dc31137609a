"""Serve an ASGI application on a port, from any event loop."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread


@asynccontextmanager
async def serve(
    app: Any, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str]:
    """
    Serve *app* while the block runs, and give its base URL.

    It runs in a thread with an event loop of its own, so that it is there for
    trio as well, and for code that blocks.

    Args:
        app: The ASGI application.

        host: The address to listen at.

        port: The port to listen at; 0: one that is free.

    Raises:
        OSError: The port is taken.

        ModuleNotFoundError: uvicorn is missing; the extra ``cli`` brings it.
    """
    server = _Server(app, host, port)
    # Nothing is awaited before `try`, or a cancelled caller would leave the port.
    server.start()
    try:
        yield server.url
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.stop)


class _Server:
    def __init__(self, app: Any, host: str, port: int) -> None:
        import uvicorn

        self._socket = _listening(host, port)
        # Its log has URLs, and they have tokens; and logging is not ours to set up.
        config = uvicorn.Config(
            app,
            # uvloop's has been seen to wait for ever in its close().
            loop="asyncio",
            log_config=None,
            log_level="critical",
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        # Connections queue at the socket from now on, so nobody has to wait.
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _listening(host: str, port: int) -> Any:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=2048)
    listening.setblocking(False)
    return listening
