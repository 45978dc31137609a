"""What a contestant is to do."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal

import attrs

Direction = Literal["down", "up"]

TOKEN = "token"
SMALL = 10_000  # bytes


@attrs.frozen
class Job:
    """
    Many transfers of one kind.

    Attributes:
        direction: Of the files: from the server, or to it.

        size: Of each file, in bytes.

        count: How many files; the most of them, where there are *seconds*.

        at_a_time: How many of them in flight.

        batches: How often all of it is done.

        url: Where the service is.

        service: What is special about it, and which server it is, in words.

        counts: Where the server tells what it has done.

        process: The server's, where that does not tell; None: it does.

        ca: The file of the authority to trust; None: the service is without TLS.

        folder: Where downloads go.

        sources: The folder of the files to upload.

        rehearsed: How many small files come first, outside the clock; None:
            twice as many as are in flight, so that all connections are open.

        watched: Whether a timer beside the transfers measures how late their loop is.

        seconds: About how long the work may take, for count to follow from it.
    """

    direction: Direction
    size: int
    count: int
    at_a_time: int
    url: str
    service: str
    counts: str
    ca: str | None
    folder: str
    sources: str
    seconds: float | None = None
    process: int | None = None
    batches: int = 1
    rehearsed: int | None = None
    watched: bool = False

    @property
    def source(self) -> Path:
        return Path(self.sources, f"{self.size}.jpg")

    @property
    def upload_url(self) -> str:
        return f"{self.url}/cgi-bin/media/upload?access_token={TOKEN}&type=image"

    def download_url(self, number: int) -> str:
        query = f"access_token={TOKEN}&media_id={self.media_id(number)}"
        return f"{self.url}/cgi-bin/media/get?{query}"

    def media_id(self, number: int) -> str:
        return f"{self.size}-{number}"

    def target(self, number: int) -> Path:
        return Path(self.folder, f"{number}.jpg")

    def trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca) if self.ca else None
