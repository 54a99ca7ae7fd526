"""What a client asks every process to set up before its first task.

Pickled by value, because workers need not have this package: nothing here may use any other part of it.
"""

from __future__ import annotations

import sys
from typing import Any

_RUNTIMES = ("millstream_runtime", "millstream")


class Plugin:
    """Something that is set up once in each process that runs tasks of a client.

    Subclasses override :meth:`setup`, and :meth:`teardown` if there is something to close. See
    :meth:`millstream.Client.register_plugin`.

    Attributes
    ----------
    name : str
        What :func:`get_plugin` knows it by; by default the name of the class.
    """

    name: str = ""

    def setup(self) -> None:
        """Prepare what tasks use; called before the first task of a process."""

    def teardown(self) -> None:
        """Close what was opened; called at the ordinary end of a process."""


def get_plugin(name: str) -> Any:
    """Return a plugin of the process that runs this task, or what a plugin function returned.

    Parameters
    ----------
    name : str
        The name that it was registered under.

    Examples
    --------
    >>> import millstream as ms
    >>> def load():
    ...     return {"weights": [1, 2, 3]}
    >>> client.register_plugin(load, name="model")
    'model'
    >>> from millstream import get_plugin
    >>> client.submit(lambda x: get_plugin("model")["weights"][x], 1).result()
    2
    """
    for runtime in _RUNTIMES:
        plugins = sys.modules.get(f"{runtime}._executor.plugins")
        if plugins is not None:
            return plugins.value_of(name)
    raise RuntimeError("get_plugin() gives what tasks have: call it inside one")
