"""Distributed data work: functions, futures, delayed values and bags on a Millstream cluster.

Everything is imported when it is first used, so that importing the package costs nothing.

Examples
--------
>>> import millstream as ms
>>> client = ms.Client()
>>> client.submit(sum, [1, 2, 3]).result()
6
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream import bag as bag
    from millstream import dataframe as dataframe
    from millstream._actor import Actor as Actor
    from millstream._actor import ActorFuture as ActorFuture
    from millstream._async_client import AsyncClient as AsyncClient
    from millstream._attached import AttachedJob as AttachedJob
    from millstream._client import Client as Client
    from millstream._client import get_client as get_client
    from millstream._compute import compute as compute
    from millstream._compute import optimize as optimize
    from millstream._compute import persist as persist
    from millstream._delayed import Delayed as Delayed
    from millstream._delayed import delayed as delayed
    from millstream._environment import Environment as Environment
    from millstream._errors import ActorEndedError as ActorEndedError
    from millstream._errors import BinaryNotFoundError as BinaryNotFoundError
    from millstream._errors import CancelledError as CancelledError
    from millstream._errors import ConnectionFailedError as ConnectionFailedError
    from millstream._errors import GatewayError as GatewayError
    from millstream._errors import MillstreamError as MillstreamError
    from millstream._errors import RemoteTraceback as RemoteTraceback
    from millstream._errors import ResultLostError as ResultLostError
    from millstream._errors import SerializationError as SerializationError
    from millstream._errors import TaskError as TaskError
    from millstream._errors import TaskTimeoutError as TaskTimeoutError
    from millstream._errors import WorkerDiedError as WorkerDiedError
    from millstream._exchange import Event as Event
    from millstream._exchange import Queue as Queue
    from millstream._exchange import Variable as Variable
    from millstream._functions import NativeFunction as NativeFunction
    from millstream._functions import native as native
    from millstream._future import Future as Future
    from millstream._local import LocalCluster as LocalCluster
    from millstream._locks import Lock as Lock
    from millstream._locks import MultiLock as MultiLock
    from millstream._locks import Semaphore as Semaphore
    from millstream._options import Backoff as Backoff
    from millstream._options import TaskOptions as TaskOptions
    from millstream._options import annotate as annotate
    from millstream._plugins import Plugin as Plugin
    from millstream._plugins import get_plugin as get_plugin
    from millstream._progress import progress_bar as progress_bar
    from millstream._report import performance_report as performance_report
    from millstream._sql import sql as sql
    from millstream._visualize import visualize as visualize
    from millstream._waiting import as_completed as as_completed
    from millstream._waiting import fire_and_forget as fire_and_forget
    from millstream._waiting import wait as wait
    from millstream.dataframe import concat as concat
    from millstream.dataframe import from_arrow as from_arrow
    from millstream.dataframe import from_pandas as from_pandas
    from millstream.dataframe import merge as merge
    from millstream.dataframe import read_csv as read_csv
    from millstream.dataframe import read_feather as read_feather
    from millstream.dataframe import read_ipc as read_ipc
    from millstream.dataframe import read_json as read_json
    from millstream.dataframe import read_parquet as read_parquet
    from millstream.dataframe import read_table as read_table
    from millstream.dataframe import to_datetime as to_datetime
    from millstream.dataframe import to_numeric as to_numeric
    from millstream.dataframe import to_timedelta as to_timedelta

__version__ = "0.1.0"

_HOMES = {
    "Actor": "_actor",
    "ActorEndedError": "_errors",
    "ActorFuture": "_actor",
    "AsyncClient": "_async_client",
    "AttachedJob": "_attached",
    "Backoff": "_options",
    "BinaryNotFoundError": "_errors",
    "CancelledError": "_errors",
    "Client": "_client",
    "ConnectionFailedError": "_errors",
    "Delayed": "_delayed",
    "Environment": "_environment",
    "Event": "_exchange",
    "Future": "_future",
    "GatewayError": "_errors",
    "LocalCluster": "_local",
    "Lock": "_locks",
    "MillstreamError": "_errors",
    "MultiLock": "_locks",
    "NativeFunction": "_functions",
    "Plugin": "_plugins",
    "Queue": "_exchange",
    "RemoteTraceback": "_errors",
    "ResultLostError": "_errors",
    "Semaphore": "_locks",
    "SerializationError": "_errors",
    "TaskError": "_errors",
    "TaskOptions": "_options",
    "TaskTimeoutError": "_errors",
    "Variable": "_exchange",
    "WorkerDiedError": "_errors",
    "annotate": "_options",
    "as_completed": "_waiting",
    "compute": "_compute",
    "concat": "dataframe",
    "delayed": "_delayed",
    "fire_and_forget": "_waiting",
    "from_arrow": "dataframe",
    "from_pandas": "dataframe",
    "get_client": "_client",
    "get_plugin": "_plugins",
    "merge": "dataframe",
    "native": "_functions",
    "optimize": "_compute",
    "performance_report": "_report",
    "persist": "_compute",
    "progress_bar": "_progress",
    "read_csv": "dataframe",
    "read_feather": "dataframe",
    "read_ipc": "dataframe",
    "read_json": "dataframe",
    "read_parquet": "dataframe",
    "read_table": "dataframe",
    "sql": "_sql",
    "to_datetime": "dataframe",
    "to_numeric": "dataframe",
    "to_timedelta": "dataframe",
    "visualize": "_visualize",
    "wait": "_waiting",
}

__all__ = [*sorted(_HOMES), "bag", "dataframe"]


def __getattr__(name: str) -> Any:
    if name in ("bag", "dask", "dataframe", "joblib"):
        return importlib.import_module(f"millstream.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'millstream' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"millstream.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
