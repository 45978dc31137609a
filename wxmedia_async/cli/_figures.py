"""What the demo has seen, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Generic, TypeVar

import attrs
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from .. import SavedMedia, UploadedMedia
from ._screen import PlainScreen

Result = TypeVar("Result", UploadedMedia, SavedMedia)


@attrs.frozen
class Leg(Generic[Result]):
    """All uploads, or all downloads: what they took, and what came of them."""

    seconds: float
    bytes: int
    retries: int
    results: Mapping[object, Result]

    def facts(self) -> dict[str, float]:
        """Return what the closing table says of it."""
        return {
            "files": len(self.results),
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "megabytes_per_second": round(self.bytes / self.seconds / 1e6, 1),
            "retries": self.retries,
        }


@attrs.frozen
class Report:
    """What the demo has seen."""

    upload: Leg[UploadedMedia]
    download: Leg[SavedMedia]
    in_flight_peak: int
    token_fetches: int
    all_equal: bool


def show_json(report: Report) -> None:
    """Write the report as one JSON object."""
    facts = {
        "upload": report.upload.facts(),
        "download": report.download.facts(),
        "in_flight_peak": report.in_flight_peak,
        "token_fetches": report.token_fetches,
        "all_equal": report.all_equal,
    }
    PlainScreen().say(json.dumps(facts))


def show_table(report: Report) -> None:
    """Write the report as a table."""
    table = Table("", "upload", "download")
    up, down = report.upload.facts(), report.download.facts()
    table.add_row("files", f"{up['files']}", f"{down['files']}")
    table.add_row("bytes", decimal(report.upload.bytes), decimal(report.download.bytes))
    for name, fact in (
        ("seconds", "seconds"),
        ("MB/s", "megabytes_per_second"),
        ("retries", "retries"),
    ):
        table.add_row(name, f"{up[fact]}", f"{down[fact]}")
    table.add_section()
    table.add_row("peak in flight", f"{report.in_flight_peak}")
    table.add_row("token fetches", f"{report.token_fetches}")
    table.add_row("all equal", "yes" if report.all_equal else "no")
    Console().print(table)
