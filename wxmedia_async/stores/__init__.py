"""Sharing a token, and a pace, among processes and machines."""

from __future__ import annotations

from ._file import FileTokenStore
from ._redis import RedisTokenStore
from ._redis_rate import RedisRateLimiter

__all__ = ["FileTokenStore", "RedisRateLimiter", "RedisTokenStore"]
