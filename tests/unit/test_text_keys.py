"""Texts of one shape as numbers: equal exactly where the texts are, and in their order."""

from __future__ import annotations

import random

import polars as pl
import pytest

from timefence_pl.plan.text_keys import TextShape, text_shape


def shape_of(*texts: str | None) -> TextShape | None:
    return text_shape(pl.Series(texts, dtype=pl.String))


@pytest.mark.parametrize(
    ("texts", "pattern", "digits"),
    [
        (["user-00000001", "user-00000002"], "user-00000000", [12]),
        (["user-00000001", None, "user-00000092"], "user-00000000", [11, 12]),
        (["12345678", "87654321"], "00000000", range(8)),
        (["a1b", "a9b"], "a0b", [1]),
        (["only-one"], "only-one", []),
        (["\u00e9-00000001", "\u00e9-00000002"], "\u00e9-00000000", [10]),
        (["item/1/of/12", "item/2/of/34"], "item/0/of/00", [5, 10, 11]),
        (["a-very-long-beginning-0001", "a-very-long-beginning-0203"], "a-very-long-beginning-0000", [23, 25]),
        (["user-3fa9c1d2", "user-00e1ffff"], "user-00000000", None),
        (["user-00000001", "user-0000000:"], "user-00000000", None),  # what follows the 9
        (["user-00000001", "user-0000000/"], "user-00000000", None),  # what stands before the 0
    ],
)
def test_what_texts_share(texts: list[str | None], pattern: str, digits: list[int] | None) -> None:
    assert shape_of(*texts) == TextShape(pattern.encode(), None if digits is None else tuple(digits))


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [None],
        [""],
        ["user-1", "user-12"],
        ["user-00000001", "item-00000001"],
        ["a-very-long-beginning-0001", "another-long-beginning0001"],
        ["1-0000000000", "2-000000000a"],  # they differ in more than the end, and not in digits alone
        ["1/" * 17, "2/" * 17],  # more digits than a number holds
        ["ab", "cd"],
    ],
)
def test_texts_that_share_nothing(texts: list[str | None]) -> None:
    assert shape_of(*texts) is None


def test_numbers_are_what_the_digits_say() -> None:
    shape = shape_of("user_0000100", "user_0099999")
    assert shape is not None
    texts = pl.Series(
        ["user_0012345", "user_0000000", None, "user_001234", "item_0012345", "user_001234x", "user_1012345"]
    )
    assert shape.numbers(texts).to_list() == [12345, 0, None, None, None, None, None]
    assert shape.numbers(texts.cast(pl.Categorical)).to_list() == shape.numbers(texts).to_list()
    assert shape.numbers(texts[:0]).to_list() == []


@pytest.mark.parametrize("rows", [1 << 17, (1 << 17) + 1])
def test_many_texts(rows: int) -> None:
    numbers = pl.int_range(rows, eager=True)
    texts = pl.select(pl.format("u{}", pl.lit(numbers).cast(pl.String).str.zfill(7))).to_series()
    shape = text_shape(texts)
    assert shape is not None
    assert shape.numbers(texts).equals(numbers)


def _draw(draw: random.Random) -> tuple[list[str | None], list[str | None]]:
    """Texts that differ in some places, and others that are near them."""
    base = "".join(draw.choice("user_-0\u00e9") for _ in range(draw.choice([1, 2, 3, 5, 7, 8, 10, 12, 13, 20, 25, 33])))
    share = draw.choice([0.1, 0.3, 0.9])
    places = [i for i in range(len(base)) if draw.random() < share]
    alphabet = draw.choice(["01", "0123456789", "0123456789", "0123456789ab", "/:09", "\u00e90", "\x00\x7f"])

    def one() -> str:
        return "".join(draw.choice(alphabet) if i in places else c for i, c in enumerate(base))

    texts = [one() if draw.random() < 0.97 else None for _ in range(draw.randint(1, 30))]
    near = [*(one() for _ in range(20)), "", base, base + "0", base[1:], base.replace("-", "_"), None]
    return texts, [*texts, *near]


@pytest.mark.parametrize("block", range(10))
def test_numbers_are_equal_exactly_where_texts_are(block: int) -> None:
    kinds = []
    for seed in range(block * 100, block * 100 + 100):
        texts, near = _draw(random.Random(seed))
        shape = shape_of(*texts)
        if shape is None:
            continue
        kinds.append(shape.digits is None)
        numbers = shape.numbers(pl.Series(near, dtype=pl.String)).to_list()
        assert all(n is not None for t, n in zip(texts, numbers, strict=False) if t is not None)
        pairs = {(t, n) for t, n in zip(near, numbers, strict=True) if n is not None}
        assert len({t for t, _ in pairs}) == len({n for _, n in pairs}) == len(pairs)
        in_order = sorted(pairs, key=lambda pair: (pair[0] or "").encode())
        assert [n for _, n in in_order] == sorted(n for _, n in pairs)
    assert set(kinds) == {True, False}  # both ways of making numbers were met
