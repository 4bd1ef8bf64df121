"""Keys of every type: what compares by value, what is refused, and that null keys never match."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels, values
from timefence_pl.errors import TimefenceSchemaError

Recoded = Callable[[pl.DataFrame], pl.DataFrame]


def cast(*dtypes: Any) -> Recoded:
    def recoded(frame: pl.DataFrame) -> pl.DataFrame:
        for dtype in dtypes:
            frame = frame.with_columns(pl.col("k").cast(dtype))
        return frame

    return recoded


def of(make: Callable[[int], Any], dtype: Any = None) -> Recoded:
    def recoded(frame: pl.DataFrame) -> pl.DataFrame:
        made = [None if k is None else make(k) for k in frame["k"]]
        return frame.with_columns(k=pl.Series(made, dtype=dtype))

    return recoded


INTEGERS = {
    str(d): cast(d)
    for d in (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Int128, pl.UInt128)
}
TEXTS = {
    "String": cast(pl.String),
    "Categorical": cast(pl.String, pl.Categorical),
    "Enum": cast(pl.String, pl.Enum(["3", "1", "2"])),
    "another Enum": cast(pl.String, pl.Enum(["0", "1", "2", "3"])),
}
OTHERS = {
    "Boolean": of(lambda k: k == 1),
    "Date": of(lambda k: date(2024, 1, k)),
    "Datetime": of(lambda k: datetime(2024, 1, k)),
    "aware Datetime": of(lambda k: datetime(2024, 1, k), pl.Datetime("us", "UTC")),
    "Time": of(time),
    "Duration": of(timedelta),
    "Binary": of(lambda k: bytes([k])),
    "Decimal": of(Decimal, pl.Decimal(10, 2)),
}


def pairs(recodings: dict[str, Recoded]) -> list[Any]:
    return [pytest.param(a, b, id=f"{m} and {n}") for m, a in recodings.items() for n, b in recodings.items()]


@pytest.mark.parametrize(("of_labels", "of_events"), [*pairs(INTEGERS), *pairs(TEXTS)])
def test_widths_of_integers_and_kinds_of_text_mix(of_labels: Recoded, of_events: Recoded) -> None:
    assert (
        tf.point_in_time(labels(of_labels(LABELS)), feature(of_events(EVENTS))).collect()["f__x"].to_list() == EXPECTED
    )


@pytest.mark.parametrize("recoded", OTHERS.values(), ids=OTHERS.keys())
def test_keys_of_one_type_compare_by_value(recoded: Recoded) -> None:
    two = LABELS.head(3)
    assert values(labels(recoded(two)), feature(recoded(EVENTS))) == EXPECTED[:3]


@pytest.mark.parametrize(
    ("of_labels", "of_events"),
    [
        (TEXTS["String"], INTEGERS["Int64"]),
        (INTEGERS["Int64"], TEXTS["String"]),
        (TEXTS["Categorical"], INTEGERS["UInt32"]),
        (OTHERS["Boolean"], INTEGERS["Int64"]),
        (OTHERS["Binary"], TEXTS["String"]),
        (OTHERS["Date"], OTHERS["Datetime"]),
        (OTHERS["Date"], INTEGERS["Int32"]),
        (OTHERS["Datetime"], OTHERS["aware Datetime"]),
        (of(lambda k: datetime(2024, 1, k), pl.Datetime("ms")), OTHERS["Datetime"]),
        (OTHERS["Decimal"], of(Decimal, pl.Decimal(10, 3))),
        (OTHERS["Decimal"], INTEGERS["Int64"]),
    ],
)
def test_keys_of_different_kinds_are_refused_with_both_types(of_labels: Recoded, of_events: Recoded) -> None:
    given, events = of_labels(LABELS), of_events(EVENTS)
    with pytest.raises(TimefenceSchemaError, match="key 'k' does not compare with the key of feature 'f'") as caught:
        tf.point_in_time(labels(given), feature(events))
    assert f"labels 'k': {given['k'].dtype}" in str(caught.value)
    assert f"source 'events' 'k': {events['k'].dtype}" in str(caught.value)


UNFIT = {
    "Float64": cast(pl.Float64),
    "Float32": cast(pl.Float32),
    "List": of(lambda k: [k]),
    "Struct": of(lambda k: {"a": k}),
    "Array": of(lambda k: [k], pl.Array(pl.Int64, 1)),
    "Object": of(lambda _k: object(), pl.Object),
}


@pytest.mark.parametrize("recoded", UNFIT.values(), ids=UNFIT.keys())
def test_types_that_identify_nothing_are_refused_on_either_side(recoded: Recoded) -> None:
    with pytest.raises(TimefenceSchemaError, match="key 'k' of source 'events' is .*, which cannot be a key"):
        tf.point_in_time(labels(), feature(recoded(EVENTS)))
    with pytest.raises(TimefenceSchemaError, match="key 'k' of labels is .*, which cannot be a key"):
        tf.point_in_time(labels(recoded(LABELS)), feature())


def keyed(label_keys: Any, event_keys: Any) -> list[Any]:
    """The value of each label where event number i has the value i; all events lie before all labels."""
    events = pl.DataFrame({"k": event_keys}).with_columns(t=pl.lit(1)).with_row_index("x")
    given = pl.DataFrame({"k": label_keys}).with_columns(at=pl.lit(2))
    return values(labels(given), feature(events))


@pytest.mark.parametrize(
    ("label_keys", "event_keys", "expected"),
    [
        # the same 64 bits, other numbers
        (pl.Series([-1, -(2**63), 1]), pl.Series([2**64 - 1, 2**63, 1], dtype=pl.UInt64), [None, None, 2]),
        (pl.Series([2**64 - 1, 2**63, 1], dtype=pl.UInt64), pl.Series([-1, -(2**63), 1]), [None, None, 2]),
        (pl.Series([2**64 - 1, 0], dtype=pl.UInt64), pl.Series([0, 2**64 - 1], dtype=pl.UInt64), [1, 0]),
        (
            pl.Series([2**100, -(2**100), 2**36], dtype=pl.Int128),
            pl.Series([2**36, 2**100], dtype=pl.Int128),
            [1, None, 0],
        ),
        (pl.Series([2**100, 2**127], dtype=pl.UInt128), pl.Series([-(2**127), 2**100], dtype=pl.Int128), [1, None]),
        (pl.Series([2**100, 5], dtype=pl.Int128), pl.Series([5, 0]), [None, 0]),
        # integers that are one float
        (pl.Series([2**53 + 1, 2**53]), pl.Series([2**53, 2**53 + 2]), [None, 0]),
        (pl.Series([2**62 + 1]), pl.Series([2**62], dtype=pl.UInt64), [None]),
        # text is compared as it is
        (pl.Series(["1", "01", "a", "A", "", "ä"]), pl.Series(["1", "a", "", "a\u0308"]), [0, None, 1, None, 2, None]),
        (pl.Series([Decimal("1.10"), Decimal("1.01")]), pl.Series([Decimal("1.10"), Decimal("11.00")]), [0, None]),
        (pl.Series([b"", b"\0"]), pl.Series([b"\0", b""]), [1, 0]),
    ],
    ids=str,
)
def test_only_equal_values_match(label_keys: pl.Series, event_keys: pl.Series, expected: list[Any]) -> None:
    assert keyed(label_keys, event_keys) == expected


@pytest.mark.parametrize(
    "dtype", [pl.Int64, pl.String, pl.Boolean, pl.Date, pl.Int128, pl.Categorical, pl.Binary], ids=str
)
def test_a_null_key_matches_nothing_and_the_label_stays(dtype: Any) -> None:
    one = pl.Series(["1"] if dtype in (pl.String, pl.Categorical, pl.Binary) else [1]).cast(dtype)
    column = pl.concat([one, pl.Series([None], dtype=dtype)])
    assert keyed(column, column) == [0, None]


def test_a_null_in_one_of_several_keys_matches_nothing() -> None:
    given = labels(pl.DataFrame({"a": [1, None, 1], "b": ["x", "x", None], "at": [9] * 3}), keys=["a", "b"])
    events = pl.DataFrame({"a": [1, None, 1], "b": ["x", "x", None], "t": [1] * 3, "x": [1, 2, 3]})
    assert values(given, feature(events, source_keys=["a", "b"])) == [1, None, None]


@pytest.mark.filterwarnings("ignore:Every label row has a null key")
@pytest.mark.parametrize("other", [pl.Int64, pl.String, pl.Date, pl.Null], ids=str)
def test_a_key_column_of_nothing_but_nulls_matches_nothing(other: Any) -> None:
    nothing = LABELS.with_columns(k=pl.lit(None))
    empty = EVENTS.with_columns(k=pl.lit(None))
    filled = of(lambda k: date(2024, 1, k)) if other == pl.Date else cast(other if other != pl.Null else pl.Int64)
    assert values(labels(nothing), feature(empty)) == [None] * 4
    assert values(labels(nothing), feature(filled(EVENTS))) == [None] * 4
    assert values(labels(filled(LABELS)), feature(empty)) == [None] * 4


def test_source_rows_without_a_key_are_counted() -> None:
    events = EVENTS.with_columns(k=pl.Series([1, None, 2]))
    stats = tf.build(labels(), feature(events)).stats.feature_stats["f"]
    assert stats["dropped_source_rows"] == 1
    assert stats["matched"] == 3


def test_source_rows_without_a_key_are_not_seen_by_expressions() -> None:
    events = EVENTS.with_columns(k=pl.Series([1, None, 2]))
    assert values(labels(), feature(events, pl.col("x").cum_sum())) == [10, 10, 40, None]


def test_mixed_types_of_composite_keys() -> None:
    given = pl.DataFrame(
        {"a": pl.Series([1, 2], dtype=pl.Int8), "b": pl.Series(["u", "v"], dtype=pl.Categorical), "at": [9, 9]}
    )
    events = pl.DataFrame({"a": pl.Series([1, 2], dtype=pl.UInt64), "b": ["u", "v"], "t": [1, 1], "x": [1, 2]})
    assert values(labels(given, keys=["a", "b"]), feature(events, source_keys=["a", "b"])) == [1, 2]
