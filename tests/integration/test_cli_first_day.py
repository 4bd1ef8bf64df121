"""The first day: ``quickstart``, ``inspect``, ``init`` and ``doctor``."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from xxhash import xxh3_128

from tests.integration.cli import run
from timefence_pl.cli.checks import _is_later_than_today
from timefence_pl.cli.churn import LEAKING, write_churn
from timefence_pl.cli.commands import init
from timefence_pl.cli.suggest import look, source_code

START = datetime(2024, 1, 1)
EVENTS = pl.DataFrame(
    {
        "transaction_id": range(40),
        "user_id": [i % 4 for i in range(40)],
        "created_at": [START + timedelta(hours=7 * i) for i in range(40)],
        "amount": [float(i) for i in range(40)],
        "shop": ["a", "b"] * 20,
    }
)
LABELS = pl.DataFrame(
    {
        "user_id": [0, 1, 2, 3],
        "label_time": [START + timedelta(days=5 + i) for i in range(4)],
        "churned": [True, False, True, False],
    }
)


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "churn"
    write_churn(folder, minimal=True)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    EVENTS.write_parquet(tmp_path / "data/transactions.parquet")
    LABELS.write_parquet(tmp_path / "data/labels.parquet")
    return tmp_path


# --- quickstart -------------------------------------------------------------------------------------------------------


def test_quickstart_writes_a_project_and_prints_commands_that_work(tmp_path: Path) -> None:
    told = run(tmp_path, "quickstart", "demo", "--minimal", "--json").json
    assert told["next"][0] == "cd demo"
    for line in told["next"][1:]:
        words = shlex.split(line)
        assert words[0] == "timefence-pl"
        run(tmp_path / "demo", *words[1:])
    assert (tmp_path / "demo/data/train_CLEAN.parquet").is_file()
    readme = (tmp_path / "demo/README.md").read_text()
    assert all(line in readme for line in told["next"][1:])
    out = run(tmp_path, "quickstart", "other", "--minimal").out
    assert "timefence-pl audit data/train_LEAKY.parquet" in out


def test_the_audit_finds_the_planted_features_and_no_other(churn: Path) -> None:
    told = run(churn, "audit", "data/train_LEAKY.parquet", "--json").json
    assert {n for n, f in told["features"].items() if not f["clean"]} == set(LEAKING)
    assert told["has_leakage"] is True
    assert all(told["features"][n]["leaky_row_count"] > 20 for n in LEAKING)


def test_the_data_are_the_same_every_time(churn: Path, tmp_path: Path) -> None:
    write_churn(tmp_path / "again", minimal=True)
    for file in sorted(churn.rglob("data/*.parquet")):
        if "CLEAN" not in file.name:
            assert pl.read_parquet(file).equals(pl.read_parquet(tmp_path / "again/data" / file.name))
    users = pl.read_parquet(churn / "data/users.parquet")
    assert users.height == 4_335
    assert users.row(0) == (1, "FR", "free", datetime(2022, 4, 18, 4, 14, 1))


def test_the_one_template(tmp_path: Path) -> None:
    run(tmp_path, "quickstart", "demo", "--minimal", "--template", "churn")
    assert "invalid" in run(tmp_path, "quickstart", "demo2", "--template", "iris", code=2).err.lower()


def test_quickstart_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/mine.txt").write_text("mine")
    assert "exists already" in run(tmp_path, "quickstart", "demo", code=2).err
    assert [p.name for p in (tmp_path / "demo").iterdir()] == ["mine.txt"]


# --- inspect ----------------------------------------------------------------------------------------------------------


def inspected(folder: Path, frame: pl.DataFrame, name: str = "data.parquet", **options: Any) -> str:
    frame.write_parquet(folder / name)
    profile = look(str(folder / name), **options)
    return source_code(profile).replace(str(folder) + "/", "")


@pytest.mark.parametrize(
    ("frame", "keys", "time"),
    [
        (EVENTS, ("user_id",), "created_at"),
        (LABELS, ("user_id",), "label_time"),
        (pl.DataFrame({"id": [1, 2], "date": [date(2024, 1, 1)] * 2, "x": [1, 2]}), ("id",), "date"),
        (pl.DataFrame({"x": [1.5, 2.5], "at": [START] * 2}), (), "at"),
        (pl.DataFrame({"number": [7, 8], "at": [START] * 2, "v": [1.5, 2.0]}), ("number",), "at"),
        (pl.DataFrame({"symbol": ["A", "A"], "ts": [START, START], "price": [1, 2]}), ("symbol",), "ts"),
        (
            pl.DataFrame({"userId": [1, 1], "signupDate": [START] * 2, "eventTime": [START] * 2}),
            ("userId",),
            "eventTime",
        ),
        (pl.DataFrame({"user_id": [1, 1], "birth_date": [START] * 2, "seen_at": [START] * 2}), ("user_id",), "seen_at"),
        (pl.DataFrame({"user_profile__country": ["x", "x"], "user_id": [1, 2], "at": [START] * 2}), ("user_id",), "at"),
        (pl.DataFrame({"flag": [True, False], "what": ["a", "b"]}), (), None),
        (pl.DataFrame({"sensor_id": [1, 1], "timestamp": [1_700_000_000, 1_700_000_001]}), ("sensor_id",), "timestamp"),
    ],
)
def test_keys_and_times_are_proposed(
    tmp_path: Path, frame: pl.DataFrame, keys: tuple[str, ...], time: str | None
) -> None:
    frame.write_parquet(tmp_path / "t.parquet")
    profile = look(str(tmp_path / "t.parquet"))
    assert (profile.keys, profile.timestamp) == (keys, time)


def test_a_second_key_is_proposed_where_it_tells_rows_apart(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user_id": [1, 1, 2, 2] * 5,
            "product_id": [1, 2] * 10,
            "at": [START + timedelta(days=i // 4) for i in range(20)],
        }
    )
    assert inspected(tmp_path, frame) == 'tf.Source("data.parquet", keys=["user_id", "product_id"], timestamp="at")'


def test_availability_is_proposed(tmp_path: Path) -> None:
    frame = EVENTS.with_columns(ingested_at=pl.col("created_at") + pl.duration(hours=1))
    assert inspected(tmp_path, frame).endswith('timestamp="created_at", available_at="ingested_at")')


@pytest.mark.parametrize(
    ("texts", "layout"),
    [
        (["2024-01-31", "2024-02-01"], "%Y-%m-%d"),
        (["2024-01-31 10:00:00", "2024-02-01 11:30:00"], "%Y-%m-%d %H:%M:%S"),
        (["2024-01-31T10:00:00.5", "2024-02-01T11:30:00.25"], "%Y-%m-%dT%H:%M:%S%.f"),
        (["31.01.2024", "01.02.2024"], "%d.%m.%Y"),
        (["01/31/2024", "02/01/2024"], "%m/%d/%Y"),
        (["yesterday", "today"], None),
        (["1", "2"], None),
        ([], None),
    ],
)
def test_times_in_text_are_told_with_their_format(tmp_path: Path, texts: list[str], layout: str | None) -> None:
    frame = pl.DataFrame({"user_id": range(len(texts)), "at": pl.Series(texts, dtype=pl.String)})
    frame.write_parquet(tmp_path / "t.parquet")
    profile = look(str(tmp_path / "t.parquet"))
    found = next(c for c in profile.columns if c.name == "at").timestamp_format
    assert (found and found.replace("%.f", "")) == (layout and layout.replace("%.f", ""))
    if layout:
        assert f'timestamp_format="{found}"' in source_code(profile)
        namespace: dict[str, Any] = {}
        exec(f"import timefence_pl as tf\nsource = {source_code(profile)}", namespace)
        assert namespace["source"].scan().collect().schema["at"].is_temporal()


def test_inspect_prints_a_source_that_can_be_read(data: Path) -> None:
    ran = run(data, "inspect", "data/transactions.parquet")
    assert "40 rows, 5 columns" in ran.out
    code = 'tf.Source("data/transactions.parquet", keys="user_id", timestamp="created_at")'
    assert code in ran.out
    told = run(data, "inspect", "data/transactions.parquet", "--json").json
    assert (told["row_count"], told["column_count"]) == (40, 5)
    assert told["suggestion"]["key"] == "user_id"
    assert told["suggestion"]["code"] == code
    assert [c["name"] for c in told["columns"]] == EVENTS.columns
    assert {c["name"]: c["notes"] for c in told["columns"]}["transaction_id"] == "row id"


def test_inspect_reads_what_sources_read(data: Path) -> None:
    EVENTS.write_csv(data / "plain.csv")
    (data / "packed.csv.gz").write_bytes(gzip.compress((data / "plain.csv").read_bytes()))
    EVENTS.write_csv(data / "semicolons.csv", separator=";")
    EVENTS.write_ndjson(data / "rows.ndjson")
    EVENTS.write_ipc(data / "rows.arrow")
    for name in ("plain.csv", "packed.csv.gz", "semicolons.csv", "rows.ndjson", "rows.arrow", "*.csv", "data"):
        if name == "*.csv":
            (data / "semicolons.csv").unlink()
        told = run(data, "inspect", name if name != "data" else "data/trans*.parquet", "--json").json
        assert (told["suggestion"]["keys"], told["suggestion"]["timestamp"]) == (["user_id"], "created_at"), name
    assert 'delimiter=";"' not in run(data, "inspect", "plain.csv").out
    EVENTS.write_csv(data / "stars.txt", separator="*")
    ran = run(data, "inspect", "stars.txt", "--format", "csv", "--delimiter", "*")
    assert 'delimiter="*"' in ran.out


def test_inspect_of_files_that_are_not_one_table(data: Path) -> None:
    EVENTS.write_parquet(data / "data/transactions.parquet")
    LABELS.write_parquet(data / "data/labels.parquet")
    said = run(data, "inspect", "data/*s.parquet", code=3).err
    assert said.startswith("error: The files of 'data/*s.parquet' cannot be read as one.")
    assert "'data/labels.parquet', 'data/transactions.parquet'" in said
    assert "Fix: Give one of them" in said


def test_inspect_of_an_unusual_file(data: Path) -> None:
    pl.DataFrame({"nested": [[1, 2], [3]], "s": [{"a": 1}, {"a": 2}], "b": [b"x", None]}).write_parquet(
        data / "odd.parquet"
    )
    assert "No time column was found" in run(data, "inspect", "odd.parquet").out
    assert run(data, "inspect", "odd.parquet", "--json").json["suggestion"] is None
    EVENTS.clear().write_parquet(data / "empty.parquet")
    assert "0 rows" in run(data, "inspect", "empty.parquet").out
    assert "Did you mean" in run(data, "inspect", "data/transaction.parquet", code=3).err
    (data / "broken.parquet").write_bytes(b"PAR1 nothing")
    assert "Traceback" not in run(data, "inspect", "broken.parquet", code=3).err
    (data / "what.xyz").write_text("?")
    assert "format" in run(data, "inspect", "what.xyz", code=3).err


# --- init -------------------------------------------------------------------------------------------------------------


def test_init_proposes_a_project_that_builds(data: Path) -> None:
    ran = run(data, "init")
    assert "Created timefence.toml" in ran.out
    assert run(data, "doctor", "--json").json["healthy"] is True
    run(data, "build", "-o", "train.parquet")
    frame = pl.read_parquet(data / "train.parquet")
    assert frame.height == 4
    assert frame["transactions_latest__amount"].null_count() == 0
    assert frame["transactions_activity__rows_7d"].sum() > 0


def test_init_names_files_that_belong_together_by_their_folder(tmp_path: Path) -> None:
    (tmp_path / "data/payments").mkdir(parents=True)
    for part in range(2):
        EVENTS.write_parquet(tmp_path / f"data/payments/part-{part:05}.parquet")
        EVENTS.write_parquet(tmp_path / f"data/payments/refunds-{part}.parquet")
    LABELS.write_parquet(tmp_path / "labels.parquet")
    ran = run(tmp_path, "init", "--dry-run")
    assert 'payments = tf.Source("data/payments/part*.parquet"' in ran.out
    assert 'refunds = tf.Source("data/payments/refunds*.parquet"' in ran.out
    assert "Only the folder data is looked at, not 'labels.parquet'; --data . looks" in ran.err
    assert re.search(r"^labels\.parquet +labels", run(tmp_path, "init", "--dry-run", "--data", ".").out, re.MULTILINE)


def test_init_twice_changes_nothing(data: Path) -> None:
    run(data, "init")
    (data / "timefence.toml").write_text((data / "timefence.toml").read_text() + "# mine\n")
    ran = run(data, "init")
    assert "already exists" in ran.out
    assert (data / "timefence.toml").read_text().endswith("# mine\n")
    assert run(data, "init", "--json").json["written"] == []


def test_init_leaves_a_feature_file_as_it_is(data: Path) -> None:
    (data / "features.py").write_text("# mine\n")
    assert "features.py exists and is left as it is" in run(data, "init").err
    assert (data / "features.py").read_text() == "# mine\n"
    assert (data / "timefence.toml").is_file()


def test_init_without_data_writes_a_template_that_loads(tmp_path: Path) -> None:
    ran = run(tmp_path, "init", "new/project")
    assert "No data files were found" in ran.out
    assert "  cd new/project\n" in ran.out
    assert (tmp_path / "new/project/timefence.toml").is_file()
    told = run(tmp_path / "new/project", "doctor", "--json", code=1).json
    assert [c["message"] for c in told["checks"] if c["status"] == "FAIL"] == ["features.py declares no feature."]


def test_init_looks_at_so_many_data_sets_only(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "MOST", 1)
    assert "Only the first 1 of 2 data sets are looked at" in run(data, "init", "--dry-run").err


def test_init_dry_run_writes_nothing(data: Path) -> None:
    ran = run(data, "init", "--dry-run")
    assert 'keys="user_id"' in ran.out
    assert sorted(p.name for p in data.iterdir()) == ["data"]
    assert run(data, "init", "nowhere", "--dry-run").code == 0
    assert not (data / "nowhere").exists()


def test_init_tells_labels_sources_and_built_sets_apart(data: Path) -> None:
    LABELS.with_columns(spend__x=1).write_parquet(data / "data/train_old.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(data / "data/settings.parquet")
    (data / "data/broken.parquet").write_bytes(b"no")
    (data / "data/.hidden").mkdir()
    EVENTS.write_parquet(data / "data/.hidden/x.parquet")
    for year in (2023, 2024):
        EVENTS.write_csv(data / f"data/logs_{year}.csv")
    told = run(data, "init", "--json").json
    kinds = {Path(d["path"]).name: d["kind"] for d in told["data"]}
    assert kinds == {
        "labels.parquet": "labels",
        "transactions.parquet": "source",
        "train_old.parquet": "training set",
        "settings.parquet": "not used",
        "broken.parquet": "not used",
        "logs*.csv": "source",
    }
    assert told["problem"] is None


@pytest.mark.parametrize("with_labels", [True, False])
def test_init_proposes_how_to_audit_a_set_that_is_there(data: Path, with_labels: bool) -> None:
    """A set joined by hand to each user's newest transaction: the commands that init prints find the leak."""
    newest = EVENTS.group_by("user_id", maintain_order=True).last().select("user_id", "amount", "shop")
    LABELS.join(newest, on="user_id").write_parquet(data / "data/train_set.parquet")
    if not with_labels:
        (data / "data/labels.parquet").unlink()
    told = run(data, "init", "--json").json
    (data / "timefence.toml").unlink()
    (data / "features.py").unlink()
    ran = run(data, "init")
    (words,) = told["audits"]
    assert shlex.join(words) in ran.out
    assert ("timefence-pl build" in ran.out) is with_labels
    report = run(data, *words[1:], "--json").json
    assert report["features"]["transactions_latest"]["counts"]["future"] == 4


