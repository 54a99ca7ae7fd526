"""The jobs that the guide's pictures show: a slow task, a skewed shuffle, a memory hog.

Prints ``ready`` once they are done, and holds their results until it is stopped.
"""

import threading
import time
from collections import Counter

import millstream as ms

PARTS = 6
PARTITIONS = 16
DAYS = 12
MEGABYTE = 1_000_000


def resize(image: str) -> int:
    """Take long for the one image that is large."""
    time.sleep(6 if image == "panorama" else 0.2)
    return len(image)


def orders_of(partition: int, part: int) -> bytes:
    """Make a part of a partition's orders; most orders are of customers in the first partition."""
    size = 8 * MEGABYTE if partition == 0 else MEGABYTE // 50
    return bytes((part + at) % 251 for at in range(1_000)) * (size // 1_000)


def count_orders(parts: list[bytes]) -> int:
    """Count what all parts of one partition hold."""
    return len(Counter(b"".join(parts)))


def load_day(day: int) -> bytes:
    """Return a whole table, of which only a number is needed."""
    return bytes(16 * MEGABYTE + day)


def rows_of(table: bytes) -> int:
    """Count the rows of a table."""
    return len(table)


def main() -> None:
    """Run the jobs one after another."""
    with ms.Client() as client:
        images = [f"image-{number}" for number in range(80)]
        images[11] = "panorama"
        resized = client.map(resize, images, key=images)
        client.gather(resized)

        count = ms.delayed(count_orders)
        # As if each part were a file on the disk of one worker: what belongs into one partition is made on all of them.
        names = [worker["name"] for worker in client.workers()]
        readers = [ms.delayed(orders_of).with_options(workers=[names[part % len(names)]]) for part in range(PARTS)]
        made = {
            (partition, part): readers[part](partition, part, dask_key_name=f"orders-{partition}-{part}")
            for partition in range(PARTITIONS)
            for part in range(PARTS)
        }
        counts = [
            count([made[partition, part] for part in range(PARTS)], dask_key_name=f"count-orders-{partition}")
            for partition in range(PARTITIONS)
        ]
        counted = ms.persist(*counts, client=client)
        ms.compute(*counted, client=client)

        tables = client.map(load_day, range(DAYS), key=[f"table-{day}" for day in range(DAYS)])
        rows = client.map(rows_of, tables, key=[f"rows-{day}" for day in range(DAYS)])
        client.gather(rows)

        print("ready", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
