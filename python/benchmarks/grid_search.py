"""scikit-learn's ``GridSearchCV`` of a support vector machine on its digits: by joblib's loky, Dask and Millstream.

All have as many processes as there are cores, and are warm: they searched a grid of one point before the clock starts.
The parameters that are found must be the same. Needs ``scikit-learn``, and ``distributed`` for Dask.
"""

from __future__ import annotations

import time
from typing import Any

from contest import PROCESSES, Result, dask_cluster, run, times

GRID = {"C": [0.1, 1.0, 10.0, 100.0], "gamma": [0.0001, 0.0005, 0.001, 0.005, 0.01]}


def loky(folds: int) -> Result:
    """Search by joblib's own processes."""
    from joblib.externals.loky import get_reusable_executor

    result = _measure("loky", folds, n_jobs=PROCESSES)
    # Their processor time is known only when they are over.
    get_reusable_executor().shutdown(wait=True)
    return result


def dask(folds: int) -> Result:
    """Search by Dask distributed's backend for joblib."""
    from distributed import Client

    with dask_cluster() as cluster, Client(cluster):
        return _measure("dask", folds)


def millstream(folds: int) -> Result:
    """Search by Millstream's backend for joblib."""
    import millstream as ms
    import millstream.joblib

    ms.progress_bar(False)
    with ms.LocalCluster(workers=1, slots=PROCESSES) as cluster, ms.Client(cluster):
        return _measure("millstream", folds)


def _measure(backend: str, folds: int, **options: Any) -> Result:
    import joblib
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    images, digits = load_digits(return_X_y=True)
    with joblib.parallel_config(backend=backend, **options):
        GridSearchCV(SVC(), {"C": [1.0]}, cv=PROCESSES, n_jobs=-1).fit(images, digits)
        began = time.perf_counter()
        search = GridSearchCV(SVC(), GRID, cv=folds, n_jobs=-1).fit(images, digits)
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "best": search.best_params_, "score": search.best_score_}


def show(runs: list[Result]) -> str:
    """Say what a system found, and how fast."""
    found = {f"{run['best']} with a score of {run['score']:.6f}" for run in runs}
    return f"{times(runs)}: {', '.join(sorted(found))}"


if __name__ == "__main__":
    run(__doc__, {"loky": loky, "dask": dask, "millstream": millstream}, show, size=5, of="folds")
