"""wxmedia_async, with its files in threads, as for slow disks."""

from __future__ import annotations

from functools import partial

from . import ours

opened = partial(ours.opened, file_io="thread")
