"""The example of ``quickstart``: a churn project whose training set was joined carelessly.

Takes a folder and a size, writes data, features and configuration; the same every time. Users who churn stop buying
and cancel their plan *after* the label time, so every look into the future gives the label away.

The leaking training set is made by plain Polars joins, as they are often written; three of its four features leak.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

__all__ = ["LEAKING", "NEXT", "write_churn"]

#: The features that the training set leaks through.
LEAKING: Final = ("user_profile", "rolling_spend_30d", "last_purchase")
#: What to do next, in the project's folder.
NEXT: Final = (
    "timefence-pl audit data/train_LEAKY.parquet",
    "timefence-pl build -o data/train_CLEAN.parquet",
    "timefence-pl audit data/train_CLEAN.parquet",
)

_BEGIN: Final = datetime(2022, 1, 1)  # noqa: DTZ001 - the example's times are naive
_FIRST_LABEL: Final = datetime(2023, 6, 1)  # noqa: DTZ001
_DAYS_OF_LABELS: Final = 540
_END: Final = datetime(2025, 3, 1)  # noqa: DTZ001
_COUNTRIES: Final = ("US", "UK", "DE", "FR", "JP")
_PLANS: Final = ("free", "pro", "enterprise")

_FEATURES: Final = '''"""The features of the churn example."""

import polars as pl

import timefence_pl as tf

# A new row is written whenever a user's profile is touched; the latest before the label counts.
users = tf.Source("data/users.parquet", keys="user_id", timestamp="updated_at")

transactions = tf.Source("data/transactions.parquet", keys="user_id", timestamp="created_at")

user_profile = tf.Feature(users, columns=["country", "plan"], name="user_profile")

# The nightly job that sums up transactions is a day late: a value is usable one day after its time.
rolling_spend_30d = tf.Feature(
    transactions,
    pl.col("amount").rolling_sum_by("created_at", "30d").over("user_id").alias("spend_30d"),
    name="rolling_spend_30d",
    embargo="1d",
)

last_purchase = tf.Feature(transactions, columns={"amount": "amount"}, name="last_purchase")

# Aggregates of the days before each label: of the label, not of the last transaction.
activity = tf.Window(
    transactions,
    {"purchases": pl.len(), "largest": pl.col("amount").max()},
    windows=["30d", "90d"],
    name="activity",
    embargo="1d",
)
'''

_CONFIG: Final = """name = "churn-example"
version = "1.0"
data_dir = "data"
features = ["features.py"]
store = ".timefence"

[labels]
path = "data/labels.parquet"
keys = ["user_id"]
label_time = "label_time"
target = ["churned"]

[defaults]
max_lookback = "365d"
join = "strict"
on_missing = "null"
"""

_README: Final = """# Churn example

Will a user stop buying in the month after `label_time`? `data/labels.parquet` has one such question a user.

1. Find what leaks in the training set that was joined carelessly:

   ```bash
   {0}
   ```

2. Build a clean one:

   ```bash
   {1}
   ```

3. Check it:

   ```bash
   {2}
   ```

How `data/train_LEAKY.parquet` went wrong:

