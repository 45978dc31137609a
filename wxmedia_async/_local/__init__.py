"""This machine's disk. Imports nothing of the package but what is here."""
