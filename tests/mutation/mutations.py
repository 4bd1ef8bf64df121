"""The rules of the match, each taken out by one textual edit.

Gives :data:`MUTATIONS`. Each names a rule of the semantics; the oracle test must fail without it. Must not know: how
they are run.
"""

from __future__ import annotations

from dataclasses import dataclass

TICKS = "timefence_pl/plan/ticks.py"
LATEST = "timefence_pl/plan/latest.py"
PREPARE = "timefence_pl/plan/prepare.py"
ROWS = "timefence_pl/plan/rows.py"
AT_ONCE = "timefence_pl/plan/at_once.py"
TEXT_KEYS = "timefence_pl/plan/text_keys.py"
TIME_KEY = "timefence_pl/plan/time_key.py"
OPTIONS = "timefence_pl/plan/options.py"
ALIGNMENT = "timefence_pl/plan/alignment.py"
TRAINING_SET = "timefence_pl/plan/training_set.py"
LOCAL = "timefence_pl/execution/local.py"
SPLITS = "timefence_pl/splits.py"
COMPATIBILITY = "timefence_pl/plan/compatibility.py"


@dataclass(frozen=True)
class Mutation:
    """One edit: ``old``, found ``count`` times in ``file``, becomes ``new``."""

    name: str
    file: str
    old: str
    new: str
    count: int = 1


