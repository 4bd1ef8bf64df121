"""Coming from Timefence 0.9: its documented examples, with the import line changed and nothing else.

The texts are those of its README, documentation and quickstart. What reads differently here is in the README's table.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.integration.cli import run

pytest.importorskip("duckdb", reason="its SQL is DuckDB's")
pytest.importorskip("yaml", reason="its configuration is YAML")

IMPORT = "import timefence_pl as timefence\n"

QUICKSTART_FEATURES = '''"""Feature definitions for the churn example."""

import timefence

# Sources
users = timefence.Source(
    path="data/users.parquet",
    keys=["user_id"],
    timestamp="updated_at",
    name="users",
)

transactions = timefence.Source(
    path="data/transactions.parquet",
    keys=["user_id"],
    timestamp="created_at",
    name="transactions",
)

# Features
user_country = timefence.Feature(
    source=users,
    columns=["country"],
    name="user_country",
)

account_age_days = timefence.Feature(
    source=users,
    columns={"signup_date": "acc_age_days"},
    name="account_age_days",
)

rolling_spend_30d = timefence.Feature(
    source=transactions,
    sql="""
        SELECT
            user_id,
            created_at AS feature_time,
            SUM(amount) OVER (
                PARTITION BY user_id
                ORDER BY created_at
                RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND CURRENT ROW
            ) AS spend_30d
        FROM {source}
    """,
    name="rolling_spend_30d",
    embargo="1d",
)

days_since_login = timefence.Feature(
    source=transactions,
    sql="""
        SELECT
            user_id,
            created_at AS feature_time,
            1 AS days_since_login
        FROM {source}
    """,
    name="days_since_login",
)
'''

QUICKSTART_CONFIG = """# timefence.yaml
name: churn-example
version: "1.0"

data_dir: data/

features:
  - features.py

labels:
  path: data/labels.parquet
  keys: [user_id]
  label_time: label_time
  target: [churned]

defaults:
  max_lookback: 365d
  join: strict
  on_missing: "null"
"""

README_BUILD = '''
users = timefence.Source(path="data/users.parquet", keys=["user_id"], timestamp="updated_at")
txns  = timefence.Source(path="data/txns.parquet", keys=["user_id"], timestamp="created_at")

country = timefence.Feature(source=users, columns=["country"])
spend   = timefence.Feature(source=txns, embargo="1d", name="spend_30d", sql="""
    SELECT user_id, created_at AS feature_time,
           SUM(amount) OVER (PARTITION BY user_id ORDER BY created_at
               RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND CURRENT ROW) AS spend_30d
    FROM {source}
