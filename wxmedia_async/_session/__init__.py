"""The only place that sends: tries, token, pace, request, reply.

Imports tokens and what is pure; knows nothing of sources, files or caches.
"""