MUTATIONS: tuple[Mutation, ...] = (
    # The upper bound.
    Mutation("strict admits the limit", TICKS, "-embargo - (1 if strict else 0)", "-embargo"),
    Mutation("inclusive excludes the limit", TICKS, "-embargo - (1 if strict else 0)", "-embargo - 1"),
    Mutation("no embargo", TICKS, "-embargo - (1 if strict else 0)", "-(1 if strict else 0)"),
    Mutation("strict is a whole tick", TICKS, "(1 if strict else 0)", "(to.size if strict else 0)"),
    Mutation("embargo is cut to the label's ticks", TICKS, "-embargo - (1", "-(embargo // of.size * of.size) - (1"),
    Mutation("join option ignored", OPTIONS, "strict=options.strict", "strict=True"),
    Mutation(
        "labels before all ticks still match",
        LATEST,
        "alive = pl.col(VALID) if upper.below is None else pl.col(VALID) & ~upper.below",
        "alive = pl.col(VALID)",
    ),
    # The lower bound and staleness.
    Mutation("no lookback", LATEST, "probe, bounds.lookback)", "probe, None)"),
    Mutation("no staleness", LATEST, "probe, bounds.staleness)", "probe, None)"),
    Mutation("lower bound is open", TICKS, "to.size - 1 - age", "to.size - age"),
    Mutation("lower bound is rounded down", TICKS, "to.size - 1 - age", "-age"),
    Mutation(
        "lookback is counted from the limit",
        OPTIONS,
        "lookback=None if lookback is None else lookback.amount",
        "lookback=None if lookback is None else lookback.amount + wait",
    ),
    Mutation(
        "staleness is counted from the limit",
        OPTIONS,
        "staleness=None if staleness is None else staleness.amount",
        "staleness=None if staleness is None else staleness.amount + wait",
    ),
    Mutation(
        "bounds below are on availability",
        LATEST,
        "event = pl.col(EVENT_TICK) if frame.bitemporal else pl.col(_TICK)",
        "event = pl.col(_TICK).cast(pl.Int128)",
    ),
    Mutation("stale counts as too old", LATEST, ".when(~in_bounds)", ".when(~fresh)"),
    Mutation("too old counts as no history", LATEST, "pl.when(~reached)", "pl.when(~in_bounds)"),
    Mutation("null values count as values", LATEST, ".when(empty)", ".when(empty & ~empty)"),
    Mutation(
        "integer times inherit 365",
        OPTIONS,
        "if inherited and options.lookback_is_default and integer_times:",
        "if False:",
    ),
    Mutation(
        "a feature's own lookback is ignored",
        OPTIONS,
        "lookback = options.max_lookback if isinstance(feature.max_lookback, Inherit) else feature.max_lookback",
        "lookback = options.max_lookback",
    ),
    Mutation(
        "a feature's own staleness is ignored",
        OPTIONS,
        "staleness = options.max_staleness if isinstance(feature.max_staleness, Inherit) else feature.max_staleness",
        "staleness = options.max_staleness",
    ),
    # Times.
    Mutation("date stamps are known at the start", TICKS, 'DAY - 1 if date_known_at == "end" else 0', "0"),
    Mutation("date stamps are known at the end", TICKS, 'DAY - 1 if date_known_at == "end" else 0', "DAY - 1"),
    Mutation("milliseconds are taken for microseconds", TICKS, '"ms": 1_000_000', '"ms": 1_000'),
    # Entities.
    Mutation(
        "labels with nulls match entity 0 at time 0",
        LATEST,
        "alive = pl.col(VALID) if upper.below is None else pl.col(VALID) & ~upper.below",
        "alive = pl.lit(value=True) if upper.below is None else ~upper.below",
    ),
    Mutation(
        "colliding hashes are believed",
        LATEST,
        "elsewhere = (met & (other | ",
        "elsewhere = (met & (pl.lit(value=False) & ",
    ),
    Mutation("hidden neighbours are overlooked", LATEST, "other | pl.col(COLLIDED)", "other"),
    Mutation(
        "text hashes by its encoding",
        TIME_KEY,
        'if own.family == "text" or own.dtype.is_decimal():',
        "if own.dtype.is_decimal():",
    ),
    Mutation("key mapping is ignored", COMPATIBILITY, "name = inverse.get(key, key)", "name = key"),
    # Ties and availability.
    Mutation(
        "event time does not settle ties",
        PREPARE,
        "([EVENT_TICK, AVAILABLE_TICK] if",
        "([AVAILABLE_TICK] if",
    ),
    Mutation(
        "availability does not settle ties",
        PREPARE,
        "([EVENT_TICK, AVAILABLE_TICK] if",
        "([EVENT_TICK] if",
    ),
    Mutation(
        "tie breaker ignored where bitemporal",
        PREPARE,
        "else []), *made.ties]",
        "else made.ties)]",
    ),
    Mutation("tie breaker ignored", PREPARE, "else []), *made.ties]", "else [])]"),
    Mutation("keep_first keeps the last", PREPARE, "if like.keep_first:", "if False:"),
    Mutation("keep_last keeps the first", PREPARE, "if like.keep_first:", "if True:"),
    Mutation(
        "late rows replace newer ones", PREPARE, "frame = frame.filter(event == event.cum_max())", "frame = frame"
    ),
    Mutation(
        "unordered rows are not ordered by value",
        PREPARE,
        "order = [*ties, *values] if derived",
        "order = ties if derived",
    ),
    Mutation(
        "null availability is known",
        ROWS,
        "needed = [*source.keys, source.timestamp, *([source.available_at] if source.available_at else [])]",
        "needed = [*source.keys, source.timestamp]",
    ),
    Mutation(
        "null keys are seen by expressions",
        ROWS,
        "needed = [*source.keys, source.timestamp, *(",
        "needed = [source.timestamp, *(",
    ),
    Mutation("rows are usable before they are known", PREPARE, "pl.max_horizontal(", "pl.min_horizontal("),
    Mutation(
        "features that keep the first share rows with others",
        ROWS,
        'feature.source.identity(), feature.on_duplicate == "keep_first")',
        "feature.source.identity(), False)",
    ),
    Mutation(
        "expressions see the source order",
        ROWS,
        "    if in_order:\n        events = in_time_order(source, events)\n",
        "",
    ),
    # Duplicates.
    Mutation("matched duplicates pass", LATEST, "(fresh & duplicate)", "(fresh & pl.lit(value=False))"),
    Mutation("stale duplicates raise", LATEST, "(fresh & duplicate)", "(reached & duplicate)"),
    Mutation(
        "other tie breakers are duplicates",
        PREPARE,
        "equal = [pl.col(KEY) == pl.col(KEY).shift(1), *(",
        "equal = [pl.col(KEY) == pl.col(KEY).shift(1)] or [*(",
    ),
    # Packed keys.
    Mutation("any entity's key is one's own", TIME_KEY, "return key >= first", "return key.is_not_null()"),
    Mutation("known ends are never clamped below", TIME_KEY, "ends is None or ends[0] < least", "ends is None"),
    Mutation("known ends are never clamped above", TIME_KEY, "ends is None or ends[1] > greatest", "ends is None"),
    Mutation("narrow keys have one bit more", TIME_KEY, "(1 << spec.narrow.bits) - 1", "(2 << spec.narrow.bits) - 1"),
    Mutation("bounds of known ends pass 64 bits", TICKS, "abs(const) <= INT64_MAX and all", "True or all"),
    Mutation("narrow probes leave their entity", TIME_KEY, "tick = _clamped(tick, early - 1, most, ends)", "pass"),
    Mutation(
        "narrow probes meet the nearest entity",
        TIME_KEY,
        "_clamped(entity, first - 1, last + 1, ends)",
        "_clamped(entity, first, last, ends)",
    ),
    Mutation(
        "texts of any length have numbers",
        TEXT_KEYS,
        "fits += [lanes[0].is_not_null()] if lanes[0].null_count() else []",
        "pass",
    ),
    Mutation("texts of any beginning have numbers", TEXT_KEYS, "fits += _misfits(", "_misfits("),
    Mutation("other characters count as digits", TEXT_KEYS, "(0x0F, 0x06, 0x10)", "(0x0F, 0x00, 0x10)"),
    Mutation(
        "a long text's beginning is not looked at",
        TEXT_KEYS,
        "] if cut.start else []\n        fits +=",
        "] if False else []\n        fits +=",
    ),
    Mutation("keys are narrower than their rows", AT_ONCE, "(ends[0], ends[2])", "(ends[0], ends[0])"),
    Mutation("expressions see unusable events", ROWS, "given = None if in_order else each", "given = each"),
    Mutation("rows without key or time count", AT_ONCE, "any(rows[c].null_count() for c in self.complete)", "False"),
    Mutation("rows in no order count as in order", AT_ONCE, "if not rows[tick].is_sorted():", "if False:"),
    # Rows that a later one supersedes for every label.
    Mutation(
        "rows are superseded whatever the embargo",
        LATEST,
        "known, bounds.embargo, strict=bounds.strict)\n    return int",
        "known, 0, strict=bounds.strict)\n    return int",
    ),
    Mutation("rows are superseded for one feature of several", LOCAL, "limit = min(", "limit = max("),
    Mutation(
        "rows of one time supersede one another",
        AT_ONCE,
        " or (ticks[1:count] == ticks[: count - 1]).any()",
        "",
    ),
    Mutation(
        "entities lose their last rows", AT_ONCE, "kept = last.filter(last < count)", "kept = last.filter(last > count)"
    ),
    # Splits.
    Mutation("no purge", SPLITS, "if gap is None or not later:", "if True:"),
    Mutation("splits are closed", SPLITS, "return tick < end if", "return tick <= end if"),
    Mutation("splits are open at the start", SPLITS, "return (tick >= self.start)", "return (tick > self.start)"),
    # Output.
    Mutation(
        "labels come back in another order",
        ALIGNMENT,
        'how="horizontal").sort(LABEL_ROW).drop(LABEL_ROW)',
        'how="horizontal").drop(LABEL_ROW)',
    ),
    Mutation("skip keeps everything", TRAINING_SET, 'if options.on_missing == "skip":', "if False:"),
    Mutation(
        "skip drops matched nulls", TRAINING_SET, "Reason.NULL_VALUE.value for f", "Reason.MATCHED_VALUE.value for f"
    ),
    Mutation(
        "features of different embargo share a merge",
        TRAINING_SET,
        "(id(j.frame), j.label_keys, embargo)",
        "(id(j.frame), j.label_keys)",
    ),
    Mutation(
        "features of different keys share a probe",
        TRAINING_SET,
        "(group[0].label_keys, group[0].frame.spec.order)",
        "group[0].frame.spec.order",
    ),
)
