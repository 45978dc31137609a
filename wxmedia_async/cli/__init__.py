"""The command line: ``wxmedia upload | download | simulate | demo``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ._streams import Undelivered, reliable_streams

_EXTRA = frozenset({"cyclopts", "rich", "uvicorn"})
_MISSING = 'wxmedia: not all is installed: pip install "wxmedia_async[cli]"\n'


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit code.

    Args:
        arguments: What follows ``wxmedia``; None: the process's own.

    Returns:
        0 all done, 1 some failed or was not written, 2 usage, 130 interrupted.
    """
    with reliable_streams() as error_output:
        try:
            # Nothing yet, to find out while nothing is done.
            sys.stdout.write("")
            code = _run(arguments)
        except Undelivered as error:
            # Whoever left knows.
            if not error.reader_left:
                sys.stderr.write(f"wxmedia: {error}\n")
            code = 1
    return code or int(error_output.lost)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        from ._app import run

        # Each command imports what it needs.
        return run(arguments)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(_MISSING)
        return 2