def test_init_proposes_how_to_audit_a_set_like_the_example(churn: Path, tmp_path: Path) -> None:
    shutil.copytree(churn / "data", tmp_path / "data")
    ran = run(tmp_path, "init")
    (line,) = [row.strip() for row in ran.out.splitlines() if "audit data/train_LEAKY" in row]
    told = run(tmp_path, *shlex.split(line)[1:], "--json").json["features"]
    assert list(told) == ["transactions_latest", "users_latest"]
    assert all(f["leaky_row_count"] > 20 for f in told.values())
    assert "No proposed feature" not in ran.out


def test_init_says_of_which_set_no_proposed_feature_is(data: Path) -> None:
    kinds = {"amount": pl.lit(1.0), "shop": pl.lit("a")}
    names = [{f"a__{n}": v, f"b__{n}": v} for n, v in kinds.items()]  # of two features, either may be the latest
    LABELS.with_columns(**names[0], **names[1]).write_parquet(data / "data/train_two.parquet")
    other = {"a__amount": pl.lit(1), "a__shop": pl.lit("a")}  # an integer is no amount
    LABELS.with_columns(**other).write_parquet(data / "data/train_type.parquet")
    ran = run(data, "init")
    for name in ("two", "type"):
        assert f"No proposed feature fits the columns of data/train_{name}.parquet" in ran.out
    assert "timefence-pl audit" not in ran.out


