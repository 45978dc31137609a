"""A file that appears whole or not at all.

Imports this machine's disk, and nothing else.
"""
