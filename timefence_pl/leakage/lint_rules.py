"""The linter's rules: why each looks ahead, and what to write instead.

Gives tables. ``{time}`` stands for the source's timestamp and ``{key}`` for its keys, as they are written in code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["RULES", "Rule"]


@dataclass(frozen=True)
class Rule:
    """One kind of finding.

    Attributes:
        message: Why it looks ahead, or why it cannot be read.
        fix: What to write instead.
        unread: Whether it only says that something could not be read.
    """

    message: str
    fix: str
    unread: bool = False


_AS_OF: Final = "or aggregate as of the label time with tf.Window"
_CHECK: Final = "or let tf.check_lookahead tell, which runs it"

RULES: Final[dict[str, Rule]] = {
    "negative-shift": Rule(
        "It takes the value of a later row.",
        "Shift the other way, .shift(1).over({key}); or stamp the row at the time of the later one in a transform.",
    ),
    "unknown-shift": Rule(
        "How far it shifts is computed, and may be below zero.",
        "Shift by a plain number above zero.",
        unread=True,
    ),
    "backward-fill": Rule(
        "It fills a null with the next value, which comes later.",
        "Fill with the last known value: .forward_fill().over({key}).",
    ),
    "statistic-fill": Rule(
        "It fills nulls with a statistic of all rows, later ones included.",
        "Fill with the last known value, .forward_fill(), with a constant, or with a running statistic.",
    ),
    "centred-window": Rule(
        "The window reaches as far behind its row as before it.",
        "Leave out center=True: the window then ends at its row.",
    ),
    "forward-window": Rule(
        "The window reaches past its row's time.",
        "Give no offset: the window is then (t - period, t]. An offset that ends at or before t is fine too.",
    ),
    "other-index": Rule(
        "The window runs along {by}, not along the source's timestamp: rows near in one may come later in the other.",
        "Run it along {time}; or declare a source whose timestamp is that column.",
    ),
    "reversed": Rule(
        "It turns the rows around, so that each is computed from those after it.",
        "Leave the rows in the order of time; rolling and cumulative expressions look back by themselves.",
    ),
    "reversed-cumulative": Rule(
        "reverse=True accumulates from the last row to the first.",
        "Leave out reverse=True.",
    ),
    "whole-column": Rule(
        "It is computed from the whole column, later rows included.",
        f"Compute it from the rows so far, as in .cum_sum(), .rolling_mean_by({{time}}, '30d') or .cumulative_eval(...); {_AS_OF}.",
    ),
    "group-aggregate": Rule(
        "It is computed from all rows of the group, later ones included.",
        f"Compute it from the rows so far, as in .cum_sum().over({{key}}) or .rolling_mean_by({{time}}, '30d').over({{key}}); {_AS_OF}.",
    ),
    "by-position": Rule(
        "It takes a row by its position, which earlier rows do not have yet.",
        "Take the first, .first().over({key}), or a row before, .shift(n).over({key}).",
    ),
    "rank": Rule(
        "A rank counts rows that come later.",
        "Rank within a window, .rolling_rank_by({time}, '30d').over({key}), or among rows of the same time, .rank().over({time}).",
    ),
    "quantile-cut": Rule(
        "Its edges are quantiles of all rows, later ones included.",
        "Cut at fixed edges: .bin_intervals([...], labels=...).",
    ),
    "interpolation": Rule(
        "It draws a line to the next value, which comes later.",
        "Carry the last known value forward: .forward_fill().over({key}).",
    ),
    "sampling": Rule(
        "Chance decides, and which row is drawn depends on all rows.",
        "Leave it out; choose rows by a hash of their key where a part of them is wanted.",
    ),
    "later-rows": Rule(
        "Whether it holds depends on rows that come later.",
        "Ask of the rows so far: .is_first_distinct(), .cum_count(), .rle_id().",
    ),
    "sorted-by-value": Rule(
        "It puts rows in an order other than that of time, so that later rows come before earlier ones.",
        "Order by time: order_by={time}, .sort_by({time}).",
    ),
    "regrouped": Rule(
        "It moves the rows of a group to other rows of the frame.",
        "Use the default mapping_strategy, and an expression that gives one value a row.",
    ),
    "selected-rows": Rule(
        "It gives other rows than those of the frame, and which ones depends on all of them.",
        "Choose with pl.when(...).then(...), which keeps every row.",
    ),
    "bucket-start": Rule(
        "Rows of the span are stamped up to {lag} before the last of them is known.",
        "Stamp the span at its end (label='right', or .dt.offset_by(...) by its length), or give the feature embargo='{lag}'.",
    ),
    "keeps-later-row": Rule(
        "Which row is kept depends on rows that come later.",
        "Keep the first, .unique(..., keep='first', maintain_order=True); the join takes the latest by itself.",
    ),
    "last-rows": Rule(
        "The last rows of all are others with every new row.",
        "Leave it out: the join takes the latest row by itself.",
    ),
    "forward-join": Rule(
        "It joins rows that come later.",
        "Use strategy='backward', along the timestamp on both sides.",
    ),
    "self-join": Rule(
        "It joins rows of the source to rows of any other time.",
        "Join on the timestamp too, or as of it, .join_asof(..., strategy='backward'); or use expressions over earlier rows.",
    ),
    "unordered": Rule(
        "The rows are in no order of time here, so that what comes before a row may be later.",
        "Order them: .sort({time}) before, or order_by={time} in .over(...).",
    ),
    "random-sql": Rule(
        "Chance or the clock decides.",
        "Leave it out.",
    ),
    "python": Rule(
        "A Python function is given whole columns here; what it does with them cannot be read.",
        f"Write it as an expression, or as .map_elements, which is given one value at a time; {_CHECK}.",
        unread=True,
    ),
    "second-input": Rule(
        "Other rows are joined or read here: {what}. When they were known cannot be read.",
        "Make them a source of their own, whose features are joined as of the label time.",
        unread=True,
    ),
    "untraced-time": Rule(
        "How the feature time follows from the source's timestamp cannot be read.",
        f"Derive it by .dt.offset_by, .dt.truncate or a sum with a duration; {_CHECK}.",
        unread=True,
    ),
    "availability": Rule(
        "It reads several rows of a source with available_at; when the last of them was known cannot be read.",
        "Make each value of rows alone that were known by the availability it returns, whatever arrives later, or use "
        f"tf.Window; {_CHECK}.",
        unread=True,
    ),
    "unknown": Rule(
        "{what} is not known to the linter.",
        "Let tf.check_lookahead tell, which runs it.",
        unread=True,
    ),
    "unread-transform": Rule(
        "{what}",
        f"Stay lazy in the transform; {_CHECK}.",
        unread=True,
    ),
    "unread-sql": Rule(
        "{what}",
        f"Write it as expressions; {_CHECK}.",
        unread=True,
    ),
}
