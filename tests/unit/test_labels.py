"""Labels: what they accept, refuse and say of themselves."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EXPECTED, LABELS, feature, labels, values
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, TimefenceValidationError


@pytest.mark.parametrize(("target", "targets"), [(None, []), ("y", ["y"]), (["y"], ["y"]), ([], [])])
def test_what_was_declared_can_be_read_back(target: Any, targets: list[str]) -> None:
    given = labels(target=target)
    assert (list(given.keys), given.label_time, list(given.target)) == (["k"], "at", targets)


def test_labels_without_keys_are_for_global_features() -> None:
    assert list(labels(keys=[]).keys) == []


@pytest.mark.parametrize("argument", ["keys", "target"])
@pytest.mark.parametrize("value", [5, [None], [""], {"k"}])
def test_names_that_are_no_names_are_refused(argument: str, value: Any) -> None:
    with pytest.raises(TimefenceValidationError, match=f"{argument}=.* of labels are not column names"):
        labels(**{argument: value})


@pytest.mark.parametrize("value", ["", None, 5, ["at"]])
def test_a_label_time_is_one_name(value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="label_time=.* of labels is not a column name"):
        labels(label_time=value)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"label_time": "k"}, "'k'"), ({"target": "k"}, "'k'"), ({"target": ["y", "at"]}, "'at'")],
)
def test_a_column_has_one_role(options: dict[str, Any], named: str) -> None:
    with pytest.raises(TimefenceConfigError, match=rf"{named} in two roles \(keys, label_time, target\)"):
        labels(**options)


@pytest.mark.parametrize(
    ("options", "column", "argument", "near"),
    [
        ({"keys": ["k", "yy"]}, "yy", "keys", "y"),
        ({"label_time": "att"}, "att", "label_time", "at"),
        ({"target": "Y"}, "Y", "target", "y"),
    ],
)
def test_a_missing_column_is_named_with_its_argument_and_the_nearest(
    options: dict[str, Any], column: str, argument: str, near: str
) -> None:
    wanted = rf"^Labels have no column '{column}' \({argument}\). Did you mean '{near}'\?(.|\n)*'k', 'at', 'y'"
    for run in (tf.point_in_time, tf.build, tf.explain):
        with pytest.raises(TimefenceSchemaError, match=wanted):
            run(labels(**options), feature())


@pytest.mark.parametrize("attribute", ["keys", "label_time", "target", "new"])
def test_labels_are_frozen(attribute: str) -> None:
    given = labels()
    with pytest.raises(TimefenceConfigError, match=f"frozen; '{attribute}' cannot be"):
        setattr(given, attribute, "other")
    with pytest.raises(TimefenceConfigError, match="frozen"):
        del given.label_time
    assert isinstance(given.keys, tuple)
    assert isinstance(given.target, tuple)


def test_repr_tells_the_data_and_the_roles() -> None:
    assert repr(labels(target="y")) == "Labels(data=DataFrame, keys=['k'], label_time='at', target=['y'])"


@pytest.mark.parametrize("run", [tf.point_in_time, tf.build, tf.explain])
@pytest.mark.parametrize("given", [LABELS, LABELS.lazy(), None, "labels.parquet"], ids=lambda v: type(v).__name__)
def test_a_frame_in_place_of_labels_is_refused_with_the_way_out(run: Any, given: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=rf"labels is a {type(given).__name__}(.|\n)*tf.Labels\(data"):
        run(given, feature())


def test_a_source_in_place_of_labels_is_refused() -> None:
    with pytest.raises(TimefenceConfigError, match="labels is a Source"):
        tf.build(feature().source, feature())  # type: ignore[arg-type]


def test_a_string_label_time_is_read_with_the_format() -> None:
    frame = LABELS.with_columns(at=pl.format("2024-01-0{}", "at"))
    given = labels(frame, timestamp_format="%Y-%m-%d")
    events = pl.DataFrame({"k": [1, 1, 2], "t": ["2024/01/01", "2024/01/05", "2024/01/03"], "x": [10, 50, 30]})
    assert values(given, feature(events, source_timestamp_format="%Y/%m/%d")) == EXPECTED
    assert given.schema["at"] == pl.Datetime("us")


def test_the_label_time_with_a_format_must_exist() -> None:
    with pytest.raises(TimefenceSchemaError, match="Labels have no column 'att'"):
        tf.point_in_time(labels(label_time="att", timestamp_format="%Y"), feature())


@pytest.mark.parametrize("value", [5, b"%Y"])
def test_a_timestamp_format_is_text(value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="timestamp_format=.* of labels is not"):
        labels(timestamp_format=value)


def test_a_training_set_can_be_labels_again() -> None:
    first = labels(tf.point_in_time(labels(), feature()))
    assert values(first, feature(name="g"), "g__x") == EXPECTED
    assert values(labels(tf.build(labels(), feature()).frame()), feature(name="g"), "g__x") == EXPECTED
