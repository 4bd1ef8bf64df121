"""Differences of two data sets: rows, columns, values; duplicates, kinds of nothing, tolerances, parts."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import feature, labels

KEYS: dict[str, Any] = {"keys": "k", "label_time": "at"}
SET = pl.DataFrame({"k": [1, 2, 3], "at": [5, 5, 6], "x": [1.0, 2.0, None], "s": ["a", "b", "c"]})
NAN = float("nan")


def diff(old: Any = SET, new: Any = SET, **options: Any) -> tf.DiffResult:
    """The same in one part and in several."""
    options = {**KEYS, **options}
    whole = tf.diff(old, new, **{"parts": 1, **options})
    assert repr(tf.diff(old, new, **{**options, "parts": 3}).to_dict()) == repr(whole.to_dict())
    return whole


def kinds(result: tf.DiffResult) -> dict[str, str]:
    return {c["column"]: c["type"] for c in result.schema_changes}


def changed(old: list[Any], new: list[Any], dtype: Any = None, **options: Any) -> dict[str, Any]:
    """The changes of one column."""
    frames = [
        pl.DataFrame({"k": range(len(v)), "at": [1] * len(v), "x": pl.Series(v, dtype=dtype)}) for v in (old, new)
    ]
    return dict(diff(*frames, **options).value_changes.get("x", {}))


# --- the ancestor's -------------------------------------------------------------------------------------------------------


def test_identical_sets_have_no_changes() -> None:
    result = diff()
    assert result.identical
    assert result.value_changes == {}
    assert kinds(result) == {"s": "=", "x": "="}
    assert (result.old_rows, result.new_rows, result.matched_rows) == (3, 3, 3)


def test_a_changed_text_counts_one() -> None:
    assert changed(["a", "b"], ["a", "c"]) == {"changed_count": 1, "changed_pct": 0.5}


def test_null_to_a_value_and_back_counts_two() -> None:
    found = changed([None, 1, 2], [1, None, 2])
    assert found == {"changed_count": 2, "changed_pct": 2 / 3, "null_to_value": 1, "value_to_null": 1}


def test_added_and_removed_columns_and_types_are_shown() -> None:
    new = SET.drop("s").with_columns(n=pl.lit(1), x=pl.col("x").cast(pl.Float32))
    result = diff(SET, new)
    assert kinds(result) == {"n": "+", "s": "-", "x": "~"}
    assert not result.identical
    assert result.value_changes == {}
    assert [c["detail"] for c in result.schema_changes] == [
        "(new column, Int32)",
        "(removed, String)",
        "Float64 -> Float32",
    ]


def test_a_tolerance_hides_what_is_within_it() -> None:
    assert changed([1.0], [1.001])["changed_count"] == 1
    assert changed([1.0], [1.001], atol=0.01) == {}
    assert changed([1.0], [1.001], rtol=0.01) == {}


def test_identical_sets_with_duplicate_keys_are_identical() -> None:
    twice = pl.concat([SET, SET.with_columns(x=pl.lit(9.0)), SET])
    result = diff(twice, twice)
    assert result.identical
    assert (result.old_duplicates, result.new_duplicates) == (9, 9)
    assert diff(twice, twice.sample(fraction=1, shuffle=True, seed=2)).identical
    assert "share keys and label time" in str(result)


def test_many_unchanged_columns_are_told_together() -> None:
    old = pl.DataFrame({"k": [1, 2], "at": [1, 2], **{f"f__c{i}": [1.0, 2.0] for i in range(9)}})
    new = old.with_columns(f__c3=pl.Series([1.0, 2.5]))
    told = str(tf.diff(old, new, keys="k", label_time="at"))
    assert "  ~ f__c3    1 value changed (50.0%)" in told
    assert "  = 8 columns unchanged: 'f__c0', 'f__c1', 'f__c2', 'f__c4', 'f__c5' and 3 more" in told
    few = ["k", "at", "f__c0", "f__c3"]
    assert "  = f__c0    unchanged" in str(tf.diff(old.select(few), new.select(few), keys="k", label_time="at"))


def test_disjoint_rows_are_not_unchanged() -> None:
    result = diff(SET, SET.with_columns(pl.col("k") + 10))
    assert (result.matched_rows, result.removed_rows, result.added_rows) == (0, 3, 3)
    assert not result.identical
    assert "No row is in both" in str(result)
    assert result.removed["k"].to_list() == [1, 2, 3]
    assert result.added["k"].to_list() == [11, 12, 13]


# --- values ------------------------------------------------------------------------------------------------------------


def test_null_and_nan_are_told_apart() -> None:
    found = changed([None, NAN, 1.0, NAN, None, NAN, NAN], [NAN, None, NAN, 2.0, 3.0, NAN, NAN])
    assert found == {
        "changed_count": 5,
        "changed_pct": 5 / 7,
        "null_to_value": 1,
        "nan_to_value": 1,
        "value_to_nan": 1,
        "null_to_nan": 1,
        "nan_to_null": 1,
    }


def test_numbers_have_mean_and_largest_differences() -> None:
    found = changed([1.0, 2.0, 3.0, None], [2.0, 2.0, 0.0, 5.0])
    assert (found["changed_count"], found["null_to_value"]) == (3, 1)
    assert (found["mean_delta"], found["max_delta"]) == (-1.0, 3.0)


def test_integers_are_equal_exactly_across_widths() -> None:
    assert changed([10**10], [10**10 + 899])["max_delta"] == 899
    frames = [SET.with_columns(x=pl.Series([1, 2, 3], dtype=d)) for d in (pl.Int8, pl.UInt64)]
    result = diff(*frames)
    assert result.value_changes == {}
    assert kinds(result)["x"] == "~"


def test_infinities_are_equal_to_themselves_only() -> None:
    inf = float("inf")
    assert changed([inf, -inf, inf, 1.0], [inf, -inf, -inf, inf])["changed_count"] == 2


def test_types_that_do_not_compare_count_where_one_is_not_null() -> None:
    result = diff(SET, SET.with_columns(x=pl.Series(["1.0", "2.0", None])))
    assert result.value_changes["x"]["changed_count"] == 2
    assert "do not compare" in next(c["detail"] for c in result.schema_changes if c["column"] == "x")


def test_nested_values_are_compared_part_by_part() -> None:
    assert changed([[1.0, 2.0], [1.0], None], [[1.0, 2.0 + 1e-12], [1.0, 2.0], None])["changed_count"] == 1
    assert changed([{"a": 1}], [{"a": 2}])["changed_count"] == 1


def test_the_largest_change_shown_is_a_number_where_there_is_one() -> None:
    old = pl.DataFrame({"k": [1, 2], "at": [1, 1], "x": [1, None]})
    result = tf.diff(old, old.with_columns(x=pl.Series([100, 5])), keys="k", label_time="at")
    assert result.largest("x")["change"].to_list() == [99.0, None]
    assert "largest: k=1, at=1, old=1, new=100, change=99" in str(result)


def test_the_largest_changes_come_first() -> None:
    old = pl.DataFrame({"k": range(50), "at": [1] * 50, "x": [0.0] * 50})
    new = old.with_columns(x=pl.when(pl.col("k") == 7).then(None).otherwise(-pl.col("k") * 1.0))
    result = diff(old, new)
    largest = result.largest("x")
    assert largest.columns == ["k", "at", "old", "new", "change"]
    assert largest["k"].to_list() == [49, 48, 47, 46, 45, 44, 43, 42, 41, 7]
    assert largest["change"].to_list()[::9] == [-49.0, None]
    assert result.largest("x").height == 10
    assert diff().largest("x").height == 0
    with pytest.raises(tf.TimefenceValidationError, match="no column 'y'"):
        result.largest("y")


# --- rows --------------------------------------------------------------------------------------------------------------


def test_the_order_of_rows_does_not_matter_and_is_told() -> None:
    result = diff(SET, SET.reverse())
    assert result.identical
    assert result.reordered
    assert not diff().reordered


def test_null_keys_and_times_are_the_same_row() -> None:
    odd = SET.with_columns(k=pl.Series([None, 2, None]), at=pl.Series([5, None, None], dtype=pl.Int64))
    assert diff(odd, odd).identical
    assert diff(odd, odd.with_columns(s=pl.lit("z"))).value_changes["s"]["changed_count"] == 3


def test_one_changed_row_among_duplicates_is_one_change() -> None:
    old = pl.DataFrame({"k": [1] * 5, "at": [1] * 5, "x": [1, 2, 3, 4, 5]})
    new = old.with_columns(x=pl.Series([1, 2, 9, 4, 5]))
    assert diff(old, new).value_changes["x"]["changed_count"] == 1
    assert diff(old, new.sample(fraction=1, shuffle=True, seed=5)).value_changes["x"]["changed_count"] == 1
    fewer = diff(old, new.tail(3))
    assert (fewer.matched_rows, fewer.removed_rows, fewer.value_changes["x"]["changed_count"]) == (3, 2, 1)


def test_keys_and_times_compare_by_value() -> None:
    at = pl.Series([datetime(2024, 1, 1, 12, tzinfo=UTC)] * 3)
    old = SET.with_columns(k=pl.col("k").cast(pl.Int8), at=at.dt.cast_time_unit("ms"))
    new = SET.with_columns(k=pl.col("k").cast(pl.UInt64), at=at.dt.convert_time_zone("Asia/Tokyo"))
    result = diff(old, new)
    assert result.matched_rows == 3
    assert result.value_changes == {}
    assert kinds(result)["k"] == kinds(result)["at"] == "~"
    names = SET.with_columns(pl.col("k").cast(pl.String))
    assert diff(names, names.with_columns(pl.col("k").cast(pl.Categorical))).matched_rows == 3


def test_dates_are_their_first_instant() -> None:
    old = SET.with_columns(at=pl.lit(date(2024, 1, 1)))
    assert diff(old, SET.with_columns(at=pl.lit(datetime(2024, 1, 1)))).matched_rows == 3


def test_sets_without_rows_or_columns_to_compare() -> None:
    empty = diff(SET.head(0), SET)
    assert (empty.old_rows, empty.added_rows) == (0, 3)
    assert diff(SET.head(0), SET.head(0)).identical
    assert diff(SET.select("k", "at"), SET.select("k", "at")).identical
    assert str(empty)
    assert empty.to_html()


def test_global_sets_have_no_keys() -> None:
    frame = pl.DataFrame({"at": [1, 2], "x": [1, 2]})
    assert diff(frame, frame.with_columns(x=pl.col("x") + 1), keys=[]).value_changes["x"]["changed_count"] == 2


def test_odd_names_travel() -> None:
    odd = SET.rename({"k": "old", "at": "^at$", "x": "*", "s": "__tf_row"})
    result = diff(odd, odd.with_columns(pl.lit("z").alias("__tf_row")), keys="old", label_time="^at$")
    assert result.value_changes["__tf_row"]["changed_count"] == 3
    assert result.largest("__tf_row").columns == ["key_old", "^at$", "old", "new"]


def by_loops(old: pl.DataFrame, new: pl.DataFrame) -> tuple[int, int, int, int]:
    """Matched, removed and added rows, and the least possible changes of x, of integer sets."""
    groups: list[dict[Any, list[Any]]] = []
    for frame in (old, new):
        found: dict[Any, list[Any]] = {}
        for k, at, x in frame.iter_rows():
            found.setdefault((k, at), []).append(x)
        groups.append(found)
    matched = changed = 0
    for key in groups[0].keys() & groups[1].keys():
        pairs = min(len(g[key]) for g in groups)
        equal = sum((Counter(map(repr, groups[0][key])) & Counter(map(repr, groups[1][key]))).values())
        matched += pairs
        changed += pairs - min(equal, pairs)
    return matched, old.height - matched, new.height - matched, changed


@pytest.mark.parametrize("seed", range(40))
def test_random_sets_agree_with_loops(seed: int) -> None:
    c = random.Random(seed)

    def some() -> pl.DataFrame:
        n = c.randrange(30)
        rows = [(c.choice([None, 1, 2, 3]), c.choice([None, 1, 2]), c.choice([None, 1.0, 2.0, NAN])) for _ in range(n)]
        return pl.DataFrame(rows, schema={"k": pl.Int64, "at": pl.Int64, "x": pl.Float64}, orient="row")

    old = some()
    new = old.sample(fraction=1, shuffle=True, seed=seed) if seed % 3 == 0 else some()
    result = diff(old, new)
    found = result.value_changes.get("x", {}).get("changed_count", 0)
    assert (result.matched_rows, result.removed_rows, result.added_rows, found) == by_loops(old, new)
    if seed % 3 == 0:
        assert result.identical


# --- where sets come from ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson", "arrow", "lazy", "pandas", "pyarrow"])
def test_sets_from_anywhere_compare(tmp_path: Path, kind: str) -> None:
    data: Any = tmp_path / f"set.{kind}"
    writers = {"parquet": "write_parquet", "csv": "write_csv", "ndjson": "write_ndjson", "arrow": "write_ipc"}
    if kind in writers:
        getattr(SET, writers[kind])(data)
    else:
        data = {"lazy": SET.lazy, "pandas": SET.to_pandas, "pyarrow": SET.to_arrow}[kind]()
    if kind == "pandas":  # pandas has no null among its floats
        assert tf.diff(SET, data, **KEYS).value_changes.get("x", {"null_to_nan": 1})["null_to_nan"] == 1
    else:
        assert tf.diff(SET, data, **KEYS).identical


def test_builds_name_their_own_keys(tmp_path: Path) -> None:
    one = tf.build(labels(), feature(), tmp_path / "one.parquet")
    other = tf.build(labels(), feature(), join="inclusive")
    result = tf.diff(one, other)
    assert result.value_changes["f__x"]["changed_count"] == 1
    assert result.old.endswith("one.parquet")


def test_label_times_in_text_are_read_by_their_format() -> None:
    old = SET.with_columns(at=pl.lit("03/01/2024"))
    new = SET.with_columns(at=pl.lit(datetime(2024, 1, 3)))
    assert tf.diff(old, new, **KEYS, timestamp_format="%d/%m/%Y").matched_rows == 3


LARGE = """
import resource, sys
import polars as pl
import timefence_pl as tf
folder, parts = sys.argv[1], int(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = tf.diff(folder + "/old.parquet", folder + "/new.parquet", keys="k", label_time="at", parts=parts)
assert (result.matched_rows, result.value_changes["x3"]["changed_count"]) == (4_000_000, 4_000), str(result)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.long
def test_parts_keep_memory_low(tmp_path: Path) -> None:
    rows = pl.select(
        k=pl.int_range(4_000_000), at=pl.int_range(4_000_000).hash(3).cast(pl.Int64, strict=False).fill_null(1) // 2
    )
    rows = rows.with_columns(pl.col("k").hash(i).alias(f"x{i}") for i in range(10))
    rows.write_parquet(tmp_path / "old.parquet", row_group_size=100_000)
    x3 = pl.when(pl.col("k") % 1000 == 0).then(pl.lit(0, dtype=pl.UInt64)).otherwise("x3").alias("x3")
    rows.with_columns(x3).write_parquet(tmp_path / "new.parquet", row_group_size=100_000)
    del rows
    used = [
        int(subprocess.run([sys.executable, "-c", LARGE, str(tmp_path), parts], check=True, capture_output=True).stdout)
        for parts in ("1", "24")
    ]
    assert used[1] < used[0] / 2, used


# --- what is invalid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "options", "error", "text"),
    [
        (SET, {"keys": None}, tf.TimefenceValidationError, "needs keys and label_time"),
        (SET, {"keys": "gone"}, tf.TimefenceSchemaError, "old data set has no column 'gone'"),
        (SET.drop("k"), {}, tf.TimefenceSchemaError, "new data set has no column 'k'"),
        (SET, {"label_time": "s"}, tf.TimefenceSchemaError, "is String, not a time type"),
        (SET, {"keys": "x"}, tf.TimefenceSchemaError, "cannot be a key"),
        (SET, {"keys": ["k", "at"]}, tf.TimefenceConfigError, "both a key and the label time"),
        (SET.cast({"k": pl.String}), {}, tf.TimefenceSchemaError, "does not compare"),
        (SET.with_columns(at=pl.lit(datetime(2024, 1, 1))), {}, tf.TimefenceSchemaError, "Integer times"),
        (SET, {"atol": -1}, tf.TimefenceConfigError, "atol=-1"),
        (SET, {"parts": 0}, tf.TimefenceConfigError, "parts=0"),
        (SET, {"parts": True}, tf.TimefenceConfigError, "parts=True"),
        ("gone.parquet", {}, tf.TimefenceValidationError, "new data set does not exist"),
        (3, {}, tf.TimefenceValidationError, "cannot be read from a int"),
    ],
)
def test_arguments_that_cannot_be_meant(new: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        tf.diff(SET, new, **{**KEYS, **options})


def test_zones_that_do_not_compare_are_an_error() -> None:
    naive = SET.with_columns(at=pl.lit(datetime(2024, 1, 1)))
    with pytest.raises(tf.TimefenceTimezoneError, match="Naive and time-zone-aware"):
        tf.diff(naive, naive.with_columns(pl.col("at").dt.replace_time_zone("UTC")), **KEYS)


def test_a_broken_file_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("k,at,x\n1,5,1.0\n")
    broken = pl.scan_csv(path, schema={"k": pl.Int64, "at": pl.Int64, "x": pl.Int64})
    with pytest.raises(tf.TimefenceValidationError, match="cannot be compared"):
        tf.diff(broken, SET, **KEYS)


# --- reports -----------------------------------------------------------------------------------------------------------


def test_reports_say_what_changed(tmp_path: Path) -> None:
    new = SET.with_columns(x=pl.Series([1.5, None, 3.0]), s=pl.lit("<b>"), n=pl.lit(0)).with_columns(
        k=pl.Series([1, 2, 9])
    )
    result = diff(SET, new)
    text = str(result)
    assert "old: 3    new: 3    (+0)" in text
    assert "+ n    (new column, Int32)" in text
    assert "x: 2 values changed (100.0%)" in text
    assert "1 value to null" in text
    page = result.to_html(tmp_path / "diff.html")
    assert (tmp_path / "diff.html").read_text() == page
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "&lt;b&gt;" not in result._repr_html_()
    assert result.to_polars()["changed_count"].sum() == 4
    assert '"changed_count": 2' in result.to_json(tmp_path / "diff.json")
    with pytest.raises(tf.TimefenceStoreError, match="cannot be written"):
        result.to_html(tmp_path / "gone" / "diff.html")
