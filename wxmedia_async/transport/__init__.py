"""
An httpx transport for many transfers at once, over sockets of its own.

It speaks HTTP/1.1 and nothing else, and is made for requests and replies of all
sizes whose bodies come from files and go to files. Unix only; see `supported`.
"""

from ._content import FileBody
from ._transport import SocketTransport
from ._waiting import supported

__all__ = ["FileBody", "SocketTransport", "supported"]
