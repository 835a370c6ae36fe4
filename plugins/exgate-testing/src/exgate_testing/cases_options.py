"""A case about options of orders that only one exchange has: that they arrive."""

from __future__ import annotations

from msgspec.structs import replace

from exgate_core.errors import ExGateError

from .bare import open_bare
from .checks import expect, hold
from .subjects import Subject
from .table import case, every, needs, wired


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
