"""The process that runs Python tasks for a worker.

The worker carries this package in its binary, beside :mod:`millstream._serialize`, writes it to a folder and starts
``main``; an interpreter with ``cloudpickle`` is all that it needs. The protocol is described in
``docs/reference/executor-protocol.md``. Nothing here is part of the public API.
"""
