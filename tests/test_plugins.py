from __future__ import annotations

import re
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exgate_core.errors import FailedPrecondition, NotFound
from exgate_core.hooking import compose
from exgate_core.hookspecs import ExchangeHooks, hookimpl
from exgate_core.models import Call
from exgate_core.plugins import Catalogue, PluginReport, load_catalogue
from exgate_core.settings import Secret, Section

Install = Callable[..., None]

HEAD = """
from exgate_core import EXGATE_API as _API, AccountCapabilities, ExchangeCapabilities, hookimpl
EXGATE_API = 1
"""
EXCHANGE = """
class Exchange:
    def __init__(self, context): self.context = context
    @hookimpl
    async def markets(self): return []
    @hookimpl
    async def depth(self, market, limit): return None
"""
ACCOUNT = """
class Account:
    def __init__(self, context): self.context = context
    @hookimpl
    async def balances(self): return []
"""
REGISTER = """
@hookimpl
def register_exchanges(register): register("{name}", exchange=Exchange)
"""
SIMPLE = HEAD + EXCHANGE + REGISTER.format(name="acme")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lay a distribution with one module into a folder on the path, as an installer does."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def lay(name: str, source: str, version: str = "1.0", target: str = "") -> None:
        module = f"x_{name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[exgate]\nplugin = {target or module}\n")

    yield lay
    for module in set(sys.modules) - before:
        if module.startswith(("x_", "exgate_plugin_")):
            del sys.modules[module]


def loaded(*names: str, budget: float = 10.0) -> Catalogue:
    """The catalogue of these distributions only, whatever else is installed where the tests run."""
    return load_catalogue(names, budget=budget)


def report(catalogue: Catalogue, package: str) -> PluginReport:
    [found] = [one for one in catalogue.reports if one.package == package]
    return found


def test_a_plugin_offers_its_exchange(install: Install) -> None:
    source = (
        HEAD
        + EXCHANGE
        + ACCOUNT
        + """
        import msgspec
        class Keys(msgspec.Struct): depth_of: int = 1
        Account.capabilities = AccountCapabilities(real=False)
        @hookimpl
        def register_exchanges(register):
            register("acme", exchange=Exchange, account=Account, settings=Keys,
                     exchange_capabilities=ExchangeCapabilities(trade_ids="contiguous"))
        """.replace("\n        ", "\n")
    )
    install("exgate-acme", source, "2.5")
    catalogue = load_catalogue(["Exgate_Acme"])
    [offer] = catalogue.public("acme")
    assert (offer.name, offer.distribution, offer.version, offer.trylast) == ("acme", "exgate-acme", "2.5", False)
    assert offer.operations == {"markets", "depth", "balances"}
    assert offer.exchange_capabilities.trade_ids == "contiguous" and not offer.account_capabilities.real
    assert offer.settings is not None and offer.settings.__name__ == "Keys"
    assert report(catalogue, "exgate-acme").serves == {"acme": {"markets", "depth", "balances"}}
    assert report(catalogue, "exgate-acme").refused == ""
    with pytest.raises(NotFound, match="an exchange acne; did you mean acme"):
        catalogue.public("acne")


