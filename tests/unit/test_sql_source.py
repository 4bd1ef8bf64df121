"""SQL sources: over tables in Polars and DuckDB, in DuckDB and SQLite files, and by database drivers."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, labels, values
from timefence_pl.errors import TimefenceConfigError, TimefenceError, TimefenceSchemaError, TimefenceStoreError
from timefence_pl.errors import TimefenceValidationError as Invalid
from timefence_pl.integrations import database
from timefence_pl.integrations.database import driver_query
from timefence_pl.integrations.duckdb_inputs import other_inputs

duckdb = pytest.importorskip("duckdb")
ALL = "SELECT * FROM events"


def query(text: str = ALL, **options: Any) -> tf.SQLSource:
    return tf.SQLSource(text, **{"keys": "k", "timestamp": "t", "name": "events", **options})


def last(text: str = ALL, **options: Any) -> tf.Feature:
    policy = options.pop("on_duplicate", "error")
    return tf.Feature(query(text, **options), columns="x", name="f", on_duplicate=policy)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def duckdb_file(name: str = "events.duckdb", *more: str) -> str:
    with duckdb.connect(name) as connection:
        connection.register("given", EVENTS.to_arrow())
        connection.execute("CREATE OR REPLACE TABLE events AS SELECT * FROM given")
        for statement in more:
            connection.execute(statement)
    return name


def sqlite_file(rows: Any = (), name: str = "events.db", columns: str = "k INTEGER, t INTEGER, x INTEGER") -> str:
    connection = sqlite3.connect(name)
    connection.execute("DROP TABLE IF EXISTS events")
    connection.execute(f"CREATE TABLE events({columns})")
    kept = list(rows) or EVENTS.rows()
    connection.executemany(f"INSERT INTO events VALUES ({', '.join('?' * len(kept[0]))})", kept)
    connection.commit()
    connection.close()
    return f"sqlite:///{name}"


# --- where it runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        (ALL, "polars"),
        ("SELECT k, t, x FROM events WHERE x > 0; ", "polars"),
        ("SELECT k, t, x FROM events -- the last line", "polars"),
        (
            "SELECT * FROM events QUALIFY row_number() OVER (PARTITION BY k, t ORDER BY x) = 1 AND epoch_ms(0) IS NOT NULL",
            "duckdb",
        ),
        ("SELECT * FROM events WHERE epoch_ms(0) IS NOT NULL -- a comment", "duckdb"),
        ("FROM events SELECT k, t, coalesce(NULL, x)::BIGINT AS x, list_value(x) AS y", "duckdb"),
    ],
)
def test_a_query_runs_in_the_dialect_that_takes_it(text: str, dialect: str) -> None:
    one = query(text, tables={"events": EVENTS})
    assert one.dialect == dialect
    assert values(labels(), tf.Feature(one, columns="x", name="f")) == EXPECTED


@pytest.mark.parametrize(
    ("text", "dialect"), [(ALL, "polars"), ("SELECT * FROM events WHERE epoch_ms(0) IS NOT NULL", "duckdb")]
)
@pytest.mark.parametrize("table", ["frame", "file", "lazy frame", "source", "pandas"])
def test_tables_are_named_in_either_dialect(text: str, dialect: str, table: str) -> None:
    EVENTS.write_parquet("e.parquet")
    given: Any = {
        "frame": EVENTS,
        "file": "e.parquet",
        "lazy frame": EVENTS.lazy(),
        "source": tf.Source("e.parquet", keys="k", timestamp="t"),
        "pandas": EVENTS.to_pandas(),
    }[table]
    one = query(text, tables={"events": given})
    assert one.dialect == dialect
    assert values(labels(), tf.Feature(one, columns="x", name="f")) == EXPECTED


def test_files_are_read_by_polars_functions_and_duckdbs() -> None:
    EVENTS.write_parquet("e.parquet")
    assert values(labels(), last("SELECT * FROM read_parquet('e.parquet')")) == EXPECTED
    assert values(labels(), last("SELECT * FROM 'e.parquet'")) == EXPECTED


def test_a_duckdb_file_and_a_connection() -> None:
    path = duckdb_file()
    assert values(labels(), last(connection=path)) == EXPECTED
    assert values(labels(), last(connection=Path(path))) == EXPECTED
    assert values(labels(), last(connection=f"duckdb:///{path}")) == EXPECTED
    with duckdb.connect(path, read_only=True) as connection:
        assert values(labels(), last(connection=connection)) == EXPECTED
        joined = last(
            "SELECT e.k, t, x * r AS x FROM events e JOIN rates USING (k)",
            connection=connection,
            tables={"rates": pl.DataFrame({"k": [1, 2], "r": [2, 3]})},
        )
        assert values(labels(), joined) == [20, 100, 90, None]


def test_names_in_duckdb_queries_are_those_of_tables_never_of_variables() -> None:
    for name in ("frame", "tables", "query", "schema", "pl", "LABELS"):
        with pytest.raises(TimefenceSchemaError, match=f"{name}"):
            query(f"SELECT * FROM {name} WHERE epoch_ms(0) IS NOT NULL", tables={"events": EVENTS})


def test_the_clock_of_duckdb_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    text = "SELECT k, TIMESTAMPTZ '2024-01-01 00:00:00' AS t, x FROM events WHERE epoch_ms(0) IS NOT NULL"
    one = query(text, tables={"events": EVENTS}).scan().collect()
    assert one["t"].dt.convert_time_zone("UTC").to_list()[0].isoformat() == "2024-01-01T00:00:00+00:00"


# --- ties -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("policy", "expected"), [("keep_last", [11, 51, 31, None]), ("keep_first", EXPECTED)])
@pytest.mark.parametrize("text", [ALL, f"{ALL} WHERE epoch_ms(0) IS NOT NULL"])
def test_ties_go_by_the_values(flip: Any, policy: Any, expected: list[Any], text: str) -> None:
    parts = [EVENTS, EVENTS.with_columns(pl.col("x") + 1)]
    one = last(text, tables={"events": pl.concat(parts[::-1] if flip else parts)}, on_duplicate=policy)
    assert values(labels(), one) == expected


# --- SQLite -----------------------------------------------------------------------------------------------------------


def test_a_sqlite_file_needs_no_driver(folder: Path) -> None:
    uri = sqlite_file()
    for given in (uri, f"sqlite:///{folder}/events.db", f"sqlite://{folder}/events.db", uri + "?mode=ro"):
        assert values(labels(), last(connection=given)) == EXPECTED
    assert query(connection=uri).schema == EVENTS.schema
    assert (
        values(labels(), last("WITH a AS (SELECT * FROM events) SELECT * FROM a ORDER BY x -- last", connection=uri))
        == EXPECTED
    )


def test_labels_and_windows_over_sqlite() -> None:
    uri = sqlite_file()
    w = tf.Window(query(connection=uri), {"n": pl.len()}, windows=[None], name="w")
    assert values(labels(), w, "w__n_all") == [1, 2, 1, 0]
    assert "SQLite" in tf.point_in_time(labels(), last(connection=uri)).explain()


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [
        ([None, None, 5], pl.Int64),
        ([1, 2.5, None], pl.Float64),
        ([None, "a", "b"], pl.String),
        ([b"a", None, b"b"], pl.Binary),
        ([None, None, None], pl.Null),
        ([-(2**63), 2**63 - 1, 0], pl.Int64),
    ],
)
def test_types_are_those_of_the_values(stored: list[Any], dtype: Any) -> None:
    rows = [(k, t, x) for (k, t, _), x in zip(EVENTS.rows(), stored, strict=True)]
    one = query(connection=sqlite_file(rows, columns="k, t, x"))
    assert one.schema["x"] == dtype
    assert one.scan().collect()["x"].to_list() == stored


def test_a_column_that_is_null_at_first_has_the_type_of_its_first_value() -> None:
    rows = [(1, i, None) for i in range(10_001)] + [(1, 10_001, "late")]
    one = query(connection=sqlite_file(rows, columns="k, t, x"))
    assert one.schema["x"] == pl.String
    assert one.scan().tail(1).collect()["x"].item() == "late"


def test_texts_are_times_with_a_format() -> None:
    rows = [(1, "2024-01-01 10:00:00", 10), (1, "2024-01-05 00:00:00", 50), (2, "2024-01-03 00:00:00", 30)]
    uri = sqlite_file(rows, columns="k INTEGER, t TIMESTAMP, x INTEGER")
    given = pl.DataFrame({"k": [1, 1, 2, 3], "at": [datetime(2024, 1, d) for d in (5, 6, 4, 9)]})
    with pytest.raises(TimefenceSchemaError, match=r"'t' of source 'events' is String(.|\n)*timestamp_format="):
        tf.build(labels(given), last(connection=uri))
    assert values(labels(given), last(connection=uri, timestamp_format="%Y-%m-%d %H:%M:%S")) == EXPECTED


def test_filters_and_columns_of_a_scan() -> None:
    scan = query(connection=sqlite_file()).scan()
    assert scan.filter(pl.col("x") > 10).select("x").collect()["x"].to_list() == [50, 30]
    assert scan.head(2).collect()["x"].to_list() == [10, 50]
    assert scan.select(pl.len()).collect().item() == 3


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([(1, 1, "a"), (1, 5, 2)], "column 'x' of the query holds 'INTEGER', 'TEXT'"),
        ([(1, i, i) for i in range(10_000)] + [(1, 10_000, "late")], "column 'x' of the query holds 'late'"),
        ([(1, i, i) for i in range(10_000)] + [(1, 10_000, 0.5)], "column 'x' of the query holds 0.5"),
    ],
)
def test_a_column_of_two_types_is_refused_with_the_cast(rows: Any, problem: str) -> None:
    uri = sqlite_file(rows, columns="k, t, x")
    with pytest.raises(TimefenceError, match=rf"{problem}(.|\n)*CAST\(x AS "):
        tf.build(labels(), last(connection=uri))


def test_text_that_is_no_text_is_an_error_of_ours() -> None:
    uri = sqlite_file([(1, 1, 1)], columns="k, t, x")
    connection = sqlite3.connect("events.db")
    connection.execute("UPDATE events SET x = CAST(X'ff' AS TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(TimefenceSchemaError, match=r"SQLite does not run the query(.|\n)*UTF-8"):
        tf.build(labels(), last(connection=uri))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT nope FROM events", "no such column: nope"),
        ("SELECT * FROM elsewhere", "no such table: elsewhere"),
        ("SELEC", "syntax error"),
        ("DELETE FROM events", "readonly database"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT k, t, x, x FROM events", "column 'x' twice"),
        ("SELECT k, x FROM events", "no column 't'"),
    ],
)
def test_a_query_that_sqlite_refuses(text: str, problem: str) -> None:
    uri = sqlite_file()
    with pytest.raises(TimefenceSchemaError, match=f"(?i){problem}"):
        tf.build(labels(), last(text, connection=uri))
    assert values(labels(), last(connection=uri)) == EXPECTED


def test_a_file_that_is_no_database() -> None:
    Path("events.db").write_bytes(b"no database" * 99)
    with pytest.raises(TimefenceSchemaError, match="file is not a database"):
        query(connection="sqlite:///events.db")


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("INTERVAL 1 DAY", "INTERVAL in the column 'x'.\n\n  x: INTERVAL\n"),
        ("[INTERVAL 1 DAY]", r"x: INTERVAL\[\]"),
        ("{'a': INTERVAL 1 DAY}", r'x: STRUCT\("?a"? INTERVAL\)'),
        ("union_value(a := 1)", "x: .*union"),
    ],
)
def test_columns_that_polars_has_no_type_for_are_named(column: str, told: str) -> None:
    path = duckdb_file()
    with pytest.raises(tf.TimefenceSchemaError, match=f"(?s)SQL source 'events': .*{told}.*Cast"):
        last(f"SELECT k, t, {column} AS x FROM events", connection=path)


@pytest.mark.parametrize("column", ["'INTERVAL'::ENUM('INTERVAL')", "{'INTERVAL': 1}", "epoch(INTERVAL 1 DAY)"])
def test_what_only_has_the_name_of_an_interval_is_read(column: str) -> None:
    frame = last(f"SELECT k, t, {column} AS x FROM events", connection=duckdb_file()).source.scan().collect()
    assert frame["x"].null_count() == 0


def test_a_feature_of_intervals_is_named() -> None:
    times = pl.Series([1, 2]).cast(pl.Datetime("us"))
    events = tf.Source(pl.DataFrame({"k": [1, 1], "t": times}), keys="k", timestamp="t", name="events")
    query = "SELECT k, t, t - lag(t) OVER (PARTITION BY k ORDER BY t) AS gap FROM {source}"
    rows = tf.Labels(pl.DataFrame({"k": [1], "at": times[1:]}), keys="k", label_time="at")
    with pytest.raises(tf.TimefenceSchemaError, match="(?s)SQL of feature 'since'.*the column 'gap'.*epoch") as raised:
        tf.build(rows, tf.Feature(events, sql=query, dialect="duckdb", name="since"))
    assert "'events'" in str(raised.value)


@pytest.mark.parametrize("uri", ["sqlite:///event.db", "duckdb:///event.duckdb", "event.duckdb"])
def test_a_database_that_does_not_exist_is_named_with_the_nearest(uri: str) -> None:
    sqlite_file()
    duckdb_file()
    with pytest.raises(Invalid, match=r"database 'event\.(duck)?db' does not exist. Did you mean 'events\.(duck)?db'"):
        query(connection=uri)
    assert not Path("event.db").exists()
    assert not Path("event.duckdb").exists()


def test_rows_that_change_their_columns_after_they_were_declared() -> None:
    one = last(connection=sqlite_file())
    sqlite_file([(1, 5)], columns="k, t")
    with pytest.raises(TimefenceSchemaError, match="other columns than when it was declared"):
        tf.build(labels(), one)


# --- drivers ----------------------------------------------------------------------------------------------------------


def driver_source(text: str, uri: str, driver: Any, monkeypatch: pytest.MonkeyPatch) -> tf.SQLSource:
    """A source as other databases have it: SQLite stands in for them."""
    monkeypatch.setattr(
        "timefence_pl.definitions.sql_source.database_query", lambda q, u: driver_query(q, u, (driver,))
    )
    return query(text, connection=uri)


@pytest.mark.parametrize("driver", ["adbc", "connectorx"])
def test_a_driver_reads_rows_and_tells_columns_without_any(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adbc_driver_sqlite" if driver == "adbc" else "connectorx")
    sqlite_file()
    one = driver_source(f"{ALL} -- all", f"sqlite:///{Path('events.db').absolute()}", driver, monkeypatch)
    assert one.schema == EVENTS.schema
    assert values(labels(), tf.Feature(one, columns="x", name="f")) == EXPECTED
    found = tf.build(labels(), tf.Feature(one, columns="x", name="f"), store=tf.Store("store")).manifest["features"][
        "f"
    ]
    assert found["cache_reason"] == "cannot be cached: the database of source events has no version"
    assert one.scan().filter(pl.col("x") > 10).select("x").head(1).collect()["x"].to_list() == [50]


@pytest.mark.parametrize("driver", ["adbc", "connectorx"])
def test_what_a_driver_refuses_is_ours(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adbc_driver_sqlite" if driver == "adbc" else "connectorx")
    sqlite_file()
    uri = f"sqlite:///{Path('events.db').absolute()}"
    for text in ("SELECT nope FROM events", "SELECT * FROM elsewhere", "SELEC"):
        with pytest.raises(Invalid, match=rf"database sqlite://\.\.\. does not answer(.|\n)*query: {text[:5]}"):
            driver_source(text, uri, driver, monkeypatch)


def test_values_that_are_not_of_their_columns_type_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adbc_driver_sqlite")
    uri = sqlite_file([(1, 1, "a")], columns="k, t, x").replace("///", f"///{Path.cwd()}/")
    one = driver_source(ALL, uri, "adbc", monkeypatch)
    with pytest.raises(TimefenceSchemaError, match=r"not of their column's type: 'x'(.|\n)*Cast the column"):
        tf.build(labels(), tf.Feature(one, columns="x", name="f"))


def test_a_missing_driver_is_named_and_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgresql://me:s3cret%21@host/db"

    def missing(*_args: Any, **_options: Any) -> pl.DataFrame:
        raise ImportError("no such module")

    monkeypatch.setattr(database.pl, "read_database_uri", missing)
    with pytest.raises(Invalid, match=r"No driver for postgresql:// (.|\n)*timefence-pl\[database\]"):
        query(connection=uri)

    def broken(*_args: Any, **_options: Any) -> pl.DataFrame:
        raise pl.exceptions.PanicException(f"cannot connect to {uri} with s3cret! or s3cret%21")

    monkeypatch.setattr(database.pl, "read_database_uri", broken)
    with pytest.raises(Invalid, match="does not answer the query") as caught:
        query(connection=uri)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


# --- what is kept in a store ------------------------------------------------------------------------------------------


def twice(make: Any, change: Any) -> list[tuple[bool, Any]]:
    """Whether a build was had from the store, and its values: at first, again, and after a change."""
    found = []
    for step in (None, None, change):
        if step is not None:
            step()
        result = tf.build(labels(), make(), store=tf.Store("store"))
        found.append((result.manifest["features"]["f"]["cached"], result.frame()["f__x"].to_list()))
    return found


def rates(rate: int) -> None:
    pl.DataFrame({"k": [1, 2], "r": [rate, rate]}).write_parquet("r.parquet")


JOINED = "SELECT e.k, e.t, e.x * r.r AS x FROM {} e JOIN {} r ON e.k = r.k"


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (lambda: last(JOINED.format("events", "read_parquet('r.parquet')"), tables={"events": EVENTS}), True),
        (lambda: last(JOINED.format("events", "rates"), tables={"events": EVENTS, "rates": "r.parquet"}), True),
        (
            lambda: last(f"FROM ({JOINED.format('events', 'rates')})", tables={"events": EVENTS, "rates": "r.parquet"}),
            True,
        ),
        (
            lambda: last(
                f"FROM ({JOINED.format('events', chr(39) + 'r.parquet' + chr(39))})", tables={"events": EVENTS}
            ),
            False,
        ),
        (lambda: last(JOINED.format("events", "'r.parquet'"), connection=duckdb_file()), False),
        (lambda: last(JOINED.format("events", "read_parquet('*.parquet')"), connection=duckdb_file()), False),
        (
            lambda: tf.Feature(
                tf.Source(EVENTS, keys="k", timestamp="t"),
                sql=JOINED.format("{source}", "read_parquet('r.parquet')"),
                dialect="duckdb",
                name="f",
            ),
            False,
        ),
    ],
    ids=["polars reads", "polars is given", "duckdb is given", "duckdb reads", "file reads", "glob", "feature reads"],
)
def test_another_file_of_a_query_is_part_of_its_key_or_it_has_none(make: Any, kept: bool) -> None:
    rates(1)
    assert twice(make, lambda: rates(2)) == [
        (False, EXPECTED),
        (kept, EXPECTED),
        (False, [20, 100, 60, None]),
    ]


def test_a_duckdb_file_is_kept_until_it_changes_even_in_its_log() -> None:
    def crash() -> None:
        """A writer that is killed leaves its changes in the log beside the file."""
        Path("live.duckdb").write_bytes(Path("events.duckdb").read_bytes())
        with duckdb.connect("live.duckdb", config={"checkpoint_threshold": "1TB"}) as connection:
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
            connection.execute("UPDATE events SET x = x + 1")
        assert Path("live.duckdb").read_bytes() == Path("events.duckdb").read_bytes()
        Path("events.duckdb.wal").write_bytes(Path("live.duckdb.wal").read_bytes())

    duckdb_file()
    assert twice(lambda: last(connection="events.duckdb"), crash) == [
        (False, EXPECTED),
        (True, EXPECTED),
        (False, [11, 51, 31, None]),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT * FROM events", None),
        ("WITH a AS (SELECT * FROM EVENTS) SELECT *, sum(x) OVER (ORDER BY t) FROM A, range(3)", None),
        ("SELECT date_trunc('day', DATE '2024-01-01'), age(DATE '2024-01-02', DATE '2024-01-01') FROM events", None),
        ("SELECT year(t), x + 1, t - INTERVAL 1 DAY, timezone('UTC', t) FROM events", None),
        ("SELECT * FROM events WHERE x > (SELECT max(y) FROM other)", "'other'"),
        ("SELECT * FROM 'x.csv'", r"'x\.csv'"),
        ("SELECT * FROM read_csv('x.csv')", "by read_csv"),
        ("SELECT * FROM query('SELECT 1')", "by query"),
        ("SELECT * FROM glob('*')", "by glob"),
        ("SELECT random() FROM events", "uses random"),
        ("SELECT now(), current_date FROM events", "uses now"),
        ("SELECT today() FROM events", "uses today"),
        ("SELECT age(t::TIMESTAMP) FROM events", "uses age"),
        ("SELECT age(t::TIMESTAMPTZ) FROM events", "uses age"),
        ("SELECT current_setting('TimeZone') FROM events", "uses current_setting"),
        ("SELECT content FROM (SELECT read_text('x') AS content)", "uses read_text"),
        ("SELECT my_macro(x) FROM events", None),
        ("SELECT * FROM events USING SAMPLE 1 ROWS", "samples"),
        ("SELECT * FROM events TABLESAMPLE 10%", "samples"),
        ("DESCRIBE events", "describes"),
        ("PIVOT events ON k USING sum(x)", "of a kind that is not known"),
        ("SELEC", "of a kind that is not known"),
    ],
)
def test_what_a_duckdb_query_depends_on_besides_its_tables(text: str, reason: str | None) -> None:
    found = other_inputs(text, ["events"])
    assert found is None if reason is None else found is not None
    if reason is not None:
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(found)


def test_views_and_macros_of_a_database_may_read_anything() -> None:
    rates(1)
    path = duckdb_file(
        "views.duckdb",
        "CREATE VIEW v AS SELECT * FROM read_parquet('r.parquet')",
        "CREATE MACRO m(a) AS a + random()",
    )
    assert other_inputs(ALL, [], path) is None
    view = "the SQL query reads the view 'v', whose tables are not followed"
    assert other_inputs("SELECT * FROM v", [], path) == other_inputs("FROM main.v", [], path) == view
    assert other_inputs("SELECT * FROM r", [], path) == "the SQL query reads 'r', which is not one of its tables"
    assert "uses m" in str(other_inputs("SELECT m(x) FROM events", [], path))


def test_tables_of_a_query_are_not_overwritten() -> None:
    EVENTS.write_parquet("e.parquet")
    for text in (ALL, f"{ALL} WHERE epoch_ms(0) IS NOT NULL"):
        for output in ("e.parquet", "./e.parquet"):
            with pytest.raises(TimefenceStoreError, match="own inputs"):
                tf.build(labels(), last(text, tables={"events": "e.parquet"}), output)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "connection", [5, object(), "", b"x", [], sqlite3.connect(":memory:")], ids=lambda v: type(v).__name__
)
def test_what_is_no_database_is_refused(connection: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="is not a database"):
        query(connection=connection)


def test_a_closed_connection_is_refused() -> None:
    connection = duckdb.connect(duckdb_file())
    one = last(connection=connection)
    connection.close()
    with pytest.raises(Invalid, match="connection cannot be used"):
        query(connection=connection)
    with pytest.raises(TimefenceError, match="connection cannot be used"):
        tf.build(labels(), one)


def test_a_table_with_a_database_uri_is_refused() -> None:
    with pytest.raises(TimefenceConfigError, match="tables= cannot be given with a database URI"):
        query(connection=sqlite_file(), tables={"events": EVENTS})


@pytest.mark.parametrize("tables", [5, [EVENTS], "events", {1: EVENTS}, {"": EVENTS}])
def test_tables_are_a_mapping_of_names(tables: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="is not a mapping of names"):
        query(tables=tables)


def test_numbers_and_types_that_frames_do_not_have() -> None:
    with pytest.raises(TimefenceError, match=r"(?s)DuckDB|cannot be read|cannot be computed"):
        tf.build(
            labels(),
            last("SELECT k, t, x::HUGEINT * 9223372036854775807::HUGEINT AS x FROM events", connection=duckdb_file()),
        )
    with pytest.raises(TimefenceSchemaError, match="column 'k' twice"):
        query("SELECT a.k, b.k, a.t, a.x FROM events a JOIN events b ON a.k = b.k", connection=duckdb_file())


@pytest.mark.parametrize(
    "query", ["SELECT k, t, x FROM e WHERE x > 0", "SELECT k, t, max(x) FILTER (x > 0) AS x FROM e GROUP BY ALL"]
)
@pytest.mark.parametrize("how", ["folder", "glob", "source"])
@pytest.mark.parametrize("stored", [False, True])
def test_files_of_its_tables_may_come_and_go(tmp_path: Path, query: str, how: str, *, stored: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()

    def add(name: str, k: int) -> None:
        pl.DataFrame({"k": [k], "t": [1], "x": [10 * k]}).write_parquet(folder / f"{name}.parquet")

    add("a", 1)
    table = {"folder": folder, "glob": str(folder / "*.parquet"), "source": tf.Source(folder, keys="k", timestamp="t")}
    asked = tf.Labels(pl.DataFrame({"k": [1, 2], "T": [9, 9]}), keys="k", label_time="T")
    store = tf.Store(tmp_path / "store") if stored else None

    def of() -> tf.SQLSource:
        return tf.SQLSource(query, keys="k", timestamp="t", name="e", tables={"e": table[how]})

    def found(source: tf.SQLSource) -> list[int | None]:
        return tf.build(asked, tf.Feature(source, columns="x", name="f"), store=store).frame()["f__x"].to_list()

    kept = of()
    assert found(kept) == [10, None]
    add("b", 2)
    assert found(kept) == found(of()) == [10, 20]
    (folder / "a.parquet").unlink()
    assert found(kept) == found(of()) == [None, 20]
