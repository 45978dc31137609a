"""
Media for browsers in Django, served by ASGI.

    python docs/examples/django_asgi.py

Serves on http://127.0.0.1:8000. Django has no lifespan, so there is one client for
each process, made when it is first needed and closed by the end of the process.
"""

from __future__ import annotations

import os
from functools import cache

import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from pretended import WECHAT, open_client, picture

from wxmedia_async import MediaClient, MediaError
from wxmedia_async.contrib.web import detail_of, etag_of, headers_of, status_of

PORT = int(os.environ.get("PORT", "8000"))


@cache
def client() -> MediaClient:
    return open_client()


async def media(request: HttpRequest, media_id: str) -> HttpResponse:
    """Give one media, of up to 32 MiB."""
    if request.headers.get("If-None-Match") == etag_of(media_id):
        return HttpResponse(status=304, headers={"ETag": etag_of(media_id)})
    try:
        content = await client().read(media_id)
    except MediaError as error:
        status, headers = status_of(error)
        return JsonResponse(
            {"detail": detail_of(error)}, status=status, headers=headers
        )
    return HttpResponse(content.content, headers=headers_of(content))


async def upload(request: HttpRequest) -> JsonResponse:
    """Pass on the file of a form; Django has spooled it already."""
    try:
        uploaded = await client().upload(request.FILES["file"])
    except MediaError as error:
        status, headers = status_of(error)
        return JsonResponse(
            {"detail": detail_of(error)}, status=status, headers=headers
        )
    return JsonResponse({"media_id": uploaded.media_id})


urlpatterns = [path("media/<str:media_id>", media), path("upload", upload)]
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY=os.urandom(16).hex(),
    MIDDLEWARE=[],
)
app = get_asgi_application()


if __name__ == "__main__":
    shown = WECHAT.put(picture(), filename="cat.png")
    print(f"picture: http://127.0.0.1:{PORT}/media/{shown}", flush=True)
    uvicorn.run(app, port=PORT, log_level="warning", lifespan="off")
