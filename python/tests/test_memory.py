"""What large values cost: they stay where they are, and are mapped, not copied."""

from __future__ import annotations

import pytest

import millstream as ms

pytest.importorskip("numpy")

_GIB = 1 << 30
_SMALL = 256 << 20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gibibyte_between_two_tasks_is_not_copied(is_real: bool) -> None:
    if not is_real:
        pytest.skip("needs a real cluster")

    def make() -> object:
        import numpy as np

        return np.arange(_GIB // 8, dtype=np.int64)

    def own_memory(pid: object = "self") -> int:
        """Bytes of a process that are in no file and no shared memory."""
        with open(f"/proc/{pid}/status") as status:
            sizes = dict(line.split(":", 1) for line in status)
        return int(sizes["RssAnon"].split()[0]) << 10

    def peak() -> int:
        """Most bytes this process ever held, with what it mapped."""
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

    def read(array: object) -> dict[str, int]:
        import os

        total = int(array.sum())  # type: ignore[attr-defined]
        return {"sum": total, "own": own_memory(), "peak": peak(), "worker": own_memory(os.getppid())}

    # Two slots: the reader may be in a process that made nothing, whose peak says what reading costs.
    with ms.LocalCluster(workers=1, slots=2, memory_limit="6GiB") as cluster, ms.Client(cluster) as client:
        array = client.submit(make)
        ms.wait([array], timeout=300)
        reads = [client.submit(read, array).result(300) for _ in range(3)]
    # Shown by `pytest -s`: the figures are in the README.
    print(reads)
    count = _GIB // 8
    assert {each["sum"] for each in reads} == {count * (count - 1) // 2}
    # The array itself is mapped; neither the reader nor the worker holds one of its own.
    assert max(each["own"] for each in reads) < _SMALL, reads
    assert max(each["worker"] for each in reads) < _SMALL, reads
    # Made once and written once to shared memory, read in place: never a third copy.
    assert max(each["peak"] for each in reads) < 2 * _GIB + _SMALL, reads
