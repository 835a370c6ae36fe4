"""Cases about what only one plugin has, options of orders and settings: that they arrive, or are refused."""

from __future__ import annotations

from contextlib import suppress

from msgspec import convert
from msgspec.structs import replace

from exgate_core.errors import ExGateError

from .bare import open_bare
from .checks import expect, hold
from .subjects import Subject
from .table import NotApplicable, case, every, needs, wired


def _tells(subject: Subject, variant: str) -> str:
    if not subject.offer.account_capabilities.options:
        return "options = {}: the adapter declares none of its own"
    told = getattr(subject.fake, "tells_options", False)
    return "" if told else "the fake doesn't tell which options arrived (tells_options)"


@case(
    "C33",
    "declared options arrive",
    "an option that is taken reaches the exchange with its value; it is never dropped in silence",
    every(wired, needs("place_order", "balances"), _tells),
)
async def options_arrive(subject: Subject, variant: str) -> None:
    """Each by itself, and with a stop price where the adapter takes one."""
    able = subject.offer.account_capabilities
    arrived: set[str] = set()
    async with open_bare(subject) as bare:
        number = 0
        for name, option in able.options.items():
            samples = {"string": "a1", "boolean": "true", "integer": "1000000", "decimal": bare.order("a").amount}
            for text in option.choices or (samples[option.kind],):
                for stop in ("", bare.order("a").price) if able.stop_price else ("",):
                    number += 1
                    order = replace(bare.order(f"option-{number}"), stop_price=stop, options={name: text})
                    try:
                        await bare.account.place_order(order)
                    except ExGateError:
                        continue
                    found = bare.wire.simulation.accepted[-1][0]
                    expect(found.stop_price, stop if stop else found.stop_price, f"the stop price with {name}")
                    expect(found.options.get(name, option.choices[:1] and option.choices[0]), text, f"option {name}")
                    arrived.add(name)
    hold(arrived, "no option of the adapter could be used by itself")


def _set(subject: Subject, variant: str) -> str:
    told = subject.own and hasattr(subject.fake, "settings_taken")
    return "" if told else "the fake doesn't tell which settings make sense (settings_taken)"


@case(
    "C18",
    "settings of its own",
    "a setting of the plugin does what it says; one that makes no sense with the exchange is refused",
    every(wired, needs("balances", "depth", "recent_trades"), _set),
)
async def settings(subject: Subject, variant: str) -> None:
    """The ends of what is allowed, and what lies just beyond them."""
    if subject.offer.settings is None:
        raise NotApplicable("the plugin has no settings of its own")
    fake = subject.fake
    for chosen, mark in fake.settings_taken:  # type: ignore[union-attr]
        async with open_bare(subject, settings=chosen) as bare:
            for ask in (
                lambda: bare.exchange.depth(bare.market, 5),
                lambda: bare.exchange.recent_trades(bare.market, 5),
                bare.account.balances,
            ):
                with suppress(ExGateError):  # with some settings a busy machine is too slow
                    await ask()
            asked = [f"{seen.request.method} {seen.request.path}?{seen.request.query}" for seen in bare.wire.requests]
            hold(any(mark in one for one in asked), f"with {chosen!r} no request holds {mark!r}")
    for chosen in fake.settings_refused:  # type: ignore[union-attr]
        try:
            convert(chosen, subject.offer.settings)
        except ValueError:
            continue
        raise AssertionError(f"the settings {chosen!r} were taken")