def test_one_bad_plugin_is_named_and_the_rest_serves(install: Install) -> None:
    install("exgate-acme", SIMPLE)
    install("exgate-broken", "raise RuntimeError('two\\nlines')", "0.3")
    install("exgate-exits", "raise SystemExit(3)")
    install("exgate-missing", "", target="no_such_module")
    install("exgate-syntax", "def (")
    catalogue = loaded("exgate-acme", "exgate-broken", "exgate-exits", "exgate-missing", "exgate-syntax", "exgate-none")
    assert [offer.distribution for offer in catalogue.public("acme")] == ["exgate-acme"]
    assert report(catalogue, "exgate-broken").refused == "RuntimeError: two lines"
    assert report(catalogue, "exgate-broken").version == "0.3"
    assert report(catalogue, "exgate-exits").refused == "SystemExit: 3"
    assert report(catalogue, "exgate-missing").refused.startswith("ModuleNotFoundError: No module named")
    assert report(catalogue, "exgate-syntax").refused.startswith("SyntaxError: ")
    assert report(catalogue, "exgate-none").refused.startswith("it is listed in plugins.load and not installed")
    assert all("\n" not in one.refused for one in catalogue.reports)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SIMPLE.replace("EXGATE_API = 1", ""), "doesn't say for which hooks it was written: EXGATE_API = 1"),
        (
            SIMPLE.replace("EXGATE_API = 1", "EXGATE_API = 2"),
            "was written for EXGATE_API = 2; this is 1: upgrade exgate",
        ),
        (SIMPLE.replace("EXGATE_API = 1", "EXGATE_API = 0"), "EXGATE_API = 0; this is 1: upgrade the plugin"),
        (HEAD, "implements neither register_exchanges nor wrap_operation"),
        (
            SIMPLE.replace("depth(self, market, limit)", "detph(self, market, limit)"),
            "no such hook; did you mean depth?",
        ),
        (
            SIMPLE.replace("depth(self, market, limit)", "depth(self, pair, limit)"),
            "unknown argument pair; known here: ma",
        ),
        (SIMPLE.replace("depth(self, market, limit)", "depth(self, market, limit=5)"), "limit must have no default"),
        (
            SIMPLE.replace("depth(self, market, limit)", "depth(self, market, *, limit)"),
            "plain names only",
        ),
        (SIMPLE.replace("depth(self, market, limit)", "depth(self, *args)"), "plain names only"),
        (SIMPLE.replace("async def depth", "def depth"), "Exchange.depth must be async"),
        (
            SIMPLE.replace("@hookimpl\n    async def depth", "async def depth"),
            "Exchange.depth isn't marked with @hookimpl",
        ),
        (
            SIMPLE.replace("@hookimpl\n    async def d", "@hookimpl(wrapper=True)\n    async def d"),
            "is a pluggy wrapper",
        ),
        (
            SIMPLE.replace("@hookimpl\n    async def d", "@hookimpl(tryfirst=True)\n    async def d"),
            "is marked tryfirst",
        ),
        (SIMPLE.replace("@hookimpl\ndef", "def"), "register_exchanges isn't marked with @hookimpl"),
        (SIMPLE.replace("@hookimpl\ndef", "@hookimpl\nasync def"), "register_exchanges must be a plain function"),
        (
            SIMPLE.replace("register_exchanges(register)", "register_exchange(register)"),
            "no such hook; did you mean reg",
        ),
        (SIMPLE.replace("(self, context)", "(self, context, more)"), r"Exchange\(context\) can't be called: missing"),
        (SIMPLE.replace('"acme"', '"../acme"'), "an exchange can't be called '../acme'"),
        (SIMPLE.replace('"acme"', '"ACME"'), "an exchange can't be called 'ACME'"),
        (SIMPLE.replace("exchange=Exchange", "exchange=Exchange(1)"), "must be a class, not an instance"),
        (SIMPLE.replace(", exchange=Exchange", ""), "acme has neither an exchange nor an account"),
        (SIMPLE.replace("exchange=Exchange", "account=Exchange"), "Exchange.depth: there is no such hook"),
        (
            SIMPLE.replace("exchange=Exchange", "exchange=object"),
            "object\\(context\\) can't be called",
        ),
        (SIMPLE.replace("exchange=Exchange", "exchange=Exchange, settings=dict"), "settings must be a msgspec Struct"),
        (
            SIMPLE.replace("=Exchange", "=Exchange, exchange_capabilities=1"),
            "must be an instance of ExchangeCapabilities",
        ),
        (SIMPLE.rstrip() + "; register('acme', exchange=Exchange)", "acme is registered twice"),
        (
            SIMPLE + "import msgspec\nclass Keys(msgspec.Struct): proxy: str = ''\n"
            "@hookimpl\ndef register_exchanges(register): register('acme', exchange=Exchange, settings=Keys)",
            "Keys: ExGate itself has settings named proxy",
        ),
    ],
)
def test_a_plugin_that_breaks_a_rule_is_refused_with_the_rule(install: Install, source: str, said: str) -> None:
    install("exgate-acme", SIMPLE.replace("acme", "good"))
    install("exgate-wrong", source)
    catalogue = loaded("exgate-acme", "exgate-wrong")
    assert list(catalogue.offers) == ["good"]
    assert re.search(said, report(catalogue, "exgate-wrong").refused)


