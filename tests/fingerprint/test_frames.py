import datetime as dt
import struct
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timefence_pl.fingerprint import Uncacheable, fingerprint_frame, fingerprint_series
from timefence_pl.fingerprint import frames as module

_DAY = dt.datetime(2024, 3, 31, 1, 30)
SERIES = {
    "int8": pl.Series([1, None, -3], dtype=pl.Int8),
    "int64": pl.Series([1, None, -3]),
    "uint64": pl.Series([1, None, 2**64 - 1], dtype=pl.UInt64),
    "int128": pl.Series([1, None, -(2**127), 2**127 - 1], dtype=pl.Int128),
    "uint128": pl.Series([1, None, 2**128 - 1], dtype=pl.UInt128),
    "float16": pl.Series([1.5, None, float("nan")], dtype=pl.Float16),
    "float32": pl.Series([1.5, None, float("nan")], dtype=pl.Float32),
    "float64": pl.Series([1.5, None, float("nan"), float("inf")]),
    "decimal": pl.Series([Decimal("1.25"), None, Decimal("-3.00")]),
    "boolean": pl.Series([True, None, False]),
    "string": pl.Series(["a", None, "", "long enough to live in a buffer", "é"]),
    "binary": pl.Series([b"a", None, b"", b"long enough to live in a buffer\0"]),
    "categorical": pl.Series(["a", None, "b", "a"], dtype=pl.Categorical),
    "enum": pl.Series(["a", None, "b", "a"], dtype=pl.Enum(["a", "b", "c"])),
    "date": pl.Series([dt.date(2024, 1, 1), None]),
    "datetime": pl.Series([_DAY, None]),
    "zoned": pl.Series([_DAY, None]).dt.replace_time_zone("UTC"),
    "duration": pl.Series([dt.timedelta(1), None]),
    "time": pl.Series([dt.time(1), None]),
    "list": pl.Series([[1, 2], None, [], [None]]),
    "list of strings": pl.Series([["a"], None, [], [None, "b"]]),
    "list of lists": pl.Series([[[1], []], None, [], [None, [2]]]),
    "array": pl.Series([[1, 2], None, [3, None]], dtype=pl.Array(pl.Int64, 2)),
    "array of arrays": pl.Series([[[1], [2]], None, [[3], None]], dtype=pl.Array(pl.Array(pl.Int64, 1), 2)),
    "empty arrays": pl.Series([[], None, []], dtype=pl.Array(pl.Int64, 0)),
    "struct": pl.Series([{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
    "list of structs": pl.Series([[{"a": 1}], None, [None, {"a": 2}]]),
    "struct of lists": pl.Series([{"a": [1, 2]}, None, {"a": None}]),
    "map": pl.Series([{"x": 1, "y": 2}, None, {}], dtype=pl.Map(pl.String, pl.Int64)),
    "null": pl.Series([None, None, None]),
}


def _key(*values, dtype=None, name="x"):
    return fingerprint_frame(pl.DataFrame({name: pl.Series(values, dtype=dtype)})).key


@pytest.mark.parametrize("name", SERIES)
def test_the_layout_in_memory_does_not_matter(name):
    series = SERIES[name].rename("x")
    key, rows = fingerprint_series(series), len(series)
    chunked = pl.concat([series.slice(i, 1) for i in range(rows)], rechunk=False)
    assert chunked.n_chunks() == rows
    padded = pl.concat([series, series, series], rechunk=True)
    for other in (chunked, padded.slice(rows, rows), padded.tail(rows), series.clone(), chunked.rechunk()):
        assert fingerprint_series(other) == key
        assert fingerprint_frame(other.to_frame()) == fingerprint_frame(series.to_frame())


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_the_blocks_do_not_show(name, rows, monkeypatch):
    key = fingerprint_series(SERIES[name])
    monkeypatch.setattr(module, "_BLOCK_ROWS", rows)
    assert fingerprint_series(SERIES[name]) == key


@pytest.mark.parametrize("name", SERIES)
def test_every_row_and_every_null_counts(name):
    series = SERIES[name]
    rows, nulls = len(series), pl.Series([None], dtype=series.dtype)
    others = [
        series,
        series.head(rows - 1),
        series.slice(1),
        series.slice(1, 1),
        series.drop_nulls(),
        series.clear(),
        nulls,
        pl.concat([nulls, nulls]),
        pl.concat([series, series.head(1)]),
        pl.concat([series.slice(1), series.head(1)]),
        pl.concat([series.head(1), nulls]),
        pl.concat([nulls, series.head(1)]),
    ]
    for i, one in enumerate(others):
        for other in others[:i]:
            same = repr(one.to_list()) == repr(other.to_list())
            assert (fingerprint_series(one) == fingerprint_series(other)) == same


def test_all_types_of_the_same_text_differ():
    keys = {name: fingerprint_series(series.clear()) for name, series in SERIES.items()}
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.Datetime("us"), pl.Datetime("ms")),
        (pl.Datetime("us"), pl.Datetime("us", "UTC")),
        (pl.Datetime("us", "UTC"), pl.Datetime("us", "Europe/Paris")),
        (pl.Duration("us"), pl.Duration("ns")),
        (pl.Decimal(10, 2), pl.Decimal(12, 2)),
        (pl.Decimal(10, 2), pl.Decimal(10, 3)),
        (pl.Enum(["a", "b"]), pl.Enum(["b", "a"])),
        (pl.Enum(["a", "b"]), pl.Enum(["a", "b", "c"])),
        (pl.Categorical(), pl.Categorical(pl.Categories("named"))),
        (pl.Categorical(), pl.String()),
        (pl.List(pl.Int64), pl.List(pl.Int32)),
        (pl.List(pl.Int64), pl.Array(pl.Int64, 2)),
        (pl.Array(pl.Int64, 2), pl.Array(pl.Int64, 3)),
        (pl.Struct({"a": pl.Int64}), pl.Struct({"b": pl.Int64})),
        (pl.Struct({"a": pl.Int64, "b": pl.Int64}), pl.Struct({"b": pl.Int64, "a": pl.Int64})),
        (pl.Map(pl.String, pl.Int64), pl.Map(pl.String, pl.Int32)),
        (pl.Float32(), pl.Float64()),
        (pl.String(), pl.Binary()),
    ],
    ids=str,
)
def test_a_data_type_counts_in_all_its_parameters(one, other):
    assert _key(dtype=one) != _key(dtype=other)
    assert _key(None, dtype=one) != _key(None, dtype=other)
    assert _key(dtype=one) == _key(dtype=one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([None], [float("nan")]),
        ([0.0], [-0.0]),
        ([[]], [None]),
        ([[], [1]], [[1], []]),
        ([[1], [2]], [[1, 2], []]),
        ([["a", "b"]], [["ab"]]),
        (["a", "b"], ["ab", ""]),
        ([""], [None]),
        (["a\0"], ["a"]),
        ([b""], [None]),
        ([{"a": None}], [None]),
        ([{"a": 1}, None], [None, {"a": 1}]),
        ([True, None], [True, False]),
        ([0, None], [None, 0]),
        ([[None]], [[]]),
    ],
    ids=str,
)
def test_lookalikes_differ(one, other):
    dtype = pl.Series([*one, *other], strict=False).dtype
    assert _key(*one, dtype=dtype) != _key(*other, dtype=dtype)


