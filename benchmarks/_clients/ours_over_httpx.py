"""wxmedia_async over httpx's own stack, as behind a proxy or under a tracer."""

from __future__ import annotations

from wxmedia_async.transport import _own

from . import ours

_own.supported = lambda: False  # type: ignore[assignment]

opened = ours.opened
