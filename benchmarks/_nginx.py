"""nginx, where it is installed: a server of small files that nobody here wrote."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

# Where Debian and others put it, which is not on everybody's path.
PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
PATIENCE = 10  # seconds for its start

# One process, without privileges, that writes below its folder only. What WeChat
# replies has these headers, besides those that nginx writes by itself: Server, Date,
# Content-Type, Content-Length and Connection.
CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout {idle};
    keepalive_requests 100000000;
    open_file_cache max=100;
    types {{ }}
    default_type image/jpeg;
    etag off;
    map $arg_media_id $size {{ ~^(?<bytes>[0-9]+)- $bytes; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096{ssl};
        {secured}
        root {folder};
        location = /cgi-bin/media/get {{
            try_files /$size.jpg =404;
            add_header Content-disposition 'attachment; filename="$arg_media_id.jpg"';
            add_header Cache-Control "no-cache, must-revalidate";
            add_header Last-Modified "";
            add_header RetKey 11;
            add_header LogicRet 0;
        }}
    }}
}}
"""
SECURED = "ssl_certificate {0}; ssl_certificate_key {0}; ssl_protocols {1};"


@attrs.frozen
class Nginx:
    """One that runs: its port, its process, and its version in words."""

    port: int
    process: int
    version: str


def installed() -> str | None:
    """The path of its program."""
    return shutil.which("nginx") or shutil.which("nginx", path=PLACES)


@contextmanager
def serving(
    folder: Path, *, tls: str | None, certificate: str | None, close: bool
) -> Iterator[Nginx | None]:
    """Serve the files ``SIZE.jpg`` of *folder*, if it is installed."""
    program = installed()
    if program is None:
        yield None
        return
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(configuration(folder, port, tls, certificate, close=close))
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(config)]
    with subprocess.Popen(command) as process:
        try:
            wait_for(port, process)
            yield Nginx(port, process.pid, version(program))
        finally:
            process.terminate()


def configuration(
    folder: Path, port: int, tls: str | None, certificate: str | None, *, close: bool
) -> str:
    return CONFIG.format(
        folder=folder,
        port=port,
        idle=0 if close else 60,
        ssl=" ssl" if tls else "",
        # OpenSSL's names have a dot where Python's have another line.
        secured=SECURED.format(certificate, tls.replace("_", ".")) if tls else "",
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        # It tells nobody that it listens; only a connection does.
        time.sleep(0.01)
    raise SystemExit("nginx does not start; see above")


def version(program: str) -> str:
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    return said.stderr.strip().rpartition(" ")[2]
