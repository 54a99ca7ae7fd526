"""The page that `performance_report` writes."""

from __future__ import annotations

import html.parser
import time
import uuid
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import millstream as ms
from millstream._report import Operation, Report, page, picture

WORKER = {"id": str(uuid.UUID(int=7)), "name": "first <b>", "slots": 2}
SPANS: dict[str, Any] = {
    "from_us": 1_000_000,
    "to_us": 3_000_000,
    "workers": [uuid.UUID(int=7).bytes],
    "ops": [{"op": 0, "kind": "python", "name": "__main__:<lambda>"}],
    "blocks": {
        "worker": [0, 0, 0],
        "slot": [0, 0, 1],
        "kind": [0, 2, 1],
        "op": [0, 0, 0],
        "start_us": [0, 1_000_000, 500_000],
        "duration_us": [1_000_000, 1_000, 500_000],
        "count": [3, 1, 1],
    },
}


class Text(html.parser.HTMLParser):
    """The words of a page, and the addresses that it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]


def test_blocks_lie_where_and_when_they_ran() -> None:
    drawn = ElementTree.fromstring(picture(Report(2.0, [WORKER], [], SPANS)))
    space = "{http://www.w3.org/2000/svg}"
    assert [text.text for text in drawn.iter(f"{space}text")] == ["first <b> / 0", "first <b> / 1"]
    places = [(float(rect.get("x", "")), float(rect.get("width", ""))) for rect in drawn.iter(f"{space}rect")]
    # A thousand pixels for two seconds, behind the names.
    assert places == [(160, 500), (660, 0.5), (410, 250)]
    titles = [title.text for title in drawn.iter(f"{space}title")]
    assert titles == ["__main__:<lambda>: 1000.000 ms, 3 of them", "fetch: 1.000 ms", "failed: 500.000 ms"]


def test_what_users_named_is_text_and_no_markup() -> None:
    text = Text(page(Report(2.0, [WORKER], [Operation("j", "<script>x", 3, 1, 2_000_000, 1234)], SPANS)))
    assert "<script>x" in text.words
    assert "2.0 s of 4.0 s in slots (50 %)" in text.words
    assert "1,234 bytes" in text.words
    assert text.loads == []


def test_nothing_that_ran_is_said() -> None:
    assert "Nothing ran." in page(Report(0.1, [], []))


def test_a_folder_that_is_not_there_is_told_before_the_work(fake_client: ms.Client, tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=r"nowhere of the report"),
        fake_client.performance_report(tmp_path / "nowhere" / "report.html"),
    ):
        pytest.fail("the work began")


def test_a_report_tells_what_a_block_did(client: ms.Client, is_real: bool, tmp_path: Path) -> None:
    if not is_real:
        pytest.skip("needs a real cluster")

    def nap_of_a_report(number: int) -> int:
        time.sleep(0.05)
        if number == 7:
            raise ValueError(number)
        return number

    assert client.submit(nap_of_a_report, -1).result(60) == -1
    path = tmp_path / "report.html"

    def work() -> None:
        with client.performance_report(path):
            client.gather(client.map(nap_of_a_report, range(5)))
            client.submit(nap_of_a_report, 7).result(60)

    with pytest.raises(ValueError, match="7"):
        work()
    text = Text(path.read_text())
    assert text.loads == []
    rows = [text.words[at + 2 : at + 4] for at, word in enumerate(text.words) if word.endswith("nap_of_a_report")]
    # By function and job: five that ended well, one that did not; not the one before.
    assert sorted(rows) == [["0", "1"], ["5", "0"]]
