"""Every public function and method shows how it is used; what its examples say is run with the other tests."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

_MODULES = ["millstream", "millstream.bag", "millstream.dask", "millstream.joblib"]

# Classes whose methods need no examples of their own, and why.
_EXCUSED = {
    "AsyncClient": "each method is the one of Client, awaited",
    "AsyncSharing": "part of AsyncClient",
    "MillstreamBackend": "called by joblib alone",
    "Coordinated": "the base of queues, locks and others",
    "DaskFuture": "made for Dask, which calls its methods",
}
# Single names, and why.
_EXCUSED_NAMES = {
    "Client.get": "Dask's name of what millstream.dask does",
    "Backoff.encoded": "what is sent",
    "TaskOptions.encoded": "what is sent",
    "TaskOptions.identity": "for the package",
    "TaskOptions.under": "for the package",
    "TaskOptions.merged": "for the package",
    "Environment.of": "for the package",
    "Environment.files": "for the package",
    "Future.twin": "for the package",
    "Future.retry": "has the example of Client.retry",
    "TaskError.place": "part of messages",
    "Semaphore.release": "shown by acquire",
    "Semaphore.close": "shown by the class",
    "MultiLock.acquire": "shown by the class",
    "MultiLock.release": "shown by the class",
    "ClusterCalls.story": "a list that depends on the cluster",
    "ClusterCalls.unregister_plugin": "shown by register_plugin",
    "Sharing.list_datasets": "shown by publish_dataset",
    "Sharing.unpublish_dataset": "shown by publish_dataset",
    "AttachedJob.release": "nothing to see",
    "ActorFuture.result": "shown by done",
    "ActorFuture.exception": "shown by done",
    "ActorFuture.add_done_callback": "as in concurrent.futures",
    "as_completed.next_batch": "depends on time",
    "Delayed.key": "an identifier",
    "Delayed.options": "for the package",
    "Delayed.visualize": "shown by millstream.visualize",
    "Environment.resolved": "shown by the class",
    "LocalCluster.access": "a token",
    "LocalCluster.dashboard_link": "shown by Client.dashboard_link",
    "LocalCluster.log": "depends on the cluster",
    "Client.asynchronous": "a constant",
    "Client.close": "shown by `with`",
    "Plugin.setup": "shown by Client.register_plugin",
    "Plugin.teardown": "shown by Client.register_plugin",
    "Scheduler": "shown by scheduler",
    "Scheduler.compute": "shown by Client.compute",
    "Scheduler.persist": "shown by persist",
    "Transformations.repartition": "shown by npartitions",
    "Reductions.to_avro": "needs fastavro, which the tests of bags have",
    "Partitioned.visualize": "shown by millstream.visualize",
    "Item.to_delayed": "shown by bags' to_delayed",
    "Item.from_delayed": "shown by bags' from_delayed",
    "AttachedJob": "shown by Client.attach",
    "Backoff": "shown by Client.submit",
    "TaskOptions": "for the package",
    "Delayed": "shown by delayed",
    "Plugin": "shown by Client.register_plugin",
    "Item": "shown by bags' reductions",
    "DaskFuture": "made for Dask",
    "MillstreamBackend": "made for joblib",
    "from_url": "needs a network",
    "read_avro": "needs fastavro, which the tests of bags have",
    "to_avro": "needs fastavro, which the tests of bags have",
}


def _public(module: ModuleType) -> Iterator[Any]:
    names = getattr(module, "__all__", None)
    # Without such a list, what it defines itself.
    home = "millstream" if names else module.__name__
    for name in names or [name for name in vars(module) if not name.startswith("_")]:
        found = getattr(module, name)
        defined = getattr(found, "__module__", None) or ""
        if defined.startswith(home) and not defined.startswith("millstream.dataframe"):
            yield found


def _functions(owner: type) -> Iterator[tuple[str, Any]]:
    for base in owner.__mro__:
        if not base.__module__.startswith("millstream") or base.__name__ in _EXCUSED:
            continue
        for name, value in vars(base).items():
            function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if not name.startswith("_") and inspect.isroutine(function):
                yield f"{base.__name__}.{name}", function


@pytest.mark.parametrize("module", _MODULES)
def test_what_is_public_has_an_example(module: str) -> None:
    without = set()
    for found in _public(import_module(module)):
        listed = [(getattr(found, "__name__", ""), found)]
        if inspect.isclass(found):
            if issubclass(found, BaseException):
                continue
            listed += _functions(found) if found.__name__ not in _EXCUSED else []
        elif not inspect.isroutine(found):
            continue
        without |= {name for name, one in listed if ">>>" not in (inspect.getdoc(one) or "")}
    assert sorted(without - set(_EXCUSED_NAMES)) == []
