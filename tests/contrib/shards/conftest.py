"""The server of the token stores' tests, for records and queues."""

from tests.stores.conftest import redis, server

__all__ = ["redis", "server"]