def test_init_maps_a_key_of_another_name_by_its_values(data: Path) -> None:
    EVENTS.rename({"user_id": "customer_id"}).write_parquet(data / "data/transactions.parquet")
    EVENTS.with_columns(pl.format("s{}", "user_id").alias("shop_id")).drop("user_id").write_parquet(
        data / "data/shops.parquet"
    )
    told = run(data, "init", "--json").json
    assert 'key_mapping={"user_id": "customer_id"}' in told["features"]
    assert "its key shop_id is none of the labels' keys" in told["features"]
    assert told["problem"] is None
    run(data, "build", "-o", "train.parquet")
    assert pl.read_parquet(data / "train.parquet")["transactions_latest__amount"].null_count() == 0


def test_init_says_what_does_not_fit_yet(data: Path) -> None:
    EVENTS.with_columns(pl.col("created_at").dt.replace_time_zone("UTC")).write_parquet(
        data / "data/transactions.parquet"
    )
    ran = run(data, "init")
    assert "The proposal does not fit yet" in ran.out
    assert "zone" in ran.out


def test_init_takes_labels_and_data_that_are_named(data: Path) -> None:
    (data / "data/labels.parquet").unlink()
    LABELS.rename({"label_time": "asked_at"}).write_parquet(data / "data/churn_2024.parquet")
    assert run(data, "init", "--dry-run", "--json").json["config"].count("# path") == 1
    told = run(
        data, "init", "--labels", "data/churn_2024.parquet", "--data", "data/transactions.parquet", "--json"
    ).json
    assert 'path = "data/churn_2024.parquet"' in told["config"]
    assert 'target = ["churned"]' in told["config"]
    run(data, "build", "-o", "train.parquet")


