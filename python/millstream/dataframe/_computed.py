"""Methods that pandas itself does on the computed result."""

from __future__ import annotations

from typing import Any


class Computed:
    """Methods of a collection that compute it."""

    @property
    def values(self: Any) -> Any:
        """Compute it as an array of numpy."""
        return self.compute().to_numpy()

    def to_records(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute it as a record array of numpy, as pandas makes it."""
        return self.compute().to_records(*args, **kwargs)

    def to_string(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute it as a text, as pandas writes it."""
        return self.compute().to_string(*args, **kwargs)

    def to_markdown(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute it as a table in Markdown, as pandas writes it."""
        return self.compute().to_markdown(*args, **kwargs)

    def equals(self: Any, other: Any) -> bool:
        """Whether it and another are equal when they are computed."""
        return bool(self.compute().equals(other.compute() if hasattr(other, "compute") else other))
