"""The token that Cloud Hosting puts into its containers."""

from __future__ import annotations

import os

import anyio
import attrs

from .providers import is_token

PATH = "/.tencentcloudbase/wx/cloudbase_access_token"
"""Where Cloud Hosting puts the token of a container."""


@attrs.frozen
class CloudbaseToken:
    """
    The token that Cloud Hosting writes into its containers.

    It is read anew for each call, as the platform replaces it in place. In most
    containers ``token=None`` with ``base_url="http://api.weixin.qq.com"`` will
    do instead.

    Attributes:
        path: The file.

    Raises:
        OSError: The file cannot be read, or holds no token.
    """

    path: str | os.PathLike[str] = PATH

    # https://developers.weixin.qq.com/miniprogram/dev/wxcloudservice/wxcloudrun/src/guide/weixin/open.html
    parameter = "cloudbase_access_token"
    """The name of the query parameter, which is not the usual one."""

    async def get(self) -> str:
        content = await anyio.Path(self.path).read_bytes()
        token = content.decode("ascii", "replace").strip()
        if not token.isascii() or not is_token(token):
            raise OSError(f"{os.fspath(self.path)} holds no token")
        return token

    async def renew(self, rejected: str) -> str:
        return await self.get()
