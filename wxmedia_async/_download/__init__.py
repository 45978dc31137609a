"""One download, start to finish.

Imports files, the session, and what lies below them; nothing of uploads.
"""
