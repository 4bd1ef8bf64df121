"""Which rows of two data sets are the same row.

Takes two frames with the same identifying columns (keys and label time, in forms that compare), gives pairs of rows and
the rows that stand alone. A key that occurs several times is paired one by one: equal rows first, wherever they stand,
then the others in order. Knows nothing of what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

__all__ = ["HASH", "ROW", "Paired", "pair_rows"]

#: A row's position in its data set, and a hash of its values that is equal where all of them are.
ROW: Final = "__tf_row"
HASH: Final = "__tf_hash"

_NTH: Final = "__tf_nth"
_MANY: Final = "__tf_many"


@dataclass(frozen=True)
class Paired:
    """Rows of two frames, brought together.

    Attributes:
        pairs: ``old`` and ``new``: positions in either frame.
        removed: Positions in the old frame of rows that the new one does not have.
        added: Positions in the new frame of rows that the old one does not have.
        duplicates: Rows of the old and of the new frame whose key occurs more than once there.
    """

    pairs: pl.DataFrame
    removed: pl.Series
    added: pl.Series
    duplicates: tuple[int, int]


def pair_rows(old: pl.DataFrame, new: pl.DataFrame, identity: Sequence[str]) -> Paired:
    """Pair rows.

    Args:
        old: ``identity`` columns, ``ROW`` and ``HASH``.
        new: The same.
        identity: The columns that say which row it is; null equals null.
    """
    ids = list(identity)
    sides = [f.select(*ids, ROW, HASH).with_row_index("at") for f in (old, new)]
    counts = [s.group_by(ids).len() for s in sides]
    repeated = [c.filter(pl.col("len") > 1) for c in counts]
    duplicates = (int(repeated[0]["len"].sum()), int(repeated[1]["len"].sum()))
    many = pl.concat([r.select(ids) for r in repeated]).unique().with_columns(pl.lit(value=True).alias(_MANY))
    if not many.height:
        return _paired(_joined(sides, ids), sides, duplicates)
    marked = [s.join(many, on=ids, how="left", nulls_equal=True, maintain_order="left") for s in sides]
    single = [m.filter(pl.col(_MANY).is_null()) for m in marked]
    several = [m.filter(pl.col(_MANY).is_not_null()).sort(ROW) for m in marked]
    equal = _joined([_numbered(s, [*ids, HASH]) for s in several], [*ids, HASH, _NTH])
    rest = [
        s.filter(~pl.col("at").is_in(equal[side].implode())) for s, side in zip(several, ("old", "new"), strict=True)
    ]
    others = _joined([_numbered(r, ids) for r in rest], [*ids, _NTH])
    return _paired(pl.concat([_joined(single, ids), equal, others]), sides, duplicates)


def _numbered(rows: pl.DataFrame, ids: Sequence[str]) -> pl.DataFrame:
    """The rows with their number among those of the same identity, in order."""
    order = rows.with_row_index("__tf_order").sort(*ids, "__tf_order")
    starts = pl.any_horizontal(pl.col(i).ne_missing(pl.col(i).shift(1)) for i in ids) | (pl.int_range(pl.len()) == 0)
    numbered = order.with_columns(
        (pl.int_range(pl.len()) - pl.when(starts).then(pl.int_range(pl.len())).forward_fill()).alias(_NTH)
    )
    return numbered.sort("__tf_order").drop("__tf_order")


def _joined(sides: Sequence[pl.DataFrame], on: list[str]) -> pl.DataFrame:
    old, new = sides
    found = old.select(*on, pl.col("at").alias("old")).join(
        new.select(*on, pl.col("at").alias("new")), on=on, nulls_equal=True
    )
    return found.select("old", "new")


def _paired(pairs: pl.DataFrame, sides: Sequence[pl.DataFrame], duplicates: tuple[int, int]) -> Paired:
    alone = [
        s.select("at").join(pairs.select(pl.col(n).alias("at")), on="at", how="anti", maintain_order="left")["at"]
        for s, n in zip(sides, ("old", "new"), strict=True)
    ]
    return Paired(pairs.sort("old"), alone[0], alone[1], duplicates)
