"""Translate vendors' libraries into our ports; one room per vendor, and nothing but translation."""