""")

labels = timefence.Labels(
    path="data/labels.parquet", keys=["user_id"],
    label_time="label_time", target=["churned"],
)

result = timefence.build(labels=labels, features=[country, spend], output="train.parquet")
'''

BUILD_FROM_SCRATCH = '''
# 1. Define sources
transactions = timefence.Source(
    path="data/transactions.parquet",
    keys=["user_id"],
    timestamp="created_at",
)
users = timefence.Source(
    path="data/users.parquet",
    keys=["user_id"],
    timestamp="updated_at",
)
# 2. Define features
rolling_spend = timefence.Feature(
    source=transactions,
    sql="""
        SELECT user_id, created_at,
        SUM(amount) OVER (
            PARTITION BY user_id
            ORDER BY created_at
            RANGE INTERVAL 30 DAYS PRECEDING
        ) AS spend_30d
        FROM {source}
    """,
    name="rolling_spend_30d",
    embargo="1d",
)
user_country = timefence.Feature(
    source=users,
    columns=["country"],
)
# 3. Define labels
labels = timefence.Labels(
    path="data/labels.parquet",
    keys=["user_id"],
    label_time="label_time",
    target="churned",
)
# 4. Build
result = timefence.build(
    labels=labels,
    features=[rolling_spend, user_country],
    output="train_CLEAN.parquet",
)
print(result)
# rows: 5000, columns: 4, duration: 0.8s
'''

SPLITS = """
result = timefence.build(
    labels=labels,
    features=[rolling_spend, user_country],
    output="dataset.parquet",
    splits={
        "train": ("2023-01-01", "2024-01-01"),
        "valid": ("2024-01-01", "2024-07-01"),
        "test":  ("2024-07-01", "2025-01-01"),
    },
)
# result.splits = {"train": Path(...), "valid": Path(...), "test": Path(...)}
"""

STORE = """
store = timefence.Store(".timefence")
result = timefence.build(
    labels=labels,
    features=[rolling_spend],
    output="train.parquet",
    store=store,
)
# List past builds
builds = store.list_builds()  # Newest first
# Get a specific build
manifest = store.get_build("abc123")
"""

SOURCES = """
# Explicit format selection
transactions = timefence.ParquetSource("data/tx.parquet", keys="user_id", timestamp="ts")
events = timefence.CSVSource("data/events.csv", keys="user_id", timestamp="ts")
source = timefence.SQLSource(
    query="SELECT * FROM read_parquet('data/more/*.parquet')",
    keys="user_id",
    timestamp="ts",
    name="all_transactions",
    connection=None,  # Optional: DuckDB database path
)
"""

FEATURES_AND_SETS = """
from pathlib import Path
# Mode 1: Column selection
country = timefence.Feature(source=users, columns=["country"])
# Mode 2: SQL (file)
spend = timefence.Feature(
    source=transactions,
    sql=Path("features/rolling_spend.sql"),
)
base_features = timefence.FeatureSet(
    name="churn_features_v1",
    features=[spend, country],
)
new_experimental_feature = timefence.Feature(source=users, columns="signup_date", name="new", on_duplicate="keep_any")
# Use in build/audit like individual features
result = timefence.build(
    labels=labels,
    features=[base_features, new_experimental_feature],
    output="train.parquet",
)
names = [f.name for f in base_features], len(base_features)
"""

AUDIT = """
report = timefence.audit(
    data="train_CLEAN.parquet",
    features=[rolling_spend, user_country],
    keys=["user_id"],
    label_time="label_time",
    max_lookback="365d",
    max_staleness=None,
    join="strict",
)
print(report)
report.assert_clean()
# Check overall status
report.has_leakage        # True/False
report.leaky_features     # ["rolling_spend_30d"]
report.clean_features     # ["user_country"]
# Per-feature details
detail = report["rolling_spend_30d"]
detail.leaky_row_count    # 1520
detail.leaky_row_pct      # 0.304
detail.severity           # "HIGH"
detail.max_leakage        # timedelta(days=15)
# Export
report.to_html("audit_report.html")
report.to_json("audit_report.json")
"""

TEMPORAL = """
report = timefence.audit.temporal(
    data="data/train.parquet",
    feature_time_columns={
        "spend_30d": "spend_computed_at",
        "country": "country_updated_at",
    },
    label_time="label_time",
)
"""

DIFF = """
result = timefence.diff(
    old="train_v1.parquet",
    new="train_v2.parquet",
    keys=["user_id"],
    label_time="label_time",
    atol=1e-10,  # Absolute tolerance for numeric comparison
    rtol=1e-7,   # Relative tolerance for numeric comparison
)
"""

EXPLAIN = """
result = timefence.explain(
    labels=labels,
    features=[rolling_spend, user_country],
    max_lookback="365d",
    max_staleness=None,
    join="strict",
)
print(result)  # Human-readable join plan
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data of its quickstart, by its own formulas, smaller."""
    users, labels = 200, 150
    (tmp_path / "data").mkdir()
    rows = [
        (i, ["US", "UK", "DE", "FR", "JP"][i % 5], date(2020, 1, 1) + timedelta(days=i % 1000), at)
        for i in range(1, users + 1)
        for at in (datetime(2023, 1, 15), datetime(2023, 7, 15), datetime(2024, 1, 15))
    ]
    pl.DataFrame(rows, schema=["user_id", "country", "signup_date", "updated_at"], orient="row").write_parquet(
        tmp_path / "data/users.parquet"
    )
    bought = [
        (
            i % users + 1,
            datetime(2022, 1, 1) + timedelta(days=i * 7 % 1095, hours=i * 13 % 24),
            round((50 + i * 17 % 500) / 10, 2),
        )
        for i in range(1, users * 20 + 1)
    ]
    pl.DataFrame(bought, schema=["user_id", "created_at", "amount"], orient="row").write_parquet(
        tmp_path / "data/transactions.parquet"
    )
    asked = [
        (i % labels + 1, datetime(2023, 6, 1) + timedelta(days=i * 11 % 548), i % 5 == 0) for i in range(1, labels + 1)
    ]
    pl.DataFrame(asked, schema=["user_id", "label_time", "churned"], orient="row").write_parquet(
        tmp_path / "data/labels.parquet"
    )
    (tmp_path / "data/txns.parquet").write_bytes((tmp_path / "data/transactions.parquet").read_bytes())
    (tmp_path / "features.py").write_text(QUICKSTART_FEATURES.replace("import timefence\n", IMPORT))
    (tmp_path / "timefence.yaml").write_text(QUICKSTART_CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def execute(*texts: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    for text in (IMPORT, *texts):
        exec(text, namespace)
    return namespace


def expected_spend(project: Path) -> list[float | None]:
    """By hand: the sum of the 30 days up to the last transaction that is more than a day before the label."""
    bought = pl.read_parquet(project / "data/transactions.parquet")
    spends = []
    for user, at in pl.read_parquet(project / "data/labels.parquet").select("user_id", "label_time").iter_rows():
        mine = bought.filter(pl.col("user_id") == user)
        known = mine.filter(
            (pl.col("created_at") < at - timedelta(days=1)) & (pl.col("created_at") >= at - timedelta(days=365))
        )
        last = known["created_at"].max()
        if last is None:
            spends.append(None)
            continue
        assert isinstance(last, datetime)
        spends.append(mine.filter(pl.col("created_at").is_between(last - timedelta(days=30), last))["amount"].sum())
    return spends


# --- its commands, on its feature file and its configuration ----------------------------------------------------------


def test_its_commands_run_on_its_files(project: Path) -> None:
    before = (project / "timefence.yaml").read_bytes(), (project / "features.py").read_text()
    assert before[1].replace(IMPORT, "import timefence\n") == QUICKSTART_FEATURES
    ran = run(project, "build", "-o", "data/train_CLEAN.parquet")
    assert "150 / 150 matched" in ran.out
    frame = pl.read_parquet(project / "data/train_CLEAN.parquet")
    assert frame.columns == [
        *("user_id", "label_time", "churned", "user_country__country", "account_age_days__acc_age_days"),
        *("rolling_spend_30d__spend_30d", "days_since_login__days_since_login"),
    ]
    assert frame["rolling_spend_30d__spend_30d"].to_list() == pytest.approx(expected_spend(project))
    assert "ALL CLEAN" in run(project, "audit", "data/train_CLEAN.parquet", "--strict").out
    assert [f["name"] for f in run(project, "catalog", "--json").json["features"]] == [
        *("user_country", "account_age_days", "rolling_spend_30d", "days_since_login"),
    ]
    assert run(project, "doctor", "--quick", "--json").json["healthy"] is True
    told = run(project, "explain", "--features", "features.py:rolling_spend_30d", "--json").json
    assert (told["label_count"], len(told["plan"])) == (150, 1)
    assert ((project / "timefence.yaml").read_bytes(), (project / "features.py").read_text()) == before


def test_a_set_that_leaks_fails_its_gate(project: Path) -> None:
    run(project, "build", "-o", "data/train.parquet", "--features", "features.py:rolling_spend_30d")
    bought = pl.read_parquet(project / "data/transactions.parquet").sort("created_at")
    spend = bought.with_columns(
        pl.col("amount").rolling_sum_by("created_at", "30d", closed="both").over("user_id").alias("s")
    )
    last = spend.group_by("user_id").agg(pl.col("s").last())
    frame = pl.read_parquet(project / "data/train.parquet").join(last, on="user_id", how="left", maintain_order="left")
    frame.with_columns(rolling_spend_30d__spend_30d="s").drop("s").write_parquet(project / "data/train.parquet")
    words = [
        "audit",
        "data/train.parquet",
        "--features",
        "features.py",
        "--keys",
        "user_id",
        "--label-time",
        "label_time",
    ]
    told = run(project, *words, "--strict", "--json", code=1).json
    assert told["has_leakage"] is True
    assert [n for n, f in told["features"].items() if f["leaky"]] == ["rolling_spend_30d"]


def test_its_other_command_lines(project: Path) -> None:
    run(project, "inspect", "data/transactions.parquet")
    run(project, "build", "--labels", "data/labels.parquet", "--features", "features.py", "-o", "train.parquet")
    words = ["build", "--labels", "data/labels.parquet", "--features", "features.py", "-o", "train.parquet"]
    run(
        project,
        *words,
        "--max-lookback",
        "365d",
        "--max-staleness",
        "30d",
        "--on-missing",
        "null",
        "--join-mode",
        "strict",
    )
    run(project, *words, "--split", "train:2023-01-01:2024-01-01", "--split", "test:2024-01-01:2025-01-01")
    assert (
        pl.read_parquet(project / "train_train.parquet").height + pl.read_parquet(project / "train_test.parquet").height
        == 150
    )
    assert "JOIN PLAN" in run(project, *words, "--dry-run").out
    manifest = run(project, *words, "--flatten", "--json").json
    assert {"timefence_version", "audit"} <= set(manifest)
    assert "country" in pl.read_parquet_schema(project / "train.parquet")
    assert "already exists" in run(project, "init").out
    config = (project / "timefence.yaml").read_text() + "\noutput:\n  dir: artifacts/\n"
    (project / "timefence.yaml").write_text(config)
    run(project, "build", "-o", "train.parquet")
    assert (project / "artifacts/train.parquet").is_file()


def test_its_empty_configuration(project: Path) -> None:
    (project / "timefence.yaml").write_text(
        '# timefence.yaml\nname: my-project\nversion: "1.0"\n\nstore: .timefence/\n'
    )
    run(project, "build", "--labels", "data/labels.parquet", "-o", "train.parquet")


# --- its programs -----------------------------------------------------------------------------------------------------


def test_the_readme(project: Path) -> None:
    made = execute(README_BUILD)
    assert (made["result"].stats.row_count, made["result"].stats.column_count) == (150, 5)
    frame = pl.read_parquet(project / "train.parquet")
    assert frame["spend_30d__spend_30d"].to_list() == pytest.approx(expected_spend(project))
    assert frame["country__country"].null_count() == 0


def test_building_from_scratch_and_all_that_follows(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = execute(BUILD_FROM_SCRATCH)
    assert made["result"].output_path == "train_CLEAN.parquet"
    assert "150" in capsys.readouterr().out
    frame = pl.read_parquet(project / "train_CLEAN.parquet")
    assert frame["rolling_spend_30d__spend_30d"].to_list() == pytest.approx(expected_spend(project))

    made = execute(BUILD_FROM_SCRATCH, SPLITS)
    assert {n: p.name for n, p in made["result"].splits.items()} == {
        n: f"dataset_{n}.parquet" for n in ("train", "valid", "test")
    }
    assert sum(pl.read_parquet(p).height for p in made["result"].splits.values()) == 150

    made = execute(BUILD_FROM_SCRATCH, STORE)
    assert [b["output"]["row_count"] for b in made["builds"]] == [150]
    assert made["manifest"] is None
    again = execute(BUILD_FROM_SCRATCH, STORE)
    assert again["result"].manifest["features"]["rolling_spend_30d"]["cached"] is True

    made = execute(BUILD_FROM_SCRATCH, EXPLAIN)
    assert "transactions.created_at < labels.label_time - 1d" in str(made["result"])


def test_auditing(project: Path) -> None:
    made = execute(BUILD_FROM_SCRATCH, AUDIT)
    assert (made["report"].has_leakage, made["report"].mode) == (False, "rebuild")
    assert made["report"].clean_features == ["rolling_spend_30d", "country"]
    assert json.loads((project / "audit_report.json").read_text())["has_leakage"] is False
    assert (project / "audit_report.html").is_file()


def test_auditing_by_times(project: Path) -> None:
    at = pl.col("label_time")
    pl.read_parquet(project / "data/labels.parquet").with_columns(
        spend_30d=1.0,
        country=pl.lit("DE"),
        spend_computed_at=at + pl.duration(days=5),
        country_updated_at=at.dt.offset_by("-1d"),
    ).write_parquet(project / "data/train.parquet")
    report = execute(TEMPORAL)["report"]
    assert (report.mode, report.leaky_features, report.clean_features) == ("temporal", ["spend_30d"], ["country"])
    assert (report["spend_30d"].leaky_row_count, report["spend_30d"].max_leakage) == (150, timedelta(days=5))


def test_comparing(project: Path) -> None:
    labels = pl.read_parquet(project / "data/labels.parquet")
    labels.with_columns(x=1.0, old=1).write_parquet(project / "train_v1.parquet")
    labels.with_columns(x=pl.when(pl.col("churned")).then(1.5).otherwise(1.0), new=1).write_parquet(
        project / "train_v2.parquet"
    )
    result = execute(DIFF)["result"]
    assert (result.old_rows, result.new_rows) == (150, 150)
    assert {c["column"]: c["type"] for c in result.schema_changes if c["type"] in "+-"} == {"old": "-", "new": "+"}
    assert {k: result.value_changes["x"][k] for k in ("changed_count", "mean_delta", "max_delta")} == {
        "changed_count": 30,
        "mean_delta": 0.5,
        "max_delta": 0.5,
    }
    words = ["diff", "train_v1.parquet", "train_v2.parquet", "--keys", "user_id", "--label-time", "label_time"]
    told = run(project, *words, "--atol", "0.01", "--rtol", "0.001", "--json").json
    assert {"old_rows", "new_rows", "schema_changes", "value_changes"} <= set(told)


def test_feature_modes_and_sets(project: Path) -> None:
    (project / "features").mkdir()
    (project / "features/rolling_spend.sql").write_text(
        "SELECT user_id, created_at,\n    SUM(amount) OVER (\n        PARTITION BY user_id ORDER BY created_at\n"
        "        RANGE INTERVAL 30 DAYS PRECEDING\n    ) AS spend_30d\n    FROM {source}\n"
    )
    made = execute(BUILD_FROM_SCRATCH, FEATURES_AND_SETS)
    assert made["names"] == (["rolling_spend", "country"], 2)
    assert list(made["result"].stats.feature_stats) == ["rolling_spend", "country", "new"]


def test_sources(project: Path) -> None:
    events = pl.DataFrame({"user_id": [1, 2], "ts": [datetime(2024, 1, 1)] * 2, "x": [1, 2]})
    events.write_parquet(project / "data/tx.parquet")
    events.write_csv(project / "data/events.csv")
    (project / "data/more").mkdir()
    events.write_parquet(project / "data/more/tx.parquet")
    made = execute(SOURCES)
    for name in ("transactions", "events", "source"):
        assert made[name].scan().collect()["x"].to_list() == [1, 2], name
    assert made["source"].name == "all_transactions"


def test_a_transform_that_wants_a_connection_says_what_it_gets_instead(project: Path) -> None:
    (project / "features.py").write_text(
        f"{IMPORT}"
        'txns = timefence.Source("data/transactions.parquet", keys="user_id", timestamp="created_at")\n'
        "def compute_score(conn, source_table):\n"
        "    return conn.sql(f'SELECT user_id, created_at AS feature_time, amount * 2.5 AS a FROM {source_table}')\n"
        "score = timefence.Feature(source=txns, transform=compute_score)\n"
    )
    ran = run(project, "build", "-o", "train.parquet", code=None)
    assert ran.code == 2
    assert "compute_score" in ran.err
    assert "LazyFrame" in ran.err
    assert "Traceback" not in ran.err