@pytest.mark.parametrize("folder", ["proj", "deep/er/proj", "linked"])
@pytest.mark.parametrize("prefix", ["data/", "./data/", "../{here}/data/", "{data}/data/"])
def test_init_takes_paths_as_seen_from_here(data: Path, folder: str, prefix: str) -> None:
    (data / "elsewhere/real").mkdir(parents=True)
    (data / "linked").symlink_to("elsewhere/real")
    prefix = prefix.format(here=data.name, data=data)
    words = ["--labels", f"{prefix}labels.parquet", "--data", f"{prefix}trans*.parquet"]
    told = run(data, "init", folder, *words, "--json").json
    assert [d["kind"] for d in told["data"]] == ["labels", "source"]
    assert told["problem"] is None
    run(data / folder, "build", "-o", "train.parquet")
    assert (data / folder / "train.parquet").is_file()


def test_init_takes_paths_as_seen_from_the_project_where_there_are_none_here(data: Path) -> None:
    for words in (["--labels", "data/labels.parquet"], ["--labels", "./data/labels.parquet", "--data", "data"]):
        told = run(data.parent, "init", data.name, *words, "--json").json
        assert [d["kind"] for d in told["data"]] == ["labels", "source"]
        assert 'path = "data/labels.parquet"' in told["config"]
        (data / "timefence.toml").unlink()


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--json"]], ids=str)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--labels", "lables.parquet"], "--labels 'lables.parquet' is not there."),
        (["--labels", "data/lables.parquet"], "Did you mean 'labels.parquet'?"),
        (["--data", "data/nope*.parquet"], "--data 'data/nope*.parquet' is not there."),
        (["--labels", "/nope.parquet"], "--labels '/nope.parquet' is not there."),
        (["--labels", "broken.parquet"], "broken.parquet' cannot be read."),
    ],
    ids=str,
)
def test_init_says_which_path_is_not_there_and_writes_nothing(
    data: Path, words: list[str], told: str, more: list[str]
) -> None:
    (data / "broken.parquet").write_bytes(b"no")
    before = sorted(data.rglob("*"))
    for folder in (".", "a/b"):
        ran = run(data, "init", folder, *words, *more, code=3)
        assert told in (ran.json["error"]["message"] if more == ["--json"] else ran.err)
        assert sorted(data.rglob("*")) == before


