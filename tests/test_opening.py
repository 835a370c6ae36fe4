"""Two plugins for one exchange: each opened only where it serves something, each with its own keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from exgate_core.errors import Unavailable
from exgate_core.gateway import open_gateway
from exgate_core.plugins import load_catalogue
from exgate_core.settings import Section, Server, Settings

pytestmark = pytest.mark.anyio

COMMON = """
from msgspec import Struct
from exgate_core import Depth, Market, hookimpl
EXGATE_API = 1
"""
NATIVE = """
class Keys(Struct, frozen=True):
    raw: str = ""

class Native:
    def __init__(self, context):
        self.keys = context.settings

    @hookimpl
    async def markets(self):
        return [Market(symbol="A/B", id="AB", base="A", quote="B")]

    @hookimpl
    async def depth(self, market, limit):
        return Depth(bids=(), asks=())

@hookimpl
def register_exchanges(register):
    register("duo", exchange=Native, settings=Keys)
"""
GENERIC = """
class Keys(Struct, frozen=True):
    generic: str = ""

class Generic:
    def __init__(self, context):
        self.keys = context.settings

    async def __aenter__(self):
        if self.keys.generic != "works":
            raise OSError("should not have been opened")

    async def __aexit__(self, *error):
        pass

    @hookimpl(trylast=True)
    async def depth(self, market, limit):
        raise AssertionError("the native one has it")

    # EXTRA

@hookimpl
def register_exchanges(register):
    register("duo", exchange=Generic, settings=Keys)
"""
TRADES = """
    @hookimpl(trylast=True)
    async def recent_trades(self, market, limit):
        return []
"""


async def adapters(folder: Path, code: str, **extra: str) -> list[object]:
    (folder / "native.py").write_text(COMMON + NATIVE)
    (folder / "generic.py").write_text(COMMON + code)
    section = Section(exchange="duo", extra=dict(extra))
    settings = Settings(server=Server(port=0, state_dir=str(folder / "state")), exchanges={"mine": section})
    async with open_gateway(settings, load_catalogue([], folder)) as gateway:
        return list((await gateway.entry("mine")).exchange.adapters)


async def test_a_plugin_that_serves_nothing_is_not_opened(tmp_path: Path) -> None:
    [only] = await adapters(tmp_path, GENERIC)
    assert type(only).__name__ == "Native"


async def test_a_plugin_that_serves_something_is(tmp_path: Path) -> None:
    both = await adapters(tmp_path, GENERIC.replace("    # EXTRA", TRADES), generic="works")
    assert [type(adapter).__name__ for adapter in both] == ["Native", "Generic"]


async def test_each_plugin_gets_its_own_keys_of_the_section(tmp_path: Path) -> None:
    native, generic = await adapters(tmp_path, GENERIC.replace("    # EXTRA", TRADES), raw="yes", generic="works")
    assert (native.keys.raw, generic.keys.generic) == ("yes", "works")  # type: ignore[attr-defined]  # made above


async def test_a_failure_of_what_is_needed_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await adapters(tmp_path, GENERIC.replace("    # EXTRA", TRADES))
    assert caught.group_contains(Unavailable, match=r"mine \(duo\) can't be opened")