def test_all_nans_are_alike():
    quiet, other = struct.unpack("<2d", bytes.fromhex("000000000000f87f") + bytes.fromhex("010000000000f8ff"))
    buffer = pl.Series([quiet, other])
    assert fingerprint_series(buffer.head(1)) == fingerprint_series(buffer.tail(1))


def test_garbage_under_nulls_does_not_matter():
    frame = pl.DataFrame({"v": [1, 2, 3], "s": ["a", "long enough to live in a buffer", "c"], "l": [[1], [2, 3], []]})
    hidden = frame.with_columns(pl.when(pl.int_range(pl.len()) != 1).then(pl.all()))
    plain = pl.DataFrame({"v": [1, None, 3], "s": ["a", None, "c"], "l": [[1], None, []]})
    assert hidden.equals(plain)
    assert fingerprint_frame(hidden).key == fingerprint_frame(plain).key


def test_codes_of_categories_do_not_matter():
    first = pl.Series(["a", "b"], dtype=pl.Categorical(pl.Categories.random()))
    categories = pl.Categories("order of codes")
    one = pl.Series(["b", "a"], dtype=pl.Categorical(categories))
    other = pl.Series(["a", "b"], dtype=pl.Categorical(categories))
    assert one.to_physical().to_list() == [0, 1]
    assert fingerprint_series(one.reverse()) == fingerprint_series(other)
    assert fingerprint_series(first) != fingerprint_series(other)