def test_init_of_csv_with_strange_names(tmp_path: Path) -> None:
    frame = EVENTS.rename({"amount": 'the "amount"\tof é', "shop": "class"})
    frame.write_csv(tmp_path / "2024 my-events (new).csv")
    LABELS.write_csv(tmp_path / "labels.csv")
    told = run(tmp_path, "init", "--json").json
    assert told["problem"] is None
    run(tmp_path, "build", "-o", "train.parquet")
    assert pl.read_parquet(tmp_path / "train.parquet").width > 3


# --- doctor -----------------------------------------------------------------------------------------------------------

FEATURES = """import polars as pl
import timefence_pl as tf
txns = tf.Source("data/transactions.parquet", keys="user_id", timestamp="created_at")
amount = tf.Feature(txns, columns="amount", name="amount")
"""
CONFIG = 'labels.path = "data/labels.parquet"\nlabels.keys = ["user_id"]\n'


def doctored(folder: Path, *words: str, code: int) -> dict[str, list[str]]:
    told = run(folder, "doctor", *words, "--json", code=code).json
    assert told["healthy"] is (code == 0)
    found: dict[str, list[str]] = {"OK": [], "WARN": [], "FAIL": []}
    for check in told["checks"]:
        found[check["status"]].append(f"{check['check']}: {check['message']}\n{check['detail']}")
    return found


