"""The asynchronous client beside the synchronous one, whose names it has."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

import millstream as ms


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_every_name_of_the_client_is_there() -> None:
    assert public(ms.Client) <= public(ms.AsyncClient)


@pytest.mark.parametrize("name", sorted(public(ms.Client)))
def test_parameters_have_the_same_names(name: str) -> None:
    ours, theirs = getattr(ms.AsyncClient, name), getattr(ms.Client, name)
    assert isinstance(ours, property) == isinstance(theirs, property)
    if isinstance(ours, property):
        return
    passed_on = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    # Those that are passed on under no name of their own are checked by the client.
    named = {each.name for each in inspect.signature(ours).parameters.values() if each.kind not in passed_on}
    assert named <= set(inspect.signature(theirs).parameters)


def test_what_happened_to_a_task_can_be_awaited(gateway: tuple[str, str], is_real: bool, tmp_path: Path) -> None:
    if not is_real:
        pytest.skip("needs workers: --cluster=local")

    def shout() -> int:
        print("heard")
        return 1

    async def main() -> dict[str, Any]:
        url, token = gateway
        async with ms.AsyncClient(url, token=token) as client:
            assert client.url == url
            async with client.performance_report(tmp_path / "report.html"):
                future = client.submit(shout)
                assert await future == 1
            with pytest.raises(ZeroDivisionError):
                await client.recreate_error_locally(client.submit(divmod, 1, 0))
            loop = asyncio.get_running_loop()
            with client.get_executor() as executor:
                assert await loop.run_in_executor(executor, abs, -3) == 3
            return {
                "logs": await client.logs(future),
                "story": [event["text"] for event in await client.story(future)],
                "explain": await client.explain(future),
                "slots": sum((await client.ncores()).values()),
                "held": [key for keys in (await client.has_what()).values() for key in keys],
                "key": future.key,
            }

    told = asyncio.run(main())
    assert told["logs"] == "heard\n"
    assert any("stored" in text for text in told["story"])
    assert told["explain"]
    assert told["slots"] >= 1
    assert told["key"] in told["held"]
    assert "shout" in (tmp_path / "report.html").read_text()
