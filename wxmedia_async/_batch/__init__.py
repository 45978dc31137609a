"""Many transfers at once, in order of completion.

Imports one upload and one download, and what lies below them.
"""