@pytest.fixture
def healthy(data: Path) -> Path:
    (data / "features.py").write_text(FEATURES)
    (data / "timefence.toml").write_text(CONFIG)
    return data


def test_doctor_of_a_healthy_project(healthy: Path) -> None:
    found = doctored(healthy, code=0)
    assert found["FAIL"] == found["WARN"] == []
    assert any("amount: 4 of 4 label rows match" in line for line in found["OK"])
    ran = run(healthy, "doctor")
    assert "Nothing was found that would fail." in ran.out
    assert not (healthy / ".timefence").exists()
    assert doctored(healthy, "--quick", code=0)["FAIL"] == []


def test_doctor_where_there_is_nothing_yet(tmp_path: Path) -> None:
    found = doctored(tmp_path, code=0)
    assert any("there is none (optional)" in line for line in found["WARN"])
    assert any("duckdb" in line for line in found["OK"])


def _csv(folder: Path) -> None:
    EVENTS.write_csv(folder / "data/transactions.csv")
    LABELS.write_csv(folder / "data/labels.csv")
    (folder / "features.py").write_text(FEATURES.replace(".parquet", ".csv"))
    (folder / "timefence.toml").write_text(CONFIG.replace(".parquet", ".csv"))


def _features(text: str) -> Any:
    return lambda folder: (folder / "features.py").write_text(FEATURES + text)


def _config(text: str) -> Any:
    return lambda folder: (folder / "timefence.toml").write_text(CONFIG + text)


def _events(change: Any) -> Any:
    return lambda folder: EVENTS.with_columns(change).write_parquet(folder / "data/transactions.parquet")


def _labels(change: Any) -> Any:
    return lambda folder: LABELS.with_columns(change).write_parquet(folder / "data/labels.parquet")


def _twice(folder: Path) -> None:
    pl.concat([EVENTS, EVENTS.with_columns(amount=-1.0)]).write_parquet(folder / "data/transactions.parquet")


def _spoilt_store(folder: Path) -> None:
    (folder / ".timefence").mkdir()
    (folder / ".timefence/builds").write_text("no folder")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_config("[defaults]\njoins = 'strict'\n"), "Did you mean 'join'?"),
        (_config("features = ['nope.py']\n"), "There is no feature file"),
        (_features("x = 1 / 0\n"), "line 5: ZeroDivisionError"),
        (_features("b = tf.Feature(txns, columns='amont')\n"), "Did you mean 'amount'?"),
        (
            _features("b = tf.Feature(tf.Source('data/no.parquet', keys='k', timestamp='t'), columns='a')\n"),
            "does not exist",
        ),
        (
            _features(
                "b = tf.Feature(tf.Source('data/transactions.parquet', keys='usr', timestamp='created_at'), columns='amount', name='b')\n"
            ),
            "Did you mean 'user_id'?",
        ),
        (_features("b = tf.Feature(txns, columns='amount', name='b', embargo='400d')\n"), "must be less than"),
        (_features("b = tf.Feature(txns, sql='SELEC x FROM {source}', name='b')\n"), "b:"),
        (
            _features("def b(lf): raise ValueError('planned to fail')\nf = tf.Feature(txns, transform=b)\n"),
            "planned to fail",
        ),
        (
            _features(
                "b = tf.Feature(txns, columns={'amount': 'x__y'}, name='a')\nc = tf.Feature(txns, columns={'amount': 'y'}, name='a__x')\n"
            ),
            "together",
        ),
        (_features("b = tf.Feature(txns, pl.col('shop').cast(pl.Int64).alias('n'), name='b')\n"), "b:"),
        (_events(pl.col("user_id").cast(pl.String)), "amount:"),
        (_events(pl.col("user_id").cast(pl.Float64)), "amount:"),
        (_events(pl.col("created_at").dt.replace_time_zone("UTC")), "zone"),
        (_events(pl.col("created_at").cast(pl.String)), "timestamp_format"),
        (_labels(pl.col("label_time").alias("label_tim")), None),
        (_twice, "duplicate"),
        (lambda folder: (folder / "data/labels.parquet").unlink(), "does not exist"),
        (lambda folder: (folder / "data/labels.parquet").write_bytes(b"PAR1"), "cannot be read"),
        (lambda folder: LABELS.drop("label_time").write_parquet(folder / "data/labels.parquet"), "label_time"),
        (_config("[output]\npath = 'out.xlsx'\n"), "cannot be told from its suffix"),
        (_config("[output]\npath = 'data/labels.parquet'\n"), "is one of the inputs"),
        (_config("[output]\npath = 'features.py/x.parquet'\n"), "is not a folder"),
        (_config("[output]\npath = 'x.parquet'\ncompression = 'rar'\n"), "rar"),
        (
            _config(
                "output.path = 'x.parquet'\n[splits]\na = ['2024-01-01', '2024-03-01']\nb = ['2024-02-01', '2024-05-01']\n"
            ),
            "overlap",
        ),
        (_config("[splits]\na = ['2024-13-01', '2024-03-01']\n"), "line 4: splits.a"),
        (_config("[output]\ncompression = 'rar'\n"), "rar"),
        (_spoilt_store, "builds cannot be written: "),
        (_config("[defaults]\nmax_lookback = '1mo'\n"), "Calendar units"),
        (_config("store = 'features.py'\n"), "store"),
    ],
)
def test_doctor_finds_what_would_fail(healthy: Path, spoil: Any, said: str | None) -> None:
    spoil(healthy)
    if said is None:
        assert doctored(healthy, code=0)["FAIL"] == []
        return
    found = doctored(healthy, code=1)
    assert any(said in line for line in found["FAIL"]), found["FAIL"]
    ran = run(healthy, "doctor", code=1)
    assert "FAIL" in ran.out
    assert "would fail" in ran.out