def test_plugins_that_are_not_listed_are_not_even_imported(install: Install, tmp_path: Path) -> None:
    mark = tmp_path / "imported"
    install("exgate-acme", SIMPLE)
    install("exgate-evil", f"import pathlib; pathlib.Path({str(mark)!r}).touch()")
    assert [one.package for one in loaded("exgate-acme").reports] == ["exgate-acme"]
    assert load_catalogue([]).reports == ()
    assert not mark.exists()
    load_catalogue("all")
    assert mark.exists()


def test_a_slow_plugin_is_reported_and_the_rest_serves(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(sys, "exgate_test_release", release, raising=False)
    install("exgate-acme", SIMPLE)
    install("exgate-slow", "import sys; sys.exgate_test_release.wait()\n" + SIMPLE.replace("acme", "slow"))
    start = time.monotonic()
    catalogue = loaded("exgate-acme", "exgate-slow", budget=0.2)
    assert time.monotonic() - start < 10
    release.set()
    assert list(catalogue.offers) == ["acme"]
    assert report(catalogue, "exgate-slow").refused == "it did not load within 0.2 s"


def test_two_plugins_of_equal_rank_are_both_named(install: Install) -> None:
    install("exgate-acme", SIMPLE)
    install("exgate-other", SIMPLE, "3.1")
    catalogue = loaded("exgate-acme", "exgate-other")
    with pytest.raises(FailedPrecondition) as caught:
        catalogue.public("acme")
    assert 'exgate-acme and exgate-other; write into [exchanges.acme]: plugin = "exgate-acme" or' in str(caught.value)
    assert [offer.distribution for offer in catalogue.public("acme", "exgate_OTHER")] == ["exgate-other"]
    assert report(catalogue, "exgate-acme").clash.startswith("acme is offered by exgate-other 3.1 too")
    assert report(catalogue, "exgate-other").clash.startswith("acme is offered by exgate-acme 1.0 too")


def test_a_hand_written_plugin_goes_before_one_that_tries_last(install: Install) -> None:
    install("exgate-a-last", SIMPLE.replace("@hookimpl\n    async", "@hookimpl(trylast=True)\n    async"))
    install("exgate-hand", SIMPLE)
    catalogue = loaded("exgate-a-last", "exgate-hand")
    assert [offer.distribution for offer in catalogue.public("acme")] == ["exgate-hand", "exgate-a-last"]
    assert report(catalogue, "exgate-hand").clash == ""


def private(name: str) -> str:
    source = ACCOUNT + REGISTER.format(name=name).replace("=Exchange", "=Exchange, account=Account")
    return HEAD + EXCHANGE + source


def section(plugin: str = "", account: str = "") -> Section:
    key = None if account else Secret("k")
    return Section(exchange="acme", plugin=plugin, account=account, api_key=key, api_secret=key)


def test_credentials_never_move_because_something_was_installed(install: Install) -> None:
    install("exgate-hand", private("acme"))
    assert loaded("exgate-hand").private("main", section()).distribution == "exgate-hand"
    install("exgate-last", private("acme").replace("@hookimpl\n    async", "@hookimpl(trylast=True)\n    async"))
    catalogue = loaded("exgate-hand", "exgate-last")
    with pytest.raises(FailedPrecondition, match=r'write into \[exchanges.main\]: plugin = "exgate-hand" or plugin'):
        catalogue.private("main", section())
    assert catalogue.private("main", section("exgate-last")).distribution == "exgate-last"
    with pytest.raises(FailedPrecondition, match="exgate-absent offers no exchange acme with an account"):
        catalogue.private("main", section("exgate-absent"))


def test_a_paper_account_comes_from_the_plugin_that_has_it(install: Install) -> None:
    install("exgate-acme", SIMPLE)
    install("exgate-paper", private("paper"))
    catalogue = loaded("exgate-acme", "exgate-paper")
    assert catalogue.private("main", section("exgate-acme", account="paper")).distribution == "exgate-paper"
    with pytest.raises(NotFound, match="no installed plugin offers an exchange acme with an account"):
        catalogue.private("main", section())


def test_a_refused_plugin_that_a_section_names_says_why(install: Install) -> None:
    install("exgate-broken", "raise RuntimeError('no')")
    with pytest.raises(FailedPrecondition, match="it was refused: RuntimeError: no"):
        loaded("exgate-broken").public("acme", "exgate-broken")


WRAPPER = (
    HEAD
    + """
def made(name):
    async def wrapper(call, proceed): return (name, await proceed(call))
    return wrapper
@hookimpl{options}
def wrap_operation(exchange, operation): {body}
"""
)


def wrapping(body: str, options: str = "") -> str:
    return WRAPPER.replace("{options}", options).replace("{body}", body)


@pytest.mark.anyio
async def test_wrappers_are_asked_per_exchange_and_operation(install: Install) -> None:
    install("exgate-b", wrapping("return made('b')"))
    install("exgate-a", wrapping("return made('a') if operation == 'depth' else None"))
    install("exgate-0", wrapping("return made('last')", "(trylast=True)"))
    catalogue = loaded("exgate-a", "exgate-b", "exgate-0")

    async def proceed(call: Call) -> object:
        return call.exchange

    async def order(operation: str) -> list[object]:
        call = Call(exchange="acme", operation=operation)
        return [await wrapper(call, proceed) for wrapper in catalogue.wrappers("acme", operation)]

    assert await order("depth") == [("a", "acme"), ("b", "acme"), ("last", "acme")]
    assert await order("balances") == [("b", "acme"), ("last", "acme")]
    assert report(catalogue, "exgate-a").wraps


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", "wrap_operation of exgate-a for depth of acme failed with ZeroDivisionError"),
        ("return lambda call, proceed: None", "which isn't an async function"),
    ],
)
def test_an_operation_is_never_served_without_a_wrapper_that_fails(install: Install, body: str, said: str) -> None:
    install("exgate-a", wrapping(body))
    with pytest.raises(FailedPrecondition, match=said):
        loaded("exgate-a").wrappers("acme", "depth")


