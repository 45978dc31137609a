from __future__ import annotations

import sys

from wxmedia_async.cli import main

sys.exit(main())
