"""What would keep a gateway from starting, or an order from being placed, found without opening an exchange."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .access import TOKEN_FILE, check_bind, load_tokens
from .errors import ExGateError, FailedPrecondition
from .grants import Grants
from .rules import trading_problem
from .secrets import SettingsError
from .settings import journal_path, plugin_settings, state_dir

if TYPE_CHECKING:
    from .plugins import Catalogue
    from .settings import Section, Settings


_log = logging.getLogger("exgate.check")


def problems(settings: Settings, catalogue: Catalogue, *, commands: bool) -> Iterator[str]:
    """One line each: the path of the setting, what is wrong, what to do. Nothing is left behind.

    ``commands``: the secrets that a command prints are fetched too, and each may take its time.
    """
    yield from _wrong("server", partial(check_bind, settings.server))
    yield from _of_state(settings)
    yield from (f"plugin {report.package}: {report.refused}" for report in catalogue.reports if report.refused)
    for name in sorted(catalogue.offers.keys() - settings.exchanges.keys()):
        yield from _wrong(f"exchanges.{name}", partial(catalogue.public, name))
    for name, section in settings.exchanges.items():
        yield from _wrong(f"exchanges.{name}", partial(_check_section, settings, catalogue, name, section))
        for secret in filter(None, (section.api_key, section.api_secret, section.passphrase)):
            if commands or not secret.runs:
                yield from _wrong("", secret.reveal)


def log(settings: Settings, catalogue: Catalogue) -> None:
    """Write down what is found. No command is run for it: opening an account does that, and says what went wrong."""
    for problem in problems(settings, catalogue, commands=False):
        _log.error("%s", problem)


def _wrong(place: str, look: Callable[[], object]) -> Iterator[str]:
    try:
        look()
    except SettingsError as error:
        yield error.message  # names the key itself
    except ExGateError as error:
        yield f"{place}: {error.message}"


def _of_state(settings: Settings) -> Iterator[str]:
    folder = state_dir(settings)
    unusable = list(_wrong("server.state_dir", partial(_check_folder, folder)))
    yield from unusable
    if not unusable and (folder / TOKEN_FILE).exists():
        yield from _wrong("server.state_dir", partial(load_tokens, folder))
    if not unusable:
        yield from _wrong("server.state_dir", partial(_check_file, journal_path(settings)))
        yield from _wrong("server.state_dir", Grants(folder).read)


def _check_folder(folder: Path) -> None:
    """Write where the folder is, or would be made."""
    try:
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        with TemporaryDirectory(dir=there, prefix=".exgate-"):
            pass
    except OSError as error:
        text = f"{folder} can't be written ({error.strerror}); mend its owner and rights, or name another folder"
        raise FailedPrecondition(text) from None


def _check_file(file: Path) -> None:
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        raise FailedPrecondition(f"{file} can't be read and written by this user; mend its owner and rights")


def _check_section(settings: Settings, catalogue: Catalogue, name: str, section: Section) -> None:
    offers = catalogue.public(section.exchange, section.plugin)
    if section.credentials is not None or section.account:
        private = catalogue.private(name, section)
        offers = (*offers, private)
        problem = trading_problem(
            private.account_capabilities,
            trading=section.trading,
            accept_unrecoverable=section.accept_unrecoverable,
        )
        if problem:
            raise FailedPrecondition(problem)
    for offer in offers:
        plugin_settings(settings, name, offer.settings, [other.settings for other in catalogue.beside(section)])
