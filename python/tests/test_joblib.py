from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from fake_cluster import FakeCluster

import millstream as ms

joblib = pytest.importorskip("joblib")

import millstream.joblib  # noqa: E402


@pytest.fixture
def slots(monkeypatch: pytest.MonkeyPatch, is_real: bool) -> None:
    if not is_real:
        monkeypatch.setattr(ms.Client, "ncores", lambda _self: {"fake": 2})


@pytest.fixture
def _backend(client: ms.Client, slots: None) -> Iterator[None]:
    with joblib.parallel_config(backend="millstream"):
        yield


@pytest.mark.usefixtures("_backend")
class TestParallel:
    def test_calls_run_in_order(self) -> None:
        assert joblib.Parallel()(joblib.delayed(pow)(i, 2) for i in range(100)) == [i * i for i in range(100)]

    def test_exceptions_keep_their_type(self) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            joblib.Parallel()(joblib.delayed(int)(text) for text in "12x4")

    def test_nested_calls_run_inside_their_task(self) -> None:
        def outer(n: int) -> list[bool]:
            return joblib.Parallel(n_jobs=2)(
                joblib.delayed(lambda pid: pid == os.getpid())(os.getpid()) for _ in range(n)
            )

        assert joblib.Parallel()(joblib.delayed(outer)(n) for n in (2, 3)) == [[True] * 2, [True] * 3]

    def test_nested_calls_can_ask_for_the_cluster(self, is_real: bool) -> None:
        if not is_real:
            pytest.skip("needs processes that tasks run in: --cluster=local")

        def inner(i: int, outer_pid: int) -> tuple[int, bool]:
            return i, os.getpid() != outer_pid

        def outer(n: int) -> list[tuple[int, bool]]:
            with joblib.parallel_config(backend="millstream"):
                return joblib.Parallel(n_jobs=2)(joblib.delayed(inner)(i, os.getpid()) for i in range(n))

        # More than there are slots: those that wait give theirs up.
        assert joblib.Parallel()(joblib.delayed(outer)(3) for _ in range(6)) == [[(0, True), (1, True), (2, True)]] * 6

    def test_one_job_runs_in_this_process(self) -> None:
        assert joblib.Parallel(n_jobs=1)(joblib.delayed(os.getpid)() for _ in range(2)) == [os.getpid()] * 2

    def test_results_can_be_generated(self) -> None:
        results = joblib.Parallel(return_as="generator")(joblib.delayed(abs)(-i) for i in range(10))
        assert list(results) == list(range(10))

    def test_grid_search_finds_what_it_finds_with_loky(self) -> None:
        np = pytest.importorskip("numpy")
        pytest.importorskip("sklearn")
        from sklearn.datasets import load_digits
        from sklearn.model_selection import GridSearchCV
        from sklearn.svm import SVC

        images, digits = load_digits(return_X_y=True)
        images, digits = images[:200], digits[:200]
        grid = {"C": [1, 10], "gamma": [0.001, 0.01]}
        search = GridSearchCV(SVC(), grid, n_jobs=-1, cv=2).fit(images, digits)
        with joblib.parallel_config(backend="loky", n_jobs=2):
            known = GridSearchCV(SVC(), grid, n_jobs=2, cv=2).fit(images, digits)
        assert search.best_params_ == known.best_params_
        assert search.best_score_ == known.best_score_
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], known.cv_results_["mean_test_score"])


def test_large_inputs_are_sent_once(fake: FakeCluster, fake_client: ms.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    monkeypatch.setattr(ms.Client, "ncores", lambda _self: {"fake": 2})
    data = np.ones(50_000)
    with joblib.parallel_config(backend="millstream", client=fake_client):
        sums = joblib.Parallel()(joblib.delayed(np.sum)(data) for _ in range(10))
    assert sums == [50_000.0] * 10
    holding = [
        job for job in fake.jobs.values() if any(len(params) > data.nbytes // 2 for _, _, params, _ in job.tasks)
    ]
    sent = sum(len(params) for job in holding for _, _, params, _ in job.tasks)
    assert sent >= data.nbytes
