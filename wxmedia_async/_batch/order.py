"""What a batch is asked for: what a manifest knows an item by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import TypeAlias

import attrs

Key: TypeAlias = str | int | tuple[str, int, int]
"""The caller's key, a media_id, or a path's absolute name, size and mtime."""


@attrs.frozen
class Scope:
    """
    Whose media_ids these are.

    Attributes:
        platform: The platform's name.

        base_url: The service.

        account: The appid or corpid, or None where nobody knows.
    """

    platform: str
    base_url: str
    account: str | None

    @property
    def facts(self) -> dict[str, str | None]:
        """Fit for JSON."""
        return {
            "platform": self.platform,
            "base_url": self.base_url,
            "account": self.account,
        }


@attrs.frozen
class Order:
    """
    One item, as far as it makes a difference to what comes of it.

    Attributes:
        operation: Upload or download, and how; fit for JSON.

        terms: What a refusal depends on beside that, fit for JSON.

        max_bytes: The most bytes of a download.

        folder: Where the file goes, as the caller names it.

        by: Which object of this process does it, where only this process knows.
    """

    scope: Scope
    operation: Mapping[str, object]
    key: Key
    terms: Mapping[str, object] = attrs.field(factory=dict[str, object])
    max_bytes: int | None = None
    folder: str | None = None
    by: str | None = None

    @property
    def name(self) -> str:
        """What all that makes a difference looks like in one str."""
        return f"{self.identity} {self.by}"

    @cached_property
    def identity(self) -> str:
        """The same without what means nothing to another process."""
        scope = self.scope
        whose = scope.platform, scope.base_url, scope.account
        return json.dumps([*whose, self.operation, self.key], separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """The same in 16 digits."""
        return digest(self.identity)


def digest(text: str) -> str:
    """Return 64 bits, in hexadecimal digits, that are hardly ever another text's."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
