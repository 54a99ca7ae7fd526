"""What Dask expects of every scheduler: its `GetFunctionTestMixin`, which its wheel has no test of."""

from __future__ import annotations

import dask
from dask.utils_test import GetFunctionTestMixin


class TestGetFunction(GetFunctionTestMixin):
    # The plugin puts Millstream's in its place.
    get = staticmethod(dask.get)
