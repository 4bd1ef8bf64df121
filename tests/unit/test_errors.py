"""Error messages: layout, lists of names, nearest names, and the tree."""

from __future__ import annotations

import pytest

from timefence_pl import errors
from timefence_pl.errors import TimefenceError, did_you_mean, did_you_mean_file, listing, message


def test_a_message_says_what_where_why_and_how_to_mend_it() -> None:
    assert message("It broke.", where="here\nthere", why="It matters.", fix="Mend it.") == (
        "It broke.\n\n  here\n  there\n\n  It matters.\n\n  Fix: Mend it."
    )


def test_several_ways_to_mend_are_numbered() -> None:
    assert message("It broke.", fix=("one", "two")) == "It broke.\n\n  Fix (pick one):\n    1. one\n    2. two"


def test_a_message_may_be_one_line() -> None:
    assert message("It broke.") == "It broke."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h/e.parquet?sig=a%2Fb&x=1 is gone", "https://h/e.parquet?... is gone"),
        ("'HTTP://me:word@h/e?x'", "'HTTP://h/e?...'"),
        ("location e.parquet?sig=S not found", "location e.parquet?... not found"),
        ("s3://me:word@b/p?.parquet", "s3://b/p?.parquet"),
        ("data/p?.parquet", "data/p?.parquet"),
        ("is it so? x=1", "is it so? x=1"),
        ("a@b://c", "a@b://c"),
    ],
)
def test_messages_have_no_secrets_of_addresses(text: str, shown: str) -> None:
    assert message(text) == shown


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "none"),
        (["a"], "'a'"),
        (["a", "b"], "'a', 'b'"),
        ([1, None], "'1', 'None'"),
        ([f"c{i}" for i in range(14)], ", ".join(f"'c{i}'" for i in range(12)) + " and 2 more"),
    ],
)
def test_names_are_listed_up_to_a_dozen(names: list[object], text: str) -> None:
    assert listing(names) == text


@pytest.mark.parametrize(
    ("name", "candidates", "nearest"),
    [
        ("user_di", ["user_id", "amount"], "user_id"),
        ("USERID", ["user_id", "amount"], "user_id"),
        ("id", ["uid"], "uid"),
        ("created", ["amount", "created_at"], "created_at"),
        ("label_time_utc", ["label_time", "x"], "label_time"),
    ],
)
def test_the_nearest_name_is_proposed(name: str, candidates: list[str], nearest: str) -> None:
    assert did_you_mean(name, candidates) == f"Did you mean {nearest!r}?"


@pytest.mark.parametrize(("name", "candidates"), [("zzz", ["user_id"]), ("x", []), ("k", ["amount"])])
def test_nothing_is_proposed_where_nothing_is_near(name: str, candidates: list[str]) -> None:
    assert did_you_mean(name, candidates) == ""


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("label.parquet", "labels.parquet"),
        ("labels.csv", "labels.parquet"),
        ("users.csv.gz", "users.csv"),
        ("user.parquet", "users.parquet"),
        (".hiden", ".hidden"),
        ("nothere.parquet", None),
        ("x.csv", None),
        ("", None),
    ],
)
def test_files_are_near_by_their_stems(name: str, nearest: str | None) -> None:
    beside = ["a.parquet", "labels.parquet", "users.csv", "users.parquet", ".hidden", "README"]
    assert did_you_mean_file(name, beside) == ("" if nearest is None else f"Did you mean {nearest!r}?")


@pytest.mark.parametrize(
    "name",
    [
        "TimefenceConfigError",
        "TimefenceDuplicateError",
        "TimefenceLeakageError",
        "TimefenceSchemaError",
        "TimefenceStoreError",
        "TimefenceTimezoneError",
        "TimefenceValidationError",
    ],
)
def test_every_error_is_a_timefence_error(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, TimefenceError)
    assert kind.__doc__