def test_flags_of_sortedness_do_not_matter():
    frame = pl.DataFrame({"x": [1, 2, 3]})
    assert fingerprint_frame(frame.set_sorted("x")).key == fingerprint_frame(frame).key


def test_names_and_order_of_columns_count():
    frame = pl.DataFrame({"a": [1], "b": [1]})
    key = fingerprint_frame(frame).key
    assert key != fingerprint_frame(frame.select("b", "a")).key
    assert key != fingerprint_frame(frame.rename({"a": "c"})).key
    assert key != fingerprint_frame(frame.drop("b")).key
    assert key == fingerprint_frame(pl.DataFrame({"a": [1], "b": [1]})).key


def test_frames_without_columns_differ_by_height():
    frame = pl.DataFrame({"a": [1, 2]})
    heights = {f.height for f in (frame.drop("a"), pl.DataFrame())}
    assert len({fingerprint_frame(f).key for f in (frame.drop("a"), pl.DataFrame())}) == len(heights)


def test_parts_name_the_column_that_changed():
    one = fingerprint_frame(pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    other = fingerprint_frame(pl.DataFrame({"a": [1, 2], "b": ["x", "z"]}))
    assert set(one.parts) == {"schema", "column a", "column b"}
    assert {name for name in one.parts if one.parts[name] != other.parts[name]} == {"column b"}


def test_the_number_of_threads_does_not_matter():
    frame = pl.select(a=pl.int_range(50_000), b=pl.int_range(50_000).cast(pl.String), c=pl.lit(1.5))
    assert fingerprint_frame(frame, threads=1) == fingerprint_frame(frame, threads=4)
    sha = fingerprint_frame(frame, algorithm="sha256")
    assert sha.key.startswith("sha256:")


def test_python_objects_are_uncacheable():
    frame = pl.DataFrame({"bad": pl.Series([object()], dtype=pl.Object)})
    with pytest.raises(Uncacheable, match="column 'bad' has the data type Object"):
        fingerprint_frame(frame)


_VALUES = {
    pl.Int64: st.integers(-3, 3),
    pl.Float64: st.sampled_from([0.0, 1.0, float("nan"), -1.5]),
    pl.String: st.sampled_from(["", "a", "ab", "b"]),
    pl.List(pl.String): st.lists(st.none() | st.sampled_from(["", "a", "ab"]), max_size=2),
    pl.Struct({"a": pl.Int64}): st.fixed_dictionaries({"a": st.none() | st.integers(0, 1)}),
    pl.Boolean: st.booleans(),
}


@pytest.mark.parametrize("dtype", _VALUES, ids=str)
def test_equal_hashes_exactly_where_values_are_equal(dtype):
    @settings(deadline=None, database=None)
    @given(*[st.lists(st.none() | _VALUES[dtype], max_size=4)] * 2)
    def check(one, other):
        left, right = pl.Series(one, dtype=dtype), pl.Series(other, dtype=dtype)
        assert (fingerprint_series(left) == fingerprint_series(right)) == (repr(one) == repr(other))

    check()


@pytest.mark.parametrize("name", ["^k$", "*", "", "^.*$"])
def test_a_name_that_is_a_pattern(name):
    frame = pl.DataFrame({name: [1.0, None]})
    assert fingerprint_series(frame[name]) == fingerprint_series(pl.Series(name, [1.0, None]))
    assert fingerprint_frame(frame).key != fingerprint_frame(frame.rename({name: "k"})).key
