"""
An archive: any number of media into a bucket, each once.

    python docs/examples/archive_bucket.py [FOLDER]

Without credentials it archives 300 media of a pretended WeChat into a folder. Stop
it whenever you like: what is done is written down, and not done again.
With WXMEDIA_APPID and WXMEDIA_SECRET it reads the ids, a line each, from standard
input; a million of them take no more memory than ten.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable

from obstore.store import LocalStore
from pretended import WECHAT, open_client, picture

from wxmedia_async.contrib.obstore import Objects


async def archive(media_ids: Iterable[str], folder: str) -> Counter[str]:
    """Bring all of *media_ids* into a bucket."""
    bucket = LocalStore(folder, mkdir=True)  # S3Store("media") for a real one
    counted: Counter[str] = Counter()
    async with open_client() as client:
        async with client.download_many(
            media_ids, Objects(bucket, "archive/"), manifest=f"{folder}/manifest.jsonl"
        ) as outcomes:
            async for outcome in outcomes:
                if outcome.error:
                    print(outcome.item, outcome.error, file=sys.stderr)
                counted[
                    "failed"
                    if outcome.error
                    else "skipped"
                    if outcome.skipped
                    else "done"
                ] += 1
    return counted


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    media_ids = (line.strip() for line in sys.stdin)
    if "WXMEDIA_APPID" not in os.environ:
        media_ids = (WECHAT.put(picture(red=n % 256)) for n in range(300))
    counted = asyncio.run(archive(media_ids, folder))
    print(
        f"{counted['done']} done, {counted['skipped']} skipped, {counted['failed']} failed"
    )
    print("in", folder)


if __name__ == "__main__":
    main()
