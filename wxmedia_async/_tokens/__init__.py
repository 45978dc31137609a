"""Where tokens come from, and one fetch for all who wait.

Imports what is pure, and nothing that sends: how a token endpoint is called
is handed in.
"""
