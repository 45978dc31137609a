"""What browsers bring, by each of the frameworks."""

from __future__ import annotations

import pytest

from tests.contrib.browsing import JPEG, MIB, Http, long_jpeg
from tests.contrib.conftest import Service


@pytest.mark.parametrize("size", [len(JPEG), 5 * MIB])
@pytest.mark.parametrize("path", ["raw", "form", "part"])
def test_upload(service: Service, path: str, size: int) -> None:
    """A body, a form's file and a part of a form arrive with their bytes and names."""
    content = long_jpeg(size)
    form = {"file": ("猫.jpg", content)}

    with Http() as http:
        url = f"{service.url}/{path}"
        if path == "raw":
            reply = http.post(url, content=content)
        else:
            reply = http.post(url, files=form)

    stored = service.simulator.media[reply.json()]
    assert stored.content == content
    assert stored.filename == ("raw.bin" if path == "raw" else "猫.jpg")


def test_upload_that_breaks_off(service: Service) -> None:
    """Of a browser that leaves half-way nothing is stored, and its slot is free."""
    client = service.wired(service.simulator, max_concurrency=1)

    with service.browser() as browser:
        browser.give("/raw", 5 * MIB, bytes(3 * MIB))
    with Http() as http:
        reply = http.post(f"{service.url}/raw", content=JPEG)

    service.portal.call(client.aclose)
    assert [stored.content for stored in service.simulator.media.values()] == [JPEG]
    assert reply.json() in service.simulator.media
