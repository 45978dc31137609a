"""Sharing a token, and a pace, among processes and machines."""

from __future__ import annotations

from ._file import FileTokenStore
from ._redis import RedisRateLimiter, RedisTokenStore

__all__ = ["FileTokenStore", "RedisRateLimiter", "RedisTokenStore"]
