"""Verbs that plugins add to the command line: entry points in the group ``exgate.commands``, each a click command.

They are listed by name; the code of one is imported when it is used, so that a broken one breaks nothing but itself.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

import click

from .errors import FailedPrecondition, Internal

GROUP = "exgate.commands"


class Verbs(click.Group):
    """The verbs of ExGate, then those of installed plugins; a plugin's never stands in for one of ExGate's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, ExGate's own first."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in sorted(_points()) if name not in own)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A verb by its name; None if there is none."""
        points = _points().get(cmd_name, [])
        return super().get_command(ctx, cmd_name) or (_Verb(cmd_name, points) if points else None)


class _Verb(click.Command):
    """A verb of a plugin that isn't loaded yet."""

    def __init__(self, name: str, points: list[metadata.EntryPoint]) -> None:
        super().__init__(name, short_help=f"From {' and '.join(map(_distribution, points))}.")
        self._points = points

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Load the plugin's command and go on as that. Raises Internal, FailedPrecondition."""
        return self._load().make_context(info_name, args, parent, **extra)

    def _load(self) -> click.Command:
        name, owners = self.name, [_distribution(point) for point in self._points]
        if len(owners) > 1:
            message = f"the verb {name} is offered by {' and '.join(owners)}; uninstall one of them"
            raise FailedPrecondition(message, reason="AMBIGUOUS_PLUGIN")
        try:
            found = self._points[0].load()
        except BaseException as error:  # whatever foreign code does at import, SystemExit too
            message = f"the verb {name} of {owners[0]} can't be loaded: {type(error).__name__}: {error}"
            raise Internal(message, reason="BROKEN_PLUGIN") from error
        if not isinstance(found, click.Command):
            message = f"the verb {name} of {owners[0]} is a {type(found).__name__}, no click command"
            raise Internal(message, reason="BROKEN_PLUGIN")
        return found


def _points() -> dict[str, list[metadata.EntryPoint]]:
    found: dict[str, list[metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _distribution(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
