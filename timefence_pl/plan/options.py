"""Options of a point-in-time join, checked and resolved per feature.

Takes what the user passes, gives exact bounds. Knows nothing of frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from timefence_pl.choices import boolean, one_of
from timefence_pl.definitions.feature import Feature, Inherit
from timefence_pl.durations import Duration, DurationLike, parse_duration
from timefence_pl.errors import TimefenceConfigError, message
from timefence_pl.plan.latest import Bounds

__all__ = ["DEFAULT_LOOKBACK", "DefaultLookback", "JoinOptions", "bounds_of", "join_options"]

JOINS: Final = ("strict", "inclusive")
ON_MISSING: Final = ("null", "skip")


class DefaultLookback(str):
    """A lookback nobody asked for: 365 days, unbounded where times are integers."""

    __slots__ = ()


DEFAULT_LOOKBACK: Final = DefaultLookback("365d")


@dataclass(frozen=True)
class JoinOptions:
    """Options shared by all features of one join."""

    max_lookback: Duration | None
    lookback_is_default: bool
    max_staleness: Duration | None
    join: Literal["strict", "inclusive"]
    on_missing: Literal["null", "skip"]
    flatten_columns: bool
    feature_times: bool

    @property
    def strict(self) -> bool:
        """Whether a value stamped exactly at the limit is excluded."""
        return self.join == "strict"


def join_options(
    *,
    max_lookback: DurationLike | None = DEFAULT_LOOKBACK,
    max_staleness: DurationLike | None = None,
    join: str = "strict",
    on_missing: str = "null",
    flatten_columns: bool = False,
    feature_times: bool = False,
) -> JoinOptions:
    """Check the options of a join; by default those of ``point_in_time``.

    Raises:
        TimefenceConfigError: If one is not known.
    """
    one_of(join, JOINS, "join")
    one_of(on_missing, ON_MISSING, "on_missing")
    boolean(flatten_columns, "flatten_columns")
    boolean(feature_times, "feature_times")
    return JoinOptions(
        max_lookback=parse_duration(max_lookback, name="max_lookback"),
        lookback_is_default=isinstance(max_lookback, DefaultLookback),
        max_staleness=parse_duration(max_staleness, name="max_staleness"),
        join=join,  # type: ignore[arg-type]
        on_missing=on_missing,  # type: ignore[arg-type]
        flatten_columns=flatten_columns,
        feature_times=feature_times,
    )


def bounds_of(feature: Feature, options: JoinOptions, *, integer_times: bool) -> Bounds:
    """A feature's exact bounds under these options.

    Args:
        feature: The feature; its own bounds win over the options'.
        options: The join's.
        integer_times: Whether its times are integers, so that durations must be too.

    Raises:
        TimefenceConfigError: If an embargo reaches the lookback, or staleness does not reach past the embargo, or a
            duration is of the wrong kind for the times.
    """
    inherited = isinstance(feature.max_lookback, Inherit)
    lookback = options.max_lookback if isinstance(feature.max_lookback, Inherit) else feature.max_lookback
    if inherited and options.lookback_is_default and integer_times:
        lookback = None
    staleness = options.max_staleness if isinstance(feature.max_staleness, Inherit) else feature.max_staleness
    embargo = feature.embargo
    for name, value in (("embargo", embargo), ("max_lookback", lookback), ("max_staleness", staleness)):
        if value is not None and value.amount and value.integer != integer_times:
            raise TimefenceConfigError(
                message(
                    f"{name}={value} of feature {feature.name!r} does not fit its times, "
                    f"which are {'integers' if integer_times else 'dates or datetimes'}.",
                    fix=(
                        f"Give {name} as an integer in the unit of the time columns."
                        if integer_times
                        else f'Give {name} with a unit, as in "1d" or "6h".'
                    ),
                )
            )
    wait = embargo.amount if embargo else 0
    if lookback is not None and wait >= lookback.amount:
        raise TimefenceConfigError(
            message(
                f"The embargo ({embargo or '0s'}) of feature {feature.name!r} must be less than "
                f"max_lookback ({lookback}).",
                why="Otherwise the window of usable feature times is empty, and nothing can ever match.",
                fix="Increase max_lookback, or decrease the embargo.",
            )
        )
    if staleness is not None and staleness.amount <= wait:
        raise TimefenceConfigError(
            message(
                f"max_staleness ({staleness}) of feature {feature.name!r} must be greater than its embargo "
                f"({embargo or '0s'}).",
                why="Every usable value is at least as old as the embargo, so all of them would be stale.",
                fix="Increase max_staleness, or decrease the embargo.",
            )
        )
    return Bounds(
        embargo=wait,
        lookback=None if lookback is None else lookback.amount,
        staleness=None if staleness is None else staleness.amount,
        strict=options.strict,
    )
