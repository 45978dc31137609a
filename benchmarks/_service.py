"""The fast server in a process of its own, with what its clients need."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import attrs
import trustme
from _job import SMALL, Direction, Job
from _nginx import Nginx, serving

SERVER = Path(__file__).with_name("_fast_server.py")
IN_MEMORY = Path("/dev/shm")
FILES = 300_000  # bytes of the largest that a server of files is asked for


@attrs.frozen
class Service:
    """
    A server that runs.

    Attributes:
        url: Its base URL.

        kind: What is special about it, in words.

        counts: Where it tells what it has done.

        ca: The file of the authority that it is known by; None: without TLS.

        folder: Of all files that the clients read and write.

        nginx: What serves small files, where it is installed.
    """

    url: str
    kind: str
    counts: str
    ca: str | None
    folder: Path
    nginx: Nginx | None = None

    def job(
        self,
        direction: Direction,
        size: int,
        *,
        count: int,
        at_a_time: int = 16,
        seconds: float | None = None,
        batches: int = 1,
        rehearsed: int | None = None,
        watched: bool = False,
    ) -> Job:
        write_source(self.folder, SMALL)
        write_source(self.folder, size)
        # Large ones are a matter of the kernel's, which ours spares with less work.
        is_small = direction == "down" and size <= FILES
        nginx = self.nginx if is_small else None
        return Job(
            direction=direction,
            size=size,
            count=count,
            at_a_time=at_a_time,
            url=self.url if nginx is None else self.at(nginx.port),
            service=f"{self.kind}, {nginx.version if nginx else 'our server'}",
            counts=self.counts,
            process=nginx.process if nginx else None,
            ca=self.ca,
            folder=str(self.folder),
            sources=str(self.folder),
            seconds=seconds,
            batches=batches,
            rehearsed=rehearsed,
            watched=watched,
        )

    def at(self, port: int) -> str:
        return f"{self.url.rpartition(':')[0]}:{port}"


def write_source(folder: Path, size: int) -> None:
    source = folder / f"{size}.jpg"
    if not source.exists():
        source.write_bytes(b"\xff\xd8\xff\xe0" + bytes(size - 4))


@contextmanager
def service(
    *, tls: str | None = None, close: bool = False, counted: bool = False
) -> Iterator[Service]:
    """
    Run servers, with a version of TLS such as ``TLSv1_3`` or without it.

    Args:
        close: Whether they close the connection after each reply.

        counted: Whether the server has to tell what it did, as only ours does.
    """
    with tempfile.TemporaryDirectory(dir=memory_disk()) as folder:
        options = ["--close"] if close else []
        issued = certificate(Path(folder)) if tls else None
        if tls is not None and issued is not None:
            options += ["--certificate", issued, "--tls", tls]
        files = (
            nullcontext()
            if counted
            else serving(Path(folder), tls=tls, certificate=issued, close=close)
        )
        with running(options) as (port, counts), files as nginx:
            yield Service(
                nginx=nginx,
                url=f"{'https' if tls else 'http'}://127.0.0.1:{port}",
                kind=f"{tls or 'plain'}{', closes' if close else ''}",
                counts=f"http://127.0.0.1:{counts}/-/counts",
                ca=f"{folder}/ca.pem" if tls else None,
                folder=Path(folder),
            )


@contextmanager
def running(options: list[str]) -> Iterator[list[str]]:
    with subprocess.Popen(
        [sys.executable, str(SERVER), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()
        finally:
            process.terminate()


def memory_disk() -> Path | None:
    return IN_MEMORY if IN_MEMORY.is_dir() else None


def certificate(folder: Path) -> str:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return str(folder / "server.pem")
