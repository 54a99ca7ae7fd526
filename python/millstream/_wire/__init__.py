"""The columnar graph of a job, encoded as the gateway reads it."""

from millstream._wire.graph import Dep, GraphEncoder, OpSpec, TaskRange

__all__ = ["Dep", "GraphEncoder", "OpSpec", "TaskRange"]
