"""
Code that awaits nothing: Flask, Celery, a notebook, a script.

    python docs/examples/sync_portal.py

anyio runs an event loop in a thread; a portal leads there. One portal and one client
serve all threads of the process: make them once, where the process begins.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from anyio.from_thread import start_blocking_portal
from pretended import open_client, picture


def main() -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_client()) as client,
    ):
        # A call is `portal.call`; options go by `partial`.
        upload = partial(client.upload, filename="cat.png")
        uploaded = portal.call(upload, picture())
        print("uploaded:", uploaded.media_id)

        content = portal.call(client.read, uploaded.media_id)
        print("read:", len(content.content), "bytes")

        # A stream, or a batch, is a context manager there and an iterator here.
        streaming = client.stream(uploaded.media_id)
        with portal.wrap_async_context_manager(streaming) as media:
            while chunk := portal.call(anext, media, b""):
                print("chunk:", len(chunk), "bytes of", media.kind)

        # Many threads, one client: its bound holds for all of them.
        with ThreadPoolExecutor(8) as threads:
            pictures = [picture(red=red) for red in range(20)]
            done = list(threads.map(partial(portal.call, upload), pictures))
        print(len(done), "uploads from 8 threads")


if __name__ == "__main__":
    main()
