"""Reading feature expressions: what they put out, and whether they read one row at a time.

Takes expressions and a schema, gives names, facts or a ``TimefenceError``. Never reads rows; the only frames it runs are
three rows of nulls.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import orjson
import polars as pl

from timefence_pl.definitions.missing_columns import missing_column
from timefence_pl.errors import TimefenceSchemaError, listing, message

__all__ = ["is_row_wise", "output_columns"]

# Errors on null frames that no null explains.
_CONCLUSIVE: Final = (
    pl.exceptions.SchemaError,
    pl.exceptions.InvalidOperationError,
    pl.exceptions.OutOfBoundsError,
    pl.exceptions.ShapeError,
)
# Nodes that give each row from the same row of their inputs, if the inputs do. A function node is asked separately.
_ROW_WISE_NODES: Final = {
    "Alias": ("0",),
    "BinaryExpr": ("left", "right"),
    "Cast": ("expr",),
    "Column": (),
    "Eval": ("expr",),
    "Literal": (),
    "RenameAlias": ("expr",),
    "Selector": (),
    "Ternary": ("predicate", "truthy", "falsy"),
}


def is_row_wise(expr: pl.Expr) -> bool:
    """Whether every output row is computed from the same input row alone.

    Polars' own ``meta.is_row_separable`` looks at the outermost node only (it says so of ``a.sum() / b.sum()``), so
    the tree is walked here and Polars is asked of each function by itself. What is not known is not row-wise.
    """
    try:
        tree = orjson.loads(expr.meta.serialize(format="json"))
    except (pl.exceptions.PolarsError, orjson.JSONDecodeError, ValueError, RecursionError):
        return False
    return _row_wise(tree)


def _row_wise(node: Any) -> bool:
    if not isinstance(node, dict) or len(node) != 1:
        return False
    ((kind, body),) = node.items()
    if kind == "Function":
        inputs = body["input"]
        return all(_row_wise(i) for i in inputs) and _function_row_wise(orjson.dumps(body["function"]), len(inputs))
    if kind == "Literal" and isinstance(body, dict) and "Series" in body:
        return False
    if kind == "KeepName":
        return _row_wise(body)
    children = _ROW_WISE_NODES.get(kind)
    if children is None:
        return False
    return all(_row_wise(body[int(c)] if isinstance(body, list) else body[c]) for c in children)


@lru_cache(maxsize=1024)
def _function_row_wise(function: bytes, arity: int) -> bool:
    """Whether Polars calls one function, over plain columns, row separable."""
    node = {"Function": {"input": [{"Column": f"c{i}"} for i in range(arity)], "function": orjson.loads(function)}}
    try:
        expr = pl.Expr.deserialize(io.BytesIO(orjson.dumps(node)), format="json")
        return bool(expr.meta.is_row_separable() and expr.meta.is_length_preserving())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError):
        return False


def output_columns(feature: str, exprs: Sequence[pl.Expr], schema: pl.Schema) -> dict[str, pl.DataType]:
    """Names and types of a feature's columns.

    Each expression is tried alone on three rows of nulls: literals pass, anything else must give three rows.

    Raises:
        TimefenceSchemaError: If a column is missing, types do not fit, a name comes twice, or an expression does not
            give one value per row.
    """
    outputs: dict[str, pl.DataType] = {}
    for expr in exprs:
        found = _schema_of(feature, expr, schema)
        if not found:
            raise TimefenceSchemaError(
                message(
                    f"Feature {feature!r} selects no column.",
                    where=f"expression: {_shown(expr)}\ncolumns: {listing(schema)}",
                    fix="Select at least one column of the source.",
                )
            )
        _check_height(feature, expr, schema)
        twice = [n for n in found if n in outputs]
        if twice:
            raise TimefenceSchemaError(
                message(
                    f"Feature {feature!r} puts out the column {listing(twice)} twice.",
                    where=f"expression: {_shown(expr)}",
                    fix="Give one of them another name with .alias(...) or .name.suffix(...).",
                )
            )
        outputs.update(found)
    return outputs


def _schema_of(feature: str, expr: pl.Expr, schema: pl.Schema) -> dict[str, pl.DataType]:
    try:
        return dict(pl.LazyFrame(schema=schema).select(expr).collect_schema())
    except pl.exceptions.ColumnNotFoundError as error:
        raise missing_column(f"Feature {feature!r}", expr, _shown(expr), schema, error) from error
    except pl.exceptions.PolarsError as error:
        raise TimefenceSchemaError(
            message(
                f"Feature {feature!r} cannot be computed from its source's columns.",
                where=f"expression: {_shown(expr)}\nPolars: {str(error).splitlines()[0]}",
                fix="Check the data types the expression works on.",
            )
        ) from error


def _check_height(feature: str, expr: pl.Expr, schema: pl.Schema) -> None:
    """Refuse what does not give one value per row: engines differ in what they make of it."""
    heights: list[pl.DataFrame] = []
    for rows in (3, 2):
        frame = pl.DataFrame({n: pl.Series(n, [None] * rows, dtype=d) for n, d in schema.items()})
        try:
            heights.append(frame.lazy().select(expr).collect(engine="in-memory"))
        except _CONCLUSIVE as error:
            if "python_udf" in str(expr):
                return
            raise TimefenceSchemaError(
                message(
                    f"Feature {feature!r} cannot be computed from its source's columns.",
                    where=f"expression: {_shown(expr)}\nPolars: {str(error).splitlines()[0]}",
                    fix="Check the data types the expression works on.",
                )
            ) from error
        except Exception:  # noqa: BLE001 - a user's function may not take nulls; the run itself will tell
            return
    three, two = heights
    literal = not _roots(expr) and three.height == 1 and three.equals(two) and not _holds_series(expr)
    if literal or (three.height == 3 and two.height == 2 and _keeps_length(expr)):
        return
    gave = f"gave {three.height} row(s) for 3" if three.height != 3 else "selects rows"
    raise TimefenceSchemaError(
        message(
            f"Feature {feature!r} has an expression that does not give one value per row.",
            where=f"expression: {_shown(expr)}\n{gave}",
            why="An aggregate or selection over the whole column would carry the future into every row.",
            fix=(
                "Compute it over past rows: .cum_sum(), .rolling_mean_by(time, '30d').over(key), .shift(1).over(key); "
                "or aggregate as of the label time with tf.Window."
            ),
        )
    )


def _holds_series(expr: pl.Expr) -> bool:
    """Whether a literal of the expression is a column of its own, of whatever length."""
    try:
        return '"Series"' in expr.meta.serialize(format="json")
    except pl.exceptions.PolarsError:
        return False


def _keeps_length(expr: pl.Expr) -> bool:
    """What Polars knows of an expression's length; True where it cannot say, since the trial passed."""
    try:
        return bool(expr.meta.is_length_preserving())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):  # it panics on .struct.unnest()
        return True


def _roots(expr: pl.Expr) -> list[str]:
    try:
        return expr.meta.root_names()
    except pl.exceptions.PolarsError:
        return []


def _shown(expr: pl.Expr) -> str:
    text = str(expr)
    return text if len(text) <= 200 else text[:197] + "..."