def test_one_file_plugins_of_a_folder(install: Install, tmp_path: Path) -> None:
    folder = tmp_path / "plugins.d"
    folder.mkdir()
    (folder / "mine.py").write_text(SIMPLE)
    (folder / "_helper.py").write_text("raise RuntimeError")
    (folder / "torn.py").write_text("raise RuntimeError('torn')")
    catalogue = load_catalogue([], folder)
    assert [one.package for one in catalogue.reports] == ["mine.py", "torn.py"]
    assert report(catalogue, "torn.py").refused == "RuntimeError: torn"
    assert catalogue.public("acme", "mine.py")[0].distribution == "mine.py"


def test_the_examples_of_one_file_plugins() -> None:
    catalogue = load_catalogue([], Path(__file__).parents[1] / "examples" / "one_file")
    assert [one.refused for one in catalogue.reports] == [""] * len(catalogue.reports)
    assert catalogue.public("lemon")[0].distribution == "lemon.py"
    assert len(catalogue.wrappers("lemon", "place_order")) == 1
    assert catalogue.wrappers("lemon", "depth") == ()


def test_tracing_prints_every_call_of_a_modules_hooks(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("exgate-a", wrapping("return None"))
    loaded("exgate-a").wrappers("acme", "depth")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("EXGATE_TRACE", "1")
    loaded("exgate-a").wrappers("acme", "depth")
    shown = capsys.readouterr().err
    assert "exgate-a: wrap_operation(" in shown and "exchange='acme'" in shown and "wrap_operation -> []" in shown


@pytest.mark.anyio
async def test_tracing_prints_every_call_of_an_adapter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Adapter:
        @hookimpl
        async def depth(self, market: object, limit: int) -> str:
            if limit < 0:
                raise ValueError("no")
            return "book"

    monkeypatch.setenv("EXGATE_TRACE", "1")
    _, depth = compose(ExchangeHooks, [Adapter()])["depth"]
    assert await depth(market="m", limit=5) == "book"
    with pytest.raises(ValueError, match="no"):
        await depth(market="m", limit=-1)
    shown = capsys.readouterr().err
    assert "Adapter: depth(market='m', limit=5)" in shown and "Adapter: depth -> 'book'" in shown
    assert "Adapter: depth raised ValueError('no')" in shown
