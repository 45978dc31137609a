"""The command line, as python -m wxmedia_async."""

from __future__ import annotations

import sys

from wxmedia_async.cli import main

sys.exit(main())
