"""One upload, start to finish.

Imports sources, the session, and what lies below them; nothing of downloads.
"""
