"""Names that users give: to features, sources and sets, and of columns."""

from __future__ import annotations

from typing import Any

import pytest

from timefence_pl.definitions.names import checked_name, column_list, key_mapping_of, one_column, sanitised
from timefence_pl.errors import TimefenceConfigError, TimefenceValidationError


@pytest.mark.parametrize("name", ["a", "spend_30d", "a b", "ünï", "a.b", "a-b", "q'uote", 'q"', "^x$", "*", "x" * 128])
def test_printable_names_are_taken_as_they_are(name: str) -> None:
    assert checked_name("feature", name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        "a/b",
        "a\\b",
        "../x",
        ".a",
        "..",
        "a\nb",
        "a\tb",
        "a\0b",
        "\u202e",
        "x" * 129,
        None,
        5,
        b"a",
    ],
)
def test_names_that_could_escape_a_folder_or_a_line_are_refused(name: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="is not a valid feature name"):
        checked_name("feature", name)


def test_names_of_the_plans_own_columns_are_refused() -> None:
    with pytest.raises(TimefenceConfigError, match="__tf_reason"):
        checked_name("feature", "__tf_reason")


@pytest.mark.parametrize(
    ("name", "plain"), [("feat-a", "feat_a"), ("feat_a", "feat_a"), ("a b.c", "a_b_c"), ("ünï", "ünï"), ("^x$", "_x_")]
)
def test_sanitised_names_keep_letters_digits_and_underscores(name: str, plain: str) -> None:
    assert sanitised(name) == plain


@pytest.mark.parametrize("value", ["", None, 5, ["a"], ("a",), b"a", True])
def test_one_column_is_one_non_empty_string(value: Any) -> None:
    assert one_column("labels", "label_time", "at") == "at"
    with pytest.raises(TimefenceConfigError, match="label_time=.* of labels is not a column name"):
        one_column("labels", "label_time", value)


@pytest.mark.parametrize(
    ("value", "names"), [("a", ("a",)), (["a"], ("a",)), (("a", "b"), ("a", "b")), (["b", "a"], ("b", "a"))]
)
def test_columns_are_a_name_or_a_list_of_names(value: Any, names: tuple[str, ...]) -> None:
    assert column_list("labels", "keys", value) == names


@pytest.mark.parametrize("value", [None, 5, [None], ["a", 5], [""], "", b"a", {"a"}, [["a"]], True])
def test_other_columns_are_refused(value: Any) -> None:
    with pytest.raises(TimefenceValidationError, match="keys=.* of labels are not column names"):
        column_list("labels", "keys", value)


def test_columns_are_named_once() -> None:
    with pytest.raises(TimefenceValidationError, match="name a column twice: 'a', 'b', 'a'"):
        column_list("labels", "keys", ["a", "b", "a"])


def test_no_columns_are_refused_unless_they_may_be_empty() -> None:
    assert column_list("labels", "keys", [], empty=True) == ()
    with pytest.raises(TimefenceValidationError, match="columns of feature 'f' cannot be empty"):
        column_list("feature 'f'", "columns", [])


def test_a_key_mapping_goes_from_label_keys_to_source_keys() -> None:
    assert key_mapping_of("feature 'f'", {"user": "user_id"}, ["user_id"]) == {"user": "user_id"}
    assert key_mapping_of("feature 'f'", None, ["user_id"]) == {}


@pytest.mark.parametrize(
    "value", ["user_id", ["user_id"], [("a", "user_id")], 5, {"a": 5}, {5: "user_id"}, {"a": None}]
)
def test_a_key_mapping_maps_names(value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="is not a mapping"):
        key_mapping_of("feature 'f'", value, ["user_id"])


def test_a_key_mapping_names_keys_of_the_source() -> None:
    with pytest.raises(TimefenceConfigError, match=r"names 'user', which the source does not have(.|\n)*'user_id'"):
        key_mapping_of("feature 'f'", {"user_id": "user"}, ["user_id"])


def test_a_key_mapping_maps_a_source_key_once() -> None:
    with pytest.raises(TimefenceConfigError, match="maps two label keys to one source key"):
        key_mapping_of("feature 'f'", {"a": "user_id", "b": "user_id"}, ["user_id"])