def test_doctor_sets_in_what_an_error_sets_in(healthy: Path) -> None:
    _features("b = tf.Feature(txns, columns='amount', name='b', embargo='400d')\n")(healthy)
    _labels(pl.col("label_time").dt.replace_time_zone("UTC"))(healthy)
    lines = run(healthy, "doctor", code=1).out.splitlines()
    assert "          Fix (pick one):" in lines
    assert any(line.startswith("            1. ") for line in lines)


def test_doctor_finds_all_faults_at_once(healthy: Path) -> None:
    _features(
        "b = tf.Feature(txns, columns='amont')\n"
        "c = tf.Feature(tf.Source('data/no.parquet', keys='k', timestamp='t'), columns='a')\n"
    )(healthy)
    _config("output.path = 'x.xlsx'\n")(healthy)
    found = doctored(healthy, code=1)
    assert len(found["FAIL"]) == 3
    assert any("amount: 4 of 4" in line for line in found["OK"])


def test_doctor_checks_csv_too(healthy: Path) -> None:
    _csv(healthy)
    assert doctored(healthy, code=0)["FAIL"] == []
    pl.concat([EVENTS, EVENTS.head(3)]).write_csv(healthy / "data/transactions.csv")
    found = doctored(healthy, code=0)
    assert any("6 rows are duplicates in 'user_id', 'created_at'" in line for line in found["WARN"])
    LABELS.drop("user_id").write_csv(healthy / "data/labels.csv")
    assert doctored(healthy, code=1)["FAIL"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            _events(pl.when(pl.col("transaction_id") > 36).then(None).otherwise(pl.col("user_id")).alias("user_id")),
            "3 rows have no user_id",
        ),
        (_events(pl.col("created_at") + timedelta(days=36_500)), "later than today"),
        (_events(pl.col("user_id") + 1000), "0 of 4 label rows match"),
        (
            _labels(pl.when(pl.col("user_id") == 0).then(None).otherwise(pl.col("label_time")).alias("label_time")),
            "1 rows have no label_time",
        ),
        (lambda folder: EVENTS.clear().write_parquet(folder / "data/transactions.parquet"), "no rows in"),
        (lambda folder: LABELS.clear().write_parquet(folder / "data/labels.parquet"), "no rows in"),
        (_config("data_dir = 'dta'\n"), "data_dir dta is not a folder"),
        (_features("b = tf.Feature(txns, columns='amount', name='b', max_lookback='1s')\n"), "4 too old"),
    ],
)
def test_doctor_warns_of_what_may_be_meant(healthy: Path, spoil: Any, said: str) -> None:
    spoil(healthy)
    found = doctored(healthy, code=0)
    assert any(said in line for line in found["WARN"]), found


def test_doctor_without_labels_computes_the_features(healthy: Path) -> None:
    (healthy / "timefence.toml").unlink()
    found = doctored(healthy, code=0)
    assert any("amount: computed from transactions" in line for line in found["OK"])
    _features("def b(lf): raise ValueError('planned to fail')\nf = tf.Feature(txns, transform=b)\n")(healthy)
    assert any("planned to fail" in line for line in doctored(healthy, code=1)["FAIL"])