| feature | what was done | what it tells of the future |
|---|---|---|
| `user_profile` | the newest row of the users table was joined | users who churned have the plan `cancelled` |
| `rolling_spend_30d` | the nearest transaction up to two weeks after the label was joined | who stays keeps spending |
| `last_purchase` | "the same week" was close enough | users who churned buy no more |
| `activity` | nothing: it was computed as of each label | |
"""


def write_churn(folder: Path, *, minimal: bool = False) -> list[Path]:
    """Write the project.

    Args:
        folder: Its folder, made where it is missing.
        minimal: A tenth of the users.

    Returns:
        The files written.
    """
    users, transactions, labels = _tables(500 if minimal else 5_000)
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    files = []
    frames = {
        "users": users,
        "transactions": transactions,
        "labels": labels,
        "train_LEAKY": _leaking(users, transactions, labels),
    }
    for name, frame in frames.items():
        files.append(data / f"{name}.parquet")
        frame.write_parquet(files[-1])
    texts = {
        "features.py": _FEATURES,
        "timefence.toml": _CONFIG,
        "README.md": _README.format(*NEXT),
        ".gitignore": ".timefence/\n",
    }
    for name, text in texts.items():
        files.append(folder / name)
        files[-1].write_text(text, encoding="utf-8")
    return files


def _tables(count: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Users' profile rows, transactions and labels; only ``Random.random`` is used, which never changes."""
    import polars as pl  # noqa: PLC0415 - help needs none

    draw = Random(7).random  # noqa: S311 - an example's data
    profiles: list[tuple[int, str, str, datetime]] = []
    bought: list[tuple[int, datetime, float]] = []
    labels: list[tuple[int, datetime, bool]] = []
    for user in range(1, count + 1):
        label_time = _FIRST_LABEL + timedelta(seconds=int(draw() * _DAYS_OF_LABELS * 86_400))
        churned = draw() < 0.25
        labels.append((user, label_time, churned))
        last = label_time if churned else _END
        country, plan = _COUNTRIES[int(draw() * 5)], _PLANS[int(draw() * 3)]
        at = _BEGIN + timedelta(seconds=int(draw() * 200 * 86_400))
        while at < last:
            profiles.append((user, country, plan, at))
            plan = plan if draw() < 0.9 else _PLANS[int(draw() * 3)]
            at += timedelta(seconds=int((60 + 120 * draw()) * 86_400))
        if churned:
            left = label_time + timedelta(seconds=int((1 + 20 * draw()) * 86_400))
            profiles.append((user, country, "cancelled", left))
        every = 6 + 30 * draw()  # days from one purchase to the next, on average
        at = _BEGIN + timedelta(seconds=int(draw() * every * 86_400))
        while at < last:
            bought.append((user, at, round(5 + 60 * draw() * draw(), 2)))
            at += timedelta(seconds=1 + int(2 * every * draw() * 86_400))
    times = pl.Datetime("us")
    return (
        pl.DataFrame(
            profiles,
            schema={"user_id": pl.Int64, "country": pl.String, "plan": pl.String, "updated_at": times},
            orient="row",
        ),
        pl.DataFrame(
            bought, schema={"user_id": pl.Int64, "created_at": times, "amount": pl.Float64}, orient="row"
        ).sort("created_at", maintain_order=True),
        pl.DataFrame(labels, schema={"user_id": pl.Int64, "label_time": times, "churned": pl.Boolean}, orient="row"),
    )


def _leaking(users: pl.DataFrame, transactions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """The careless training set."""
    import polars as pl  # noqa: PLC0415

    import timefence_pl as tf  # noqa: PLC0415

    newest = users.group_by("user_id", maintain_order=True).last()
    profile = newest.select("user_id", pl.col("country", "plan").name.prefix("user_profile__"))
    spent = transactions.select(
        "user_id",
        "created_at",
        pl.col("amount").rolling_sum_by("created_at", "30d").over("user_id").alias("rolling_spend_30d__spend_30d"),
        pl.col("amount").alias("last_purchase__amount"),
    )
    activity = tf.Window(
        tf.Source(transactions, keys="user_id", timestamp="created_at", name="transactions"),
        {"purchases": pl.len(), "largest": pl.col("amount").max()},
        windows=["30d", "90d"],
        name="activity",
        embargo="1d",
    )
    right = tf.point_in_time(tf.Labels(labels, keys="user_id", label_time="label_time"), activity)
    frame = right.collect().with_row_index("row")
    for days, column in ((14, "rolling_spend_30d__spend_30d"), (7, "last_purchase__amount")):
        later = frame.select("row", "user_id", at=pl.col("label_time") + pl.duration(days=days)).sort("at")
        found = later.join_asof(
            spent.select("user_id", "created_at", column),
            left_on="at",
            right_on="created_at",
            by="user_id",
            check_sortedness=False,
        )
        frame = frame.join(found.select("row", column), on="row", how="left", maintain_order="left")
    joined = frame.join(profile, on="user_id", how="left", maintain_order="left")
    names = [n for n in joined.columns if n.split("__")[0] in ("user_profile", "rolling_spend_30d", "last_purchase")]
    ordered = sorted(
        names, key=lambda n: ("user_profile", "rolling_spend_30d", "last_purchase").index(n.split("__")[0])
    )
    return joined.select(*labels.columns, *ordered, pl.col("^activity__.*$"))
