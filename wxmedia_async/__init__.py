"""WeChat temporary media for asyncio and trio: concurrent, streaming transfers."""
