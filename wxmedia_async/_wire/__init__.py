"""
What travels on the wire: bytes and values in, bytes and values out.

Nothing in this folder awaits, sleeps, reads a clock, opens a file, or imports
httpx or anyio. That is why its tests need none of these either.
"""
