from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import wxmedia_async

PROMISED = """
    APIError AccessToken Adaptive AppToken ClientClosed CorpToken CredentialsError
    Destination Download FileTokenStore Limit MINI_PROGRAM MediaClient MediaContent
    MediaError MediaNotFound MediaRejected OFFICIAL_ACCOUNT Outcome PermissionDenied
    Platform QuotaExceeded Rate RateLimited RateLimiter RedisTokenStore RetryPolicy
    SavedMedia ServerBusy SourceChanged StaticToken TokenProvider TokenRejected
    TokenStore TooLarge TransferError TransferTimeout Truncated UnexpectedReply
    UnsafeURL Upload UploadedMedia WECOM
"""


def test_all_lists_every_public_name() -> None:
    """What can be seen in the package is what we promise, and nothing else."""
    public = [
        name
        for name, value in vars(wxmedia_async).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    ]

    assert sorted(public) == sorted(wxmedia_async.__all__)


def test_promised_names() -> None:
    """Every name that the interface fixes can be imported from the package."""
    assert set(PROMISED.split()) <= set(wxmedia_async.__all__)


def test_import_is_light() -> None:
    """The client brings along neither the extras nor the simulator, nor a loop."""
    heavy = "redis cyclopts uvicorn uvloop aiohttp wxmedia_async.simulator"
    program = (
        "import sys, wxmedia_async;"
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
