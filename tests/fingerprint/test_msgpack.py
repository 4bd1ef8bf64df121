import math
import struct

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timefence_pl.fingerprint import msgpack as module
from timefence_pl.fingerprint.msgpack import ByteArray, UnknownLayoutError, as_bytes, unpack


def _pack(value):
    """MessagePack as Polars' serializer (rmp-serde) writes it."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        if -32 <= value < 0:
            return struct.pack(">b", value)
        for tag, form, low, high in (
            (0xCC, ">B", 0, 2**8),
            (0xCD, ">H", 0, 2**16),
            (0xCE, ">I", 0, 2**32),
            (0xCF, ">Q", 0, 2**64),
            (0xD0, ">b", -(2**7), 0),
            (0xD1, ">h", -(2**15), 0),
            (0xD2, ">i", -(2**31), 0),
            (0xD3, ">q", -(2**63), 0),
        ):
            if low <= value < high:
                return bytes([tag]) + struct.pack(form, value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return _sized(value, len(value), ((0xC4, 1), (0xC5, 2), (0xC6, 4)))
    if isinstance(value, str):
        data = value.encode()
        fixed = bytes([0xA0 | len(data)]) + data if len(data) < 32 else None
        return fixed or _sized(data, len(data), ((0xD9, 1), (0xDA, 2), (0xDB, 4)))
    if isinstance(value, list):
        data = b"".join(map(_pack, value))
        fixed = bytes([0x90 | len(value)]) + data if len(value) < 16 else None
        return fixed or _sized(data, len(value), ((0xDC, 2), (0xDD, 4)))
    data = b"".join(_pack(k) + _pack(v) for k, v in value.items())
    fixed = bytes([0x80 | len(value)]) + data if len(value) < 16 else None
    return fixed or _sized(data, len(value), ((0xDE, 2), (0xDF, 4)))


def _sized(data, size, tags):
    tag, width = next((t, w) for t, w in tags if size < 256**w)
    return bytes([tag]) + size.to_bytes(width, "big") + data


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=3), inner, max_size=18),
    max_leaves=20,
)


@settings(deadline=None, database=None)
@given(_VALUES)
def test_values_come_back(value):
    data = _pack(value)
    assert unpack(b"--" + data + b"--", 2) == (value, len(data) + 2)


@settings(deadline=None, database=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=400))
def test_arrays_of_small_integers_are_bytes(numbers):
    found, end = unpack(_pack(numbers) + b"\xcc\x80")
    assert isinstance(found, ByteArray) == (len(numbers) >= 64)
    assert as_bytes(found) == bytes(numbers)
    assert end == len(_pack(numbers))


@settings(deadline=None, database=None)
@given(st.lists(st.integers(0, 255), min_size=64, max_size=200), st.integers(1, 7))
def test_the_blocks_of_a_long_array_do_not_show(numbers, size):
    before = module._BLOCK, module._SHORT
    module._BLOCK, module._SHORT = size, 0
    try:
        assert unpack(_pack(numbers)) == (bytes(numbers), len(_pack(numbers)))
    finally:
        module._BLOCK, module._SHORT = before


@settings(deadline=None, database=None)
@given(st.lists(st.integers(0, 255), min_size=64, max_size=300), st.binary(max_size=4))
def test_short_arrays_are_read_alike_without_arrow(numbers, more):
    data = b"-" + b"".join(bytes([n]) if n < 0x80 else bytes([0xCC, n]) for n in numbers)
    assert module._short_byte_array(data + more, 1, len(numbers)) == (bytes(numbers), len(data))
    assert module._short_byte_array(data, 1, len(numbers) + 1) is None


@settings(deadline=None, database=None)
@given(st.lists(st.integers(0, 255), min_size=64, max_size=90), st.integers(0, 89), _VALUES)
def test_arrays_that_hold_anything_else_are_lists(numbers, place, other):
    mixed = [*numbers[:place], other, *numbers[place:]]
    found, end = unpack(_pack(mixed))
    assert end == len(_pack(mixed))
    if type(other) is int and 0 <= other < 256:
        assert found == bytes(mixed)
    else:
        assert found == mixed


def test_an_array_that_ends_early_is_refused():
    data = _pack([200] * 100)
    for size in (3, 50, len(data) - 1):
        with pytest.raises(UnknownLayoutError):
            unpack(data[:size])


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\xc7\x00", b"\xa3ab", b"\x92\x01", b"\x81\x01\x02", b"\xcb\x00", b"\xa1\xff"]
)
def test_what_polars_does_not_write_is_refused(data):
    with pytest.raises(UnknownLayoutError):
        unpack(data)


def test_single_floats():
    assert math.isclose(unpack(b"\xca" + struct.pack(">f", 1.5))[0], 1.5)


def test_deep_values_need_no_deep_stack():
    depth = 100_000
    value, end = unpack(b"\x91" * depth + b"\x01")
    assert end == depth + 1
    for _ in range(depth):
        (value,) = value
    assert value == 1


def test_a_plan_of_polars():
    data = pl.LazyFrame({"a": [1]}).serialize()
    content, end = unpack(data, 79)
    assert (set(content), end) == ({"root", "dataframes", "dsl_plans"}, len(data))


def test_bytes_of_lists():
    assert as_bytes([1, 255]) == b"\1\xff"
    assert as_bytes([]) is None
    assert as_bytes([1, 256]) is None
    assert as_bytes([1, True]) is None
    assert as_bytes("a") is None
