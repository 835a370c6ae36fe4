"""Who is judged: an installed exchange, the plugin that serves it, and the fake that stands in for it."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from msgspec import Struct

from exgate_core.errors import ExGateError
from exgate_core.plugins import Catalogue, Offer, load_catalogue

from .fakes import Fake

GROUP = "exgate.fakes"
"""The entry-point group in which plugins name the fakes of their exchanges."""


class NotJudged(Exception):
    """Why an exchange can't be judged, in a sentence."""


class Subject(Struct, frozen=True, kw_only=True):
    """One exchange on trial."""

    name: str
    distribution: str
    """Of the plugin; nothing else is loaded."""
    offer: Offer
    catalogue: Catalogue
    fake: type[Fake] | None
    """None = the exchange lives in this process and needs none (``paper``)."""
    own: bool = True
    """Whether the fake was written for this plugin: else what it says of its plugin (settings, waivers) doesn't count,
    nor what only a plugin for this one exchange can know (the names of reasons, the weight of each request)."""

    def has(self, operation: str) -> bool:
        """Whether the plugin implements the hook."""
        return operation in self.offer.operations


def names() -> dict[str, str]:
    """Every installed exchange, with the distribution whose plugin serves it best."""
    offers = load_catalogue().offers
    return {name: offers[name][0].distribution for name in sorted(offers)}


def subject(name: str, *, plugin: str = "", fake: type[Fake] | None = None) -> Subject:
    """The exchange with this name.

    ``plugin`` is the distribution to judge, ``fake`` the class to judge it with; both are found by their entry points
    where they aren't given. The fake may be another plugin's, of the same exchange. Raises NotJudged.
    """
    if fake is None and name != "paper":
        author, fake = _installed_fake(name)
        plugin = plugin or author
    catalogue = load_catalogue([plugin] if plugin else ["exgate-paper"] if name == "paper" else "all")
    try:
        offer = catalogue.public(name, plugin)[0]
    except ExGateError as error:
        raise NotJudged(error.message) from error
    return Subject(
        name=name,
        distribution=offer.distribution,
        offer=offer,
        catalogue=catalogue,
        fake=fake,
        own=_is_own(fake, plugin),
    )


def _is_own(fake: type[Fake] | None, plugin: str) -> bool:
    if fake is None:
        return True
    value = f"{fake.__module__}:{fake.__qualname__}"
    authors = {point.dist.name for point in metadata.entry_points(group=GROUP) if point.value == value and point.dist}
    return not authors or plugin in authors


def settings_of(subject: Subject) -> dict[str, Any]:
    """The plugin's own settings with which it is judged."""
    return dict(getattr(subject.fake, "settings", {})) if subject.own else {}


def _installed_fake(name: str) -> tuple[str, type[Fake]]:
    points = [point for point in metadata.entry_points(group=GROUP) if point.name == name]
    if not points:
        raise NotJudged(f"not judged: the plugin of {name} ships no fake (entry point group {GROUP})")
    try:
        found = points[0].load()
    except Exception as error:  # whatever foreign code does at import
        raise NotJudged(f"the fake of {name} can't be imported: {type(error).__name__}: {error}") from error
    dist = points[0].dist
    return (dist.name if dist is not None else ""), found
