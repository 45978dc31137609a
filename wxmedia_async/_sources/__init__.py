"""Whatever a user may upload, as a body that can be read again.

Imports this machine's disk, the envelope for foreign code, and what is pure.
"""
