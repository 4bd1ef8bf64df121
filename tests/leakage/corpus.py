"""Expressions, transforms and queries as people write them, by whether they look ahead.

Beside the methods one by one (``methods``): the idioms of the Polars user guide's pages on window functions, rolling and
dynamic groups and aggregation, as features over events in time order, and those of feature engineering.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl

from tests.leakage.methods import AT, DAY, FLAG, KIND, LATE, N, X, Y

Transform = Callable[[pl.LazyFrame], pl.LazyFrame]

CLEAN = {
    "the value": X,
    "a ratio of columns": X / (Y + 1),
    "a choice": pl.when(FLAG).then(X).otherwise(-X),
    "the first known of two": pl.coalesce(X, Y),
    "the row's largest": pl.max_horizontal("x", "y"),
    "the row's mean": pl.mean_horizontal("x", "y"),
    "a struct": pl.struct("x", "kind"),
    "a text": pl.format("{}-{}", "kind", "n"),
    "the hour": AT.dt.hour(),
    "a weekend": AT.dt.weekday() > 5,
    "time since midnight": AT - AT.dt.truncate("1d"),
    "days to the end of the month": (AT.dt.month_end().dt.date() - AT.dt.date()).dt.total_days(),
    "the value before": X.shift(1).over("user"),
    "the value before, filled": X.shift(1, fill_value=0).over("user"),
    "the change": (X - X.shift(1)).over("user"),
    "the relative change": (Y / Y.shift(1) - 1).over("user"),
    "the log return": (Y.log() - Y.log().shift(1)).over("user"),
    "the step": Y.diff(2).over("user"),
    "the change in per cent": Y.pct_change().over("user"),
    "time since the event before": AT.diff().over("user"),
    "time since the first event": AT - AT.min().over("user"),
    "days since the first event": (DAY - DAY.first().over("user")).dt.total_days(),
    "the share of the first value": Y / Y.first().over("user"),
    "above the first value": (Y.first() < Y).over("user"),
    "the first value of all": Y - Y.first(),
    "the first event": AT.min().over("user") == AT,
    "the first value by an order": Y.sort_by("at").first().over("user"),
    "the first row's number": N.head(1).first().over("user"),
    "number of the event": pl.int_range(pl.len()).over("user"),
    "number of the event, from one": pl.int_range(1, pl.len() + 1).over("user"),
    "number of the event of its kind": KIND.cum_count().over("user", "kind"),
    "kinds so far": KIND.is_first_distinct().cum_sum().over("user"),
    "a new kind": KIND.is_first_distinct().over("user"),
    "flags so far": FLAG.cum_sum().over("user"),
    "the share of flags so far": (FLAG.cum_sum() / FLAG.cum_count()).over("user"),
    "the mean so far": (X.cum_sum() / X.cum_count()).over("user"),
    "the mean before": (X.shift(1).cum_sum() / X.shift(1).cum_count()).over("user"),
    "the largest so far": X.cum_max().over("user"),
    "below the largest so far": (Y / Y.cum_max() - 1).over("user"),
    "a target encoding so far": (FLAG.cast(pl.Float64).shift(1).cum_sum() / FLAG.shift(1).cum_count()).over("kind"),
    "the sum of all so far": X.cum_sum(),
    "a median so far": X.cumulative_eval(pl.element().median()).over("user"),
    "a rank so far": Y.cumulative_eval(pl.element().rank().last()),
    "the last known value": X.forward_fill().over("user"),
    "the last known value, three rows long": X.forward_fill(3).over("user"),
    "zero where nothing is known": X.fill_null(strategy="zero"),
    "a run": KIND.rle_id().over("user"),
    "rows since the run began": pl.int_range(pl.len()).over("user", KIND.rle_id().over("user")),
    "the kind before another": KIND.ne_missing(KIND.shift(1)).over("user"),
    "a mean of three": X.rolling_mean(3, min_samples=1).over("user"),
    "a weighted mean": X.fill_null(0).rolling_mean(3, weights=[0.2, 0.3, 0.5]),
    "the mean of the three before": X.shift(1).rolling_mean(3, min_samples=1).over("user"),
    "a score in a window": ((Y - Y.rolling_mean(5)) / Y.rolling_std(5)).over("user"),
    "a window of a week": X.rolling_mean_by("at", "7d").over("user"),
    "a window of a week before": X.rolling_sum_by("at", "7d", closed="left").over("user"),
    "an open window": X.rolling_sum_by("at", "7d", closed="none").over("user"),
    "a closed window": X.rolling_sum_by("at", "7d", closed="both").over("user"),
    "a calendar window": X.rolling_sum_by("at", "1mo").over("user"),
    "events in a day": pl.len().rolling("at", period="1d").over("user"),
    "kinds in a week": KIND.n_unique().rolling("at", period="7d").over("user"),
    "the span in a week": (X.max() - X.min()).rolling("at", period="7d").over("user"),
    "the first of a week": Y.first().rolling("at", period="7d").over("user"),
    "a quantile in a week": Y.quantile(0.9).rolling("at", period="7d"),
    "a window ended a day ago": X.sum().rolling("at", period="6d", offset="-7d").over("user"),
    "an aggregate of some in a week": X.filter(FLAG).sum().rolling("at", period="7d").over("user"),
    "a rank in a window": Y.rolling_rank(5).over("user"),
    "a correlation in a window": pl.rolling_corr("y", "n", window_size=5),
    "an exponential mean": Y.ewm_mean(half_life=3).over("user"),
    "an exponential mean by time": Y.ewm_mean_by("at", half_life="3d").over("user"),
    "the mean at the same time": X.mean().over("at"),
    "a rank at the same time": X.rank().over("at"),
    "the change of the mean at one time": X.mean().over("at").diff(),
    "the largest of a window's sum so far": Y.sum().rolling("at", period="3d").cum_max(),
    "a share at the same time": X / X.sum().over("user", "at"),
    "events at the same time": pl.len().over("at", "user"),
    "in an order by time": X.cum_sum().over("user", order_by="at"),
    "before in an order by time": X.shift(1).over("user", order_by="at"),
    "sorted by time": X.sort_by("at", maintain_order=True).shift(1).over("user"),
    "in an order by time and more": Y.cum_sum().over("user", order_by=["at", "n"]),
    "from the end in a reversed order": Y.shift(-1).over("user", order_by="at", descending=True),
    "a sum from the end of a reversed order": Y.cum_sum(reverse=True).over("user", order_by="at", descending=True),
    "a list's own rank": pl.concat_list("x", "y").list.eval(pl.element().rank()),
    "fixed edges": X.bin_intervals([5, 10], labels=["low", "middle", "high"]),
    "a lookup": KIND.replace_strict({"apple": 1.5, "banana": 2.5}, default=None),
    "a flag of a set": KIND.is_in(["apple", "cherry"]),
    "a constant": pl.lit(1.0).alias("one"),
    "a constant's aggregate": X * pl.lit(2).max(),
    "a Python function of one value": X.map_elements(lambda v: f"{v:.1f}", return_dtype=pl.String),
    "a Python function of a window": Y.rolling_map(lambda s: float(s.sum()), 3),
}

LEAKING = {
    # The user guide: window functions
    "a rank within a group": X.rank("dense", descending=True).over("kind"),
    "a rank within two groups": X.rank("dense", descending=True).over("kind", "user"),
    "a column sorted within its group": Y.sort_by("n").over("user"),
    "a column sorted within its group, falling": Y.sort_by("n", descending=True).over("user"),
    "a sorted list for each row": Y.sort().over("user", mapping_strategy="join"),
    "all values of the group": Y.over("user", mapping_strategy="join"),
    "the mean of the group": X.mean().over("kind"),
    "the mean of two groups": X.mean().over(["kind", "user"]),
    "less the mean of all": X - X.mean(),
    # ... and its other pages
    "how many of a kind": (KIND == "apple").sum().over("user"),
    "the mean of some": X.filter(KIND == "apple").mean().over("user"),
    "the last by an order": KIND.sort_by("n").last().over("user"),
    "the first by an order of values": Y.sort_by("n").first().over("user"),
    "the first by name": KIND.sort().first().over("user"),
    "the first known value": pl.when(LATE).then(X).first(ignore_nulls=True).over("user"),
    "a count from the end": KIND.cum_count(reverse=True).over("user"),
    "the position from the end": KIND.cum_count().reverse().over("user"),
    "an interpolated value": X.interpolate().over("user"),
    "a filled mean": X.fill_null(strategy="mean"),
    "filled from the mean": X.fill_null(X.mean()),
    "filled from the next": X.fill_null(strategy="backward").over("user"),
    # Feature engineering
    "the value after": X.shift(-1).over("user"),
    "the change to come": (X.shift(-1) - X).over("user"),
    "the return to come": (Y.shift(-3) / Y - 1).over("user"),
    "the step to come": Y.diff(-1).over("user"),
    "the change in per cent to come": Y.pct_change(-1).over("user"),
    "time to the next event": (AT.shift(-1) - AT).over("user"),
    "time to the last event": AT.max().over("user") - AT,
    "days since the last event of all": (AT.max() - AT).dt.total_days(),
    "the last value": X.last().over("user"),
    "the last event": AT.max().over("user") == AT,
    "events of the user": pl.len().over("user"),
    "the number of the event as a share": pl.int_range(pl.len()).over("user") / pl.len().over("user"),
    "the number of the event from the end": pl.int_range(pl.len(), 0, -1).over("user"),
    "a standard score": (X - X.mean()) / X.std(),
    "a standard score of the user": ((Y - Y.mean()) / Y.std()).over("user"),
    "a scale from 0 to 1": (Y - Y.min()) / (Y.max() - Y.min()),
    "a robust scale": (Y - Y.median()) / (Y.quantile(0.75) - Y.quantile(0.25)),
    "a share of the total": Y / Y.sum().over("user"),
    "a percentile": Y.rank() / pl.len(),
    "quantile bins": Y.bin_quantiles(4, labels=False),
    "a target encoding": FLAG.mean().over("kind"),
    "a smoothed target encoding": (FLAG.sum().over("kind") + 3) / (pl.len().over("kind") + 10),
    "a frequency encoding": pl.len().over("kind") / pl.len(),
    "a leave-one-out encoding": (FLAG.sum().over("kind") - FLAG) / (pl.len().over("kind") - 1),
    "a rare kind": pl.len().over("kind", "user") < 8,
    "an outlier": Y.quantile(0.95) < Y,
    "a seen-again kind": N.is_duplicated().over("user"),
    "the last of its kind": KIND.is_last_distinct().over("user"),
    "a peak": Y.peak_max().over("user"),
    "kinds of the user": KIND.n_unique().over("user"),
    "in the user's later kinds": KIND.is_in(KIND.filter(LATE).implode()),
    "a centred mean": Y.rolling_mean(5, center=True).over("user"),
    "a centred median": Y.rolling_median(5, center=True, min_samples=1).over("user"),
    "a window turned around": Y.reverse().rolling_mean(3).reverse().over("user"),
    "the largest to come": Y.reverse().cum_max().reverse().over("user"),
    "a sum to come": Y.cum_sum(reverse=True).over("user"),
    "a week to come": X.sum().rolling("at", period="7d", offset="0d", closed="right").over("user"),
    "a window around": X.sum().rolling("at", period="2d", offset="-1d").over("user"),
    "a day in the week to come": pl.len().rolling("at", period="1d", offset="3d").over("user"),
    "a window by another column": Y.rolling_mean_by("n", "5i"),
    "an order by value": Y.cum_sum().over("user", order_by="n"),
    "before in an order by value": Y.shift(1).over("user", order_by="n"),
    "after in an order by time": Y.shift(-1).over("user", order_by="at"),
    "before in a reversed order": Y.shift(1).over("user", order_by="at", descending=True),
    "a sum in a reversed order": Y.cum_sum().over("user", order_by="at", descending=True),
    "the mean of the day": X.mean().over("user", "day"),
    "the total of the day": X.sum().over("user", AT.dt.date()),
    "a rank of the day": Y.rank().over("day"),
    "the mean of the week": X.mean().over(AT.dt.truncate("1w")),
    "the third value": Y.get(20, null_on_oob=True).over("user"),
    "the value at the end": Y.get(-1).over("user"),
    "the value where another is largest": Y.max_by("n").over("user"),
    "a later mean of one time": X.mean().over("at").shift(-1),
    "a place of a mean of one time": Y.mean().over("at").rank().over("user"),
    "a rank of a window's sum": Y.sum().rolling("at", period="3d").rank(),
    "a mean of a window's mean": Y.mean().rolling("at", period="3d").mean().over("user"),
    "drawn": Y.shuffle(seed=1),
    "the sum at a set's end": pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(Y).otherwise(0),
    "a value's place among all": Y.arg_sort().arg_sort(),
    "the entropy of kinds": Y.entropy().over("user"),
    "the correlation of all": Y - pl.corr("y", "n"),
    "the mean of what a kind has": X.mean().over("kind").shift(1).over("user"),
    "a spread of all hidden in a choice": pl.when(Y.std() < Y).then(1).otherwise(0),
}


def daily(label: str) -> Transform:
    def totals(frame: pl.LazyFrame) -> pl.LazyFrame:
        grouped = frame.group_by_dynamic("at", every="1d", group_by="user", label=label)  # type: ignore[arg-type]
        return grouped.agg(X.sum())

    return totals


def daily_moved(frame: pl.LazyFrame) -> pl.LazyFrame:
    grouped = frame.group_by_dynamic("at", every="1d", group_by="user").agg(X.sum())
    return grouped.with_columns(AT.dt.offset_by("1d"))


def daily_by_truncation(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.group_by("user", AT.dt.truncate("1d")).agg(X.sum())


def daily_by_truncation_moved(frame: pl.LazyFrame) -> pl.LazyFrame:
    stamped = (AT.dt.truncate("1d") + dt.timedelta(days=1)).alias("feature_time")
    return frame.group_by("user", stamped).agg(X.sum())


def daily_by_date(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.group_by("user", AT.dt.date().alias("feature_time")).agg(X.sum(), n=pl.len())


def hourly_sums(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.rolling("at", period="36h", group_by="user").agg(X.sum(), pl.len().alias("n"))


def sums_ahead(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.rolling("at", period="36h", offset="0h", group_by="user").agg(X.sum())


def sums_around(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.rolling("at", period="36h", offset="-12h", group_by="user").agg(X.sum())


def lags(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "at", *(Y.shift(i).over("user").alias(f"lag_{i}") for i in (1, 2, 3)))


def leads(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "at", *(Y.shift(-i).over("user").alias(f"lead_{i}") for i in (1, 2)))


def sorted_by_user(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.sort("user", "at", maintain_order=True).select("user", "at", Y.cum_sum().over("user"))


def sorted_backwards(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.sort("at", descending=True).select("user", "at", Y.cum_sum().over("user"))


def sorted_backwards_and_summed_up(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.sort("at", descending=True).select("user", "at", Y.shift(-1).over("user"))


def sorted_by_value(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.sort("n").select("user", "at", Y.cum_sum().over("user"))


def sorted_by_user_and_summed(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.sort("user", "at").select("user", "at", Y.cum_sum())


def target_encoding(frame: pl.LazyFrame) -> pl.LazyFrame:
    means = frame.group_by("kind").agg(FLAG.mean().alias("encoded"))
    return frame.join(means, on="kind").select("user", "at", "encoded")


def target_encoding_so_far(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(encoded=(FLAG.cum_sum() / FLAG.cum_count()).over("kind")).select("user", "at", "encoded")


def since_first_joined(frame: pl.LazyFrame) -> pl.LazyFrame:
    first = frame.group_by("user").agg(AT.min().alias("first_at"))
    return frame.join(first, on="user", how="left").select("user", "at", since=AT - pl.col("first_at"))


def first_events(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.group_by("user", maintain_order=True).agg(AT.first(), Y.first())


def last_events(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.group_by("user").agg(AT.last(), Y.last())


def totals_at_the_last_event(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.group_by("user").agg(AT.max(), Y.sum())


def first_of_each(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.unique("user", keep="first", maintain_order=True).select("user", "at", "y")


def last_of_each(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.unique("user", keep="last", maintain_order=True).select("user", "at", "y")


def only_single_kinds(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.unique(["user", "n"], keep="none").select("user", "at", "y")


def large_ones(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(X > 9).select("user", "at", "x")


def larger_than_most(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(Y.quantile(0.5).over("user") < Y).select("user", "at", "y")


def latest_of_all(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.tail(100).select("user", "at", "y")


def earliest_of_all(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.head(100).select("user", "at", "y")


def as_of_before(frame: pl.LazyFrame) -> pl.LazyFrame:
    fruit = frame.filter(KIND == "apple").select("at", apple=Y)
    return frame.join_asof(fruit, on="at").select("user", "at", "apple")


def as_of_after(frame: pl.LazyFrame) -> pl.LazyFrame:
    fruit = frame.filter(KIND == "apple").select("at", apple=Y)
    return frame.join_asof(fruit, on="at", strategy="forward").select("user", "at", "apple")


def as_of_nearest(frame: pl.LazyFrame) -> pl.LazyFrame:
    fruit = frame.filter(KIND == "apple").select("at", apple=Y)
    return frame.join_asof(fruit, on="at", strategy="nearest").select("user", "at", "apple")


def with_all_others(frame: pl.LazyFrame) -> pl.LazyFrame:
    others = frame.select("user", other=Y)
    return frame.join(others, on="user").select("user", "at", "other")


def with_those_before(frame: pl.LazyFrame) -> pl.LazyFrame:
    others = frame.select(user_2="user", at_2="at", other=Y)
    pairs = frame.join_where(others, pl.col("user") == pl.col("user_2"), pl.col("at_2") < AT)
    return pairs.select("user", "at", "other")


def with_the_same_time(frame: pl.LazyFrame) -> pl.LazyFrame:
    totals = frame.group_by("at").agg(total=N.sum())
    return frame.join(totals, on="at", how="left").select("user", "at", share=N / pl.col("total"))


def with_the_days_total(frame: pl.LazyFrame) -> pl.LazyFrame:
    days = frame.with_columns(today=AT.dt.date())
    totals = days.group_by("user", "today").agg(total=N.sum())
    return days.join(totals, on=["user", "today"]).select("user", "at", "total")


def with_the_last_whole_days_total(frame: pl.LazyFrame) -> pl.LazyFrame:
    days = frame.with_columns(today=AT.dt.date())
    totals = days.group_by("user", "today").agg(total=N.sum()).with_columns(pl.col("today").dt.offset_by("1d"))
    return days.join(totals, on=["user", "today"], how="left").select("user", "at", "total")


def with_the_hours_total_in_whole_hours(frame: pl.LazyFrame) -> pl.LazyFrame:
    hours = frame.with_columns(hour=AT.dt.truncate("6h"))
    totals = hours.group_by("user", "hour").agg(total=N.sum())
    return hours.join(totals, on=["user", "hour"]).select("user", "at", "total")


def daily_as_of(frame: pl.LazyFrame) -> pl.LazyFrame:
    totals = frame.group_by_dynamic("at", every="1d").agg(total=N.sum())
    return frame.join_asof(totals, on="at").select("user", "at", "total")


def daily_as_of_when_whole(frame: pl.LazyFrame) -> pl.LazyFrame:
    totals = frame.group_by_dynamic("at", every="1d", label="right").agg(total=N.sum())
    return frame.join_asof(totals, on="at").select("user", "at", "total")


def first_seen_of_another(frame: pl.LazyFrame) -> pl.LazyFrame:
    first = frame.group_by("n").agg(first=AT.min())
    others = frame.with_columns(other=N * 7 % 40)
    return others.join(first, left_on="other", right_on="n").select("user", "at", "first")


def earliest_hour(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "at", earliest=AT.cast(pl.Time).min().over("user"))


def stamped_earlier(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "y", feature_time=AT - dt.timedelta(hours=6))


def stamped_later(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "y", feature_time=AT.dt.offset_by("6h"))


def the_next_value_stamped_when_known(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "at", y=Y.diff().over("user"))


def renamed(frame: pl.LazyFrame) -> pl.LazyFrame:
    moved = frame.rename({"at": "t", "y": "value"}).with_columns(pl.col("value").cum_sum().over("user"))
    return moved.rename({"t": "at"}).select("user", "at", "value")


def backward_filled(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "at", pl.when(N > 30).then(X)).fill_null(strategy="backward")


def forward_filled(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "at", "x").fill_null(strategy="forward")


def interpolated(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("user", "at", x=pl.when(N > 30).then(X)).with_columns(X.interpolate())


def numbered(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_row_index("row").select("user", "at", "row")


def turned_and_numbered(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.reverse().with_row_index("row").select("user", "at", "row")


def exploded(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.explode("lists").select("user", "at", "lists")


def both_halves(frame: pl.LazyFrame) -> pl.LazyFrame:
    parts = [frame.filter(FLAG).select("user", "at", y=Y), frame.filter(~FLAG).select("user", "at", y=-Y)]
    return pl.concat(parts)


def weekly_kinds(frame: pl.LazyFrame) -> pl.LazyFrame:
    grouped = frame.group_by_dynamic("at", every="1w", period="2w", group_by="user", label="right")
    return grouped.agg(KIND.n_unique(), KIND.sort_by("n").last().alias("top"))


def daily_then_lagged(frame: pl.LazyFrame) -> pl.LazyFrame:
    totals = frame.group_by_dynamic("at", every="1d", group_by="user", label="right").agg(X.sum())
    return totals.with_columns(before=X.shift(1).over("user"))


def daily_then_led(frame: pl.LazyFrame) -> pl.LazyFrame:
    totals = frame.group_by_dynamic("at", every="1d", group_by="user", label="right").agg(X.sum())
    return totals.with_columns(after=X.shift(-1).over("user"))


CLEAN_TRANSFORMS: dict[str, Transform] = {
    t.__name__: t
    for t in (
        daily_moved,
        daily_by_truncation_moved,
        daily_by_date,
        hourly_sums,
        lags,
        sorted_by_user,
        sorted_backwards_and_summed_up,
        target_encoding_so_far,
        since_first_joined,
        first_events,
        first_of_each,
        large_ones,
        earliest_of_all,
        as_of_before,
        with_those_before,
        with_the_same_time,
        with_the_last_whole_days_total,
        daily_as_of_when_whole,
        stamped_later,
        the_next_value_stamped_when_known,
        renamed,
        forward_filled,
        numbered,
        exploded,
        both_halves,
        weekly_kinds,
        daily_then_lagged,
    )
}
CLEAN_TRANSFORMS["daily, stamped at the end"] = daily("right")

LEAKING_TRANSFORMS: dict[str, Transform] = {
    t.__name__: t
    for t in (
        daily_by_truncation,
        sums_ahead,
        sums_around,
        leads,
        sorted_backwards,
        sorted_by_value,
        target_encoding,
        last_events,
        totals_at_the_last_event,
        last_of_each,
        only_single_kinds,
        larger_than_most,
        latest_of_all,
        as_of_after,
        as_of_nearest,
        with_all_others,
        with_the_days_total,
        with_the_hours_total_in_whole_hours,
        daily_as_of,
        first_seen_of_another,
        earliest_hour,
        stamped_earlier,
        backward_filled,
        interpolated,
        turned_and_numbered,
        daily_then_led,
        sorted_by_user_and_summed,
    )
}
LEAKING_TRANSFORMS["daily, stamped at the start"] = daily("left")
LEAKING_TRANSFORMS["daily, stamped at the first event"] = daily("datapoint")

_SELECT = 'SELECT "user", "at", {} AS value FROM {{source}}'
_OVER = 'OVER (PARTITION BY "user" ORDER BY "at")'
_ROWS = 'OVER (PARTITION BY "user" ORDER BY "at" ROWS BETWEEN {} AND {})'

CLEAN_SQL = {
    "the value": _SELECT.format("y"),
    "the mean so far": _SELECT.format(f"AVG(y) {_OVER}"),
    "the value before": _SELECT.format(f"LAG(y) {_OVER}"),
    "two before": _SELECT.format(f"LAG(y, 2) {_OVER}"),
    "the number": _SELECT.format(f"ROW_NUMBER() {_OVER}"),
    "the first": _SELECT.format(f"FIRST_VALUE(y) {_OVER}"),
    "three rows": _SELECT.format(f"SUM(y) {_ROWS.format('2 PRECEDING', 'CURRENT ROW')}"),
    "filtered": _SELECT.format("y") + " WHERE x > 9",
    "the sum at one time": 'SELECT "user", "at", SUM(n) AS n FROM {source} GROUP BY "user", "at"',
    "a named column": 'SELECT s."user", s."at" AS feature_time, s.y * 2 AS twice FROM {source} AS s',
}
LEAKING_SQL = {
    "the mean": _SELECT.format('AVG(y) OVER (PARTITION BY "user")'),
    "the mean of a kind": _SELECT.format("AVG(y) OVER (PARTITION BY kind)"),
    "a share of all": _SELECT.format("y / SUM(y) OVER ()"),
    "the value after": _SELECT.format(f"LEAD(y) {_OVER}"),
    "before, backwards": _SELECT.format('LAG(y) OVER (PARTITION BY "user" ORDER BY "at" DESC)'),
    "a rank": _SELECT.format('RANK() OVER (PARTITION BY "user" ORDER BY y)'),
    "a number by value": _SELECT.format('ROW_NUMBER() OVER (PARTITION BY "user" ORDER BY y)'),
    "quarters": _SELECT.format("NTILE(4) OVER (ORDER BY y)"),
    "a sum by value": _SELECT.format('SUM(y) OVER (PARTITION BY "user" ORDER BY n)'),
    "a sum backwards": _SELECT.format('SUM(y) OVER (PARTITION BY "user" ORDER BY "at" DESC)'),
    "less the mean of all": 'SELECT "user", "at", y - (SELECT AVG(y) FROM {source}) AS y FROM {source}',
    "the total at the last event": 'SELECT "user", MAX("at") AS "at", SUM(y) AS y FROM {source} GROUP BY "user"',
}
#: DuckDB alone takes these.
LEAKING_DUCKDB = {
    "a row ahead": _SELECT.format(f"SUM(y) {_ROWS.format('1 PRECEDING', '1 FOLLOWING')}"),
    "all rows ahead": _SELECT.format(f"SUM(y) {_ROWS.format('CURRENT ROW', 'UNBOUNDED FOLLOWING')}"),
    "the last": _SELECT.format(f"LAST_VALUE(y) {_ROWS.format('UNBOUNDED PRECEDING', 'UNBOUNDED FOLLOWING')}"),
    "a share by rank": _SELECT.format("PERCENT_RANK() OVER (ORDER BY y)"),
    "a named window": 'SELECT "user", "at", AVG(y) OVER w AS y FROM {source} WINDOW w AS (PARTITION BY "user")',
}
CLEAN_DUCKDB = {
    "three days": _SELECT.format(
        'SUM(y) OVER (PARTITION BY "user" ORDER BY "at" RANGE BETWEEN INTERVAL 3 DAY PRECEDING AND CURRENT ROW)'
    ),
    "up to now": _SELECT.format(f"SUM(y) {_ROWS.format('UNBOUNDED PRECEDING', '0 FOLLOWING')}"),
    "a named window": 'SELECT "user", "at", AVG(y) OVER w AS y FROM {source} WINDOW w AS (PARTITION BY "user" ORDER BY "at")',
}
