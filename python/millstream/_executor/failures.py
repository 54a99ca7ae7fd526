"""What keeps a function from being loaded."""

from __future__ import annotations


class LoadError(Exception):
    """A function that cannot be rebuilt here; the cause, if there is one, is the original exception."""
