"""The recipes of the documentation: where the requests go that leave."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from tests.contrib.browsing import MIB
from tests.contrib.clouds import Cloud, working
from wxmedia_async.contrib.obstore import Objects

TEXT = (Path(__file__).parents[2] / "docs/object-storage.md").read_text("utf-8")
RECIPES = [
    code
    for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    if "endpoint=" in code
]
COS = "http://media-1250000000.cos.ap-guangzhou.myqcloud.com/inbox/ID.jpg"
OSS = "http://media.s3.oss-cn-hangzhou.aliyuncs.com/inbox/ID.jpg"
MINIO = "http://minio.example.com/media/inbox/ID.jpg"


@pytest.fixture
def anyio_backend() -> str:
    """obstore knows asyncio only."""
    return "asyncio"


def arguments_of(recipe: str) -> dict[str, Any]:
    """What a recipe calls S3Store with; its names stand for some str."""
    [call] = [
        node for node in ast.walk(ast.parse(recipe)) if isinstance(node, ast.Call)
    ]
    given = {str(keyword.arg): keyword.value for keyword in call.keywords}
    return {"bucket": ast.literal_eval(call.args[0])} | {
        name: node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
        for name, node in given.items()
    }


def bucket_of(recipe: str, proxy: str) -> S3Store:
    """Follow *recipe*, by way of a proxy that shows what it is asked for."""
    given = arguments_of(recipe)
    endpoint = given.pop("endpoint").replace("https://", "http://")
    through: Any = {"allow_http": True, "proxy_url": proxy}
    return S3Store(endpoint=endpoint, client_options=through, **given)


async def body(size: int) -> AsyncIterator[bytes]:
    yield bytes(size)


@pytest.mark.parametrize("number", range(3), ids=["cos", "oss", "minio"])
async def test_recipe(number: int) -> None:
    """Requests name the bucket once, where the cloud wants it, and are not chunked."""
    url = [COS, OSS, MINIO][number]

    with Cloud(working) as cloud:
        to = Objects(bucket_of(RECIPES[number], cloud.url), "inbox/")
        await to.put("ID.jpg", body(10), content_type="image/jpeg", size=10)
        await to.put("ID.jpg", body(6 * MIB), content_type=None, size=None)

    assert [path.partition("?")[0] for _, path in cloud.calls] == [url] * 5
    assert [method for method, _ in cloud.calls] == [
        "PUT",
        "POST",
        "PUT",
        "PUT",
        "POST",
    ]
    assert cloud.heard[0].headers["content-type"] == "image/jpeg"
    for heard in cloud.heard:
        assert heard.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
        assert "transfer-encoding" not in heard.headers
        assert "aws-chunked" not in heard.headers.get("content-encoding", "")
        assert not heard.headers["x-amz-content-sha256"].startswith("STREAMING")
