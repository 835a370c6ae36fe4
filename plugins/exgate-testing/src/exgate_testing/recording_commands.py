"""The verbs ``exgate record`` and ``exgate replay``."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import click

from exgate_core.clock import Runtime

from .recorder import recording
from .replayer import replaying
from .replayer_streams import Speed


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="An address of this machine.")
@click.option("--port", default=9443, show_default=True, type=int)
@click.option("--upstream-prefix", default="", help="Send everything on through another such server.")
def record(folder: Path, host: str, port: int, upstream_prefix: str) -> None:
    """Write down what passes between a gateway and its exchanges; upstream_prefix in its settings leads here."""

    async def run() -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            try:
                serving = recording(folder, Runtime().clock, host=host, port=port, upstream_prefix=upstream_prefix)
                async with serving as (recorder, prefix):
                    click.echo(f'recording into {folder}: upstream_prefix = "{prefix}"')
                    await anext(signals)
            except (ValueError, OSError) as error:
                raise click.UsageError(str(error)) from error
        for name, (requests, frames) in recorder.counts.items():
            click.echo(f"{name}: {requests} requests, {frames} frames")

    anyio.run(run)


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="An address of this machine.")
@click.option("--port", default=9443, show_default=True, type=int)
@click.option("--speed", default="real", show_default=True, help="real, max, or frames per second and topic.")
def replay(folders: tuple[Path, ...], host: str, port: int, speed: str) -> None:
    """Answer as recorded exchanges did; upstream_prefix in a gateway's settings leads here."""

    async def run() -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            try:
                async with replaying(folders, host=host, port=port, speed=_speed(speed)) as (replayer, prefix):
                    click.echo(f'replaying {len(replayer.library.recordings)} sessions: upstream_prefix = "{prefix}"')
                    await anext(signals)
            except (ValueError, OSError) as error:
                raise click.UsageError(str(error)) from error
        click.echo(f"{len(replayer.asked)} requests, {len(replayer.missed)} of them not recorded")

    anyio.run(run)


def _speed(text: str) -> Speed:
    if text in ("real", "max"):
        return "max" if text == "max" else "real"
    value = float(text)
    if not value > 0:
        raise ValueError("--speed must be real, max, or a number above 0")
    return value
