"""What a command works on: flags over configuration over what the files themselves tell.

Takes the configuration and a command's flags, gives features, labels, join options, the store and the output's path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

import timefence_pl as tf
from timefence_pl.cli.config import config_at, find_config
from timefence_pl.cli.feature_files import FeatureFiles, importing
from timefence_pl.cli.session import Session
from timefence_pl.errors import listing, message

__all__ = ["LabelFlags", "Project", "durations", "names_of", "splits_of"]

_DEFAULT_FILES: Final = ("features.py", "features/*.py")
_TIME: Final = "label_time"


@dataclass(frozen=True)
class LabelFlags:
    """What a command was told of the labels; what it was not told stays None or empty."""

    path: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    label_time: str | None = None
    target: tuple[str, ...] | None = None


class Project:
    """A project: its configuration, and what flags override.

    Args:
        session: The run.
        ctx: The command's context: feature files stay imported until it ends.
    """

    def __init__(self, session: Session, ctx: click.Context | None = None) -> None:
        self.session = session
        if session.config_file is not None:
            self.config = config_at(_shortened(session.config_file) if session.started is None else session.config_file)
        else:
            self.config, passed_over = find_config(Path())
            for line in passed_over:
                session.warn(line)
        self.files = FeatureFiles()
        if ctx is not None:
            stack = ExitStack()
            stack.enter_context(importing())
            ctx.call_on_close(stack.close)

    # --- features -----------------------------------------------------------------------------------------------------

    def feature_files(self, given: Sequence[str] = ()) -> list[str]:
        """The feature files: given, configured, or ``features.py`` and ``features/*.py``; may be none."""
        if given:
            return list(given)
        if self.config.features:
            return list(self.config.features)
        return [f for f in _DEFAULT_FILES if any(Path().glob(f))]

    def features(self, given: Sequence[str] = ()) -> list[tf.Feature | tf.Window]:
        """The project's features.

        Raises:
            TimefenceConfigError: If there are no feature files.
        """
        files = self.feature_files(given)
        if not files:
            raise tf.TimefenceConfigError(
                message(
                    "There are no features to work with.",
                    where=f"looked for {listing(_DEFAULT_FILES)} in {Path.cwd()}"
                    + ("" if self.config.file else ", which has no configuration"),
                    fix=(
                        "give --features PATH.py",
                        "name the file in the configuration: features = [...]",
                        "let `timefence-pl init` look at your data and write one",
                    ),
                )
            )
        return self.files.load(files)

    # --- labels -------------------------------------------------------------------------------------------------------

    def labels(self, flags: LabelFlags, features: Sequence[tf.Feature | tf.Window]) -> tf.Labels:
        """The labels: flags, then configuration, then what features and the file's columns tell.

        Without configured keys those of the features are taken; without targets, all other columns.

        Raises:
            TimefenceConfigError: If there is no path.
        """
        told = self.config.labels
        path = flags.path or told.path
        if not path:
            where = f"{self.config.file} has no labels.path" if self.config.file else "there is no configuration"
            raise tf.TimefenceConfigError(
                message("There are no labels to work with.", where=where, fix="Give --labels PATH.")
            )
        keys = self.label_keys(flags.keys, features)
        label_time = flags.label_time or told.label_time or _TIME
        target = told.target if flags.target is None else flags.target
        options = {} if flags.path else dict(told.options)
        data = path[0] if len(path) == 1 else list(path)
        made = tf.Labels(data, keys=keys, label_time=label_time, target=target or None, **options)
        if not target:
            rest = [c for c in made.schema if c not in {*keys, label_time}]
            made = tf.Labels(data, keys=keys, label_time=label_time, target=rest or None, **options)
        return made

    def label_keys(self, given: Sequence[str] | None, features: Sequence[tf.Feature | tf.Window]) -> list[str]:
        """Key columns: given, configured, or those that the features join on."""
        if given is not None:
            return list(given)
        if self.config.labels.keys is not None:
            return list(self.config.labels.keys)
        keys: dict[str, None] = {}
        for feature in features:
            named = {source: label for label, source in feature.key_mapping.items()}
            keys |= dict.fromkeys(named.get(k, k) for k in feature.source.keys)
        return list(keys)

    def label_time(self, given: str | None) -> str:
        """The label time column: given, configured, or ``label_time``."""
        return given or self.config.labels.label_time or _TIME

    # --- options, store, output ---------------------------------------------------------------------------------------

    def join_options(self, **flags: Any) -> dict[str, Any]:
        """Options of the join: flags that were given, then the configuration's; the rest keeps its default."""
        known = ("max_lookback", "max_staleness", "join", "on_missing", "flatten_columns", "feature_times")
        told = {k: v for k, v in self.config.defaults.items() if k in known}
        return told | {k: v for k, v in flags.items() if v is not None} | _unbounded(flags)

    def store(self, given: Path | None = None, *, none: bool = False) -> tf.Store | None:
        """The store: given, configured, or ``.timefence``; None where none is wanted."""
        if none:
            return None
        path = given or self.config.store
        return None if path is None else tf.Store(path)

    def output(self, given: str | None) -> str:
        """Where to write: a relative path starts at the configured ``output.dir``.

        Raises:
            TimefenceConfigError: If no path is given or configured.
        """
        told = given or self.config.output_path
        if told is None:
            raise tf.TimefenceConfigError(
                message("There is no output path.", fix="Give -o PATH, or output.path in the configuration.")
            )
        if "://" in told:
            return told  # for the build to refuse: as a path it would become a folder
        root = self.config.output_dir
        if root is None and given is not None:
            root = self.session.started
        elif root is None and self.config.file is not None:
            root = self.config.file.parent
        path = Path(told).expanduser()
        return str(path if root is None or path.is_absolute() else root / path)


class _Unbounded:
    """A bound that was given as ``none``."""

    def __repr__(self) -> str:
        return "none"


_NONE: Final = _Unbounded()


def _unbounded(flags: dict[str, Any]) -> dict[str, None]:
    return {k: None for k, v in flags.items() if v is _NONE}


def durations(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
    """A duration flag: text, an integer for integer times, or ``none`` for unbounded."""
    if value is None:
        return None
    text = value.strip()
    if text.lower() == "none":
        return _NONE
    return int(text) if text.isdecimal() else text


def names_of(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """A flag of comma-separated column names."""
    if value is None:
        return None
    names = tuple(n.strip() for n in value.split(","))
    if names == ("",):
        return ()
    if not all(names):
        raise click.BadParameter("expected column names separated by commas, as in user_id,shop_id")
    return names


def splits_of(
    _ctx: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, tuple[Any, Any]] | None:
    """A repeated flag of ``name:start:end``, where times may hold colons themselves."""
    splits: dict[str, tuple[Any, Any]] = {}
    for given in value:
        name, _, rest = given.partition(":")
        cuts = [m.start() for m in re.finditer(":", rest)]
        found = [(rest[:c], rest[c + 1 :]) for c in cuts if _is_time(rest[:c]) and _is_time(rest[c + 1 :])]
        if not name or len(found) != 1:
            raise click.BadParameter(
                f"{given!r} is not NAME:START:END, as in train:2024-01-01:2024-07-01 "
                "(dates, ISO 8601 times, or integers)"
            )
        if name in splits:
            raise click.BadParameter(f"the split {name!r} is given twice")
        start, end = (int(t) if _is_integer(t) else t for t in found[0])
        splits[name] = (start, end)
    return splits or None


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"-?(\d{1,3}|\d{5,19})", text) is not None  # four digits are a year


def _is_time(text: str) -> bool:
    if _is_integer(text):
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _shortened(file: Path) -> Path:
    """The path as seen from here, where that is shorter."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file
