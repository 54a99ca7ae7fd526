"""The doors from a column to operations on texts and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.dataframe._dates import Dates
    from millstream.dataframe._strings import Strings


class Accessors:
    """`.str` and `.dt`, kept apart from columns so that their names hide nothing there."""

    @property
    def str(self: Any) -> Strings:
        """Operations on texts."""
        from millstream.dataframe._strings import Strings

        return Strings(self)

    @property
    def dt(self: Any) -> Dates:
        """Operations on times and durations."""
        from millstream.dataframe._dates import Dates

        return Dates(self)
