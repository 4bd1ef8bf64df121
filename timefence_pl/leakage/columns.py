"""Which column of a data set holds which column of a feature.

Takes names alone, gives for each feature column the data set's column, found or mapped. Reads nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, did_you_mean, listing, message

__all__ = ["Pairing", "pair_columns", "unaudited"]


@dataclass(frozen=True)
class Pairing:
    """One column of a feature.

    Attributes:
        feature: The feature.
        column: The feature's own name of it.
        data: The data set's name of it; None where it has none.
    """

    feature: str
    column: str
    data: str | None

    @property
    def output(self) -> str:
        """The name a build gives it."""
        return f"{self.feature}__{self.column}"


def pair_columns(
    outputs: Mapping[str, Sequence[str]],
    data: Collection[str],
    given: Mapping[str, str],
    taken: Collection[str],
) -> dict[str, tuple[Pairing, ...]]:
    """Find every feature column in a data set: as mapped, else as ``{feature}__{column}``, else as ``{column}``.

    Args:
        outputs: For each feature its own column names.
        data: The data set's columns.
        given: ``{"{feature}__{column}": data column}``.
        taken: Columns that hold something else: keys, the label time, targets.

    Raises:
        TimefenceConfigError: If the mapping names a column that no feature has.
        TimefenceSchemaError: If it names one that the data set does not have, or one column could be several
            features'.
    """
    known = {f"{feature}__{c}": (feature, c) for feature, columns in outputs.items() for c in columns}
    for name, target in given.items():
        if name not in known:
            raise TimefenceConfigError(
                message(
                    f"columns maps {name!r}, which no feature puts out. {did_you_mean(str(name), known)}".rstrip(),
                    where=f"feature columns: {listing(known)}",
                    fix="Map {'{feature}__{column}': 'column of the data set'}.",
                )
            )
        if target not in data:
            raise TimefenceSchemaError(
                message(
                    f"columns maps {name!r} to {target!r}, which the data set does not have. "
                    f"{did_you_mean(str(target), data)}".rstrip(),
                    where=f"columns of the data set: {listing(data)}",
                    fix="Map it to a column that is there.",
                )
            )
    found = dict(given)
    found |= {name: name for name in known if name not in found and name in data}
    free = [c for c in data if c not in taken and c not in found.values()]
    by_name: dict[str, list[str]] = {}
    for name, (_, column) in known.items():
        if name not in found and column in free:
            by_name.setdefault(column, []).append(name)
    unclear = {column: names for column, names in by_name.items() if len(names) > 1}
    if unclear:
        column, names = next(iter(unclear.items()))
        raise TimefenceSchemaError(
            message(
                f"The data set's column {column!r} could be that of several features: {listing(names)}.",
                fix=f"Say which: columns={{{names[0]!r}: {column!r}}}, and map the others to theirs.",
            )
        )
    found |= {names[0]: column for column, names in by_name.items()}
    return {
        feature: tuple(Pairing(feature, c, found.get(f"{feature}__{c}")) for c in columns)
        for feature, columns in outputs.items()
    }


def unaudited(data: Collection[str], audited: Collection[str], features: Collection[str] = ()) -> tuple[str, ...]:
    """The columns that are named as those of features are, ``{feature}__{column}``, and were not audited.

    Args:
        data: The data set's columns.
        audited: Columns that were audited, or hold something else: keys, times, targets.
        features: Features of which all columns were.
    """
    known = set(audited)
    own = tuple(f"{f}__" for f in features)
    return tuple(c for c in data if c not in known and "__" in c.strip("_") and not c.startswith(own))