def test_doctor_knows_the_time() -> None:
    now = datetime.now(UTC)
    assert not _is_later_than_today(now.replace(tzinfo=None))
    assert not _is_later_than_today(5)
    assert _is_later_than_today((now + timedelta(days=3)).date())


# --- a configuration in another folder --------------------------------------------------------------------------------


@pytest.fixture
def beside(data: Path) -> Path:
    """A project that `init` proposed, in a folder beside its data."""
    run(data, "init", "p3", "--labels", "data/labels.parquet", "--data", "data/transactions.parquet")
    return data


CONFIGURED = ("--config", "p3/timefence.toml")


def test_a_named_configuration_is_used_as_if_started_in_its_folder(beside: Path) -> None:
    run(beside, *CONFIGURED, "doctor")
    assert "Written   out/train.parquet" in run(beside, *CONFIGURED, "build", "-o", "out/train.parquet").out
    assert sorted(p.name for p in beside.iterdir()) == ["data", "out", "p3"]
    there = run(beside, "-C", "p3", "build", "-o", "there.parquet", "--json").json
    assert (
        there["output"]["content_hash"]
        == f"xxh3_128:{xxh3_128((beside / 'out/train.parquet').read_bytes()).hexdigest()}"
    )
    assert all(f["cached"] for f in there["features"].values())
    for words in (["catalog"], ["lint"], ["explain", "--row", "0"], ["store", "verify"]):
        assert run(beside, *CONFIGURED, *words).out == run(beside, "-C", "p3", *words).out.replace(
            ".timefence", "p3/.timefence"
        )


def test_paths_beside_a_named_configuration_are_seen_from_here(beside: Path) -> None:
    run(beside, *CONFIGURED, "build", "-o", "other.parquet", "--store", "mine")
    assert (beside / "mine/builds").is_dir()
    run(beside, *CONFIGURED, "build", "-o", "train.parquet")
    ran = run(beside, *CONFIGURED, "audit", "train.parquet", "--strict", "--html", "a.html", "--sarif", "a.sarif")
    assert "Written a.html" in ran.out
    assert (beside / "a.html").is_file()
    run(beside, *CONFIGURED, "diff", "train.parquet", "train.parquet", "--strict")
    run(
        beside,
        *CONFIGURED,
        "build",
        "--features",
        "p3/features.py",
        "--labels",
        "data/labels.parquet",
        "-o",
        "o.parquet",
    )
    assert (beside / "o.parquet").is_file()
    run(beside, *CONFIGURED, "features", "publish", "train", "train.parquet", "--keys", "user_id")
    assert "train:v1" in run(beside, *CONFIGURED, "store", "lineage", "data/labels.parquet", "--down").out
    ran = run(beside, *CONFIGURED, "build", "-o", "data/labels.parquet", code=4)
    assert "one of the build's own inputs" in ran.err
    run(beside, *CONFIGURED, "audit", "train.parquet", "--html", "p3/features.py", code=4)
    assert "gone.parquet" in run(beside, *CONFIGURED, "audit", "gone.parquet", code=3).err


def test_findings_beside_a_named_configuration_name_files_as_seen_from_here(beside: Path) -> None:
    with (beside / "p3/features.py").open("a") as file:
        file.write(
            '\nimport polars as pl\nahead = tf.Feature(transactions, pl.col("amount").shift(-1), name="ahead")\n'
        )
    run(beside, *CONFIGURED, "lint", "--sarif", "lint.sarif")
    assert '"uri": "p3/features.py"' in (beside / "lint.sarif").read_text()
    with (beside / "p3/features.py").open("a") as file:
        file.write("\n1 / 0\n")
    assert "p3/features.py, line " in run(beside, *CONFIGURED, "catalog", code=2).err


def test_output_of_a_named_configuration(beside: Path) -> None:
    for told, made in (('path = "x.parquet"', "x.parquet"), ('dir = "art"\npath = "x.parquet"', "art/x.parquet")):
        config = (beside / "p3/timefence.toml").read_text().split("\n[output]")[0]
        (beside / "p3/timefence.toml").write_text(f"{config}\n[output]\n{told}\n")
        run(beside, *CONFIGURED, "doctor")
        run(beside, *CONFIGURED, "build")
        assert (beside / "p3" / made).is_file()
    run(beside, *CONFIGURED, "build", "-o", "y.parquet")
    assert (beside / "p3/art/y.parquet").is_file()
