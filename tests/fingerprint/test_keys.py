import itertools
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timefence_pl.fingerprint import Fingerprint, Uncacheable, changes, combined, hash_bytes, hash_parts
from timefence_pl.fingerprint.keys import encode, new_hasher

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def _typed(value):
    """A value in which everything that Python calls equal, and is not the same, differs."""
    if isinstance(value, dict):
        return ("dict", tuple(sorted((_typed(k), _typed(v)) for k, v in value.items())))
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(_typed(v) for v in value))
    if isinstance(value, float):
        return ("float", value.hex())
    return (type(value).__name__, repr(value))


@settings(deadline=None, database=None)
@given(_PLAIN, _PLAIN)
def test_two_values_share_bytes_only_if_they_are_the_same(one, other):
    assert (encode(one) == encode(other)) == (repr(_typed(one)) == repr(_typed(other)))


LOOKALIKES = [
    None, False, True, 0, 1, -1, 255, 256, -256, 2**64, 0.0, -0.0, 1.0, "", "0", "1", "None", b"", b"1", b"0", (), [], {},
    (1,), [1], ("1",), ((), ()), ((),), [()], ("a", "b"), ("ab", ""), (("a",), "b"), {"a": "b"}, {"a": None}, {1: "b"},
    {"a": {"b": 1}}, {"a": 1, "b": 2}, "t", "\0", "\u00e9", "e\u0301", "\ud800",
]  # fmt: skip


def test_lookalikes_all_have_keys_of_their_own():
    keys = [hash_parts("x", value) for value in LOOKALIKES]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("parts", [("a", "bc"), ("abc",), ("ab", "c"), ("", "abc"), (["a", "b"], "c")], ids=repr)
def test_the_border_between_parts_is_part_of_the_key(parts):
    others = [p for p in [("a", "bc"), ("abc",), ("ab", "c"), ("", "abc"), (["a", "b"], "c")] if p != parts]
    assert hash_parts("x", *parts) not in {hash_parts("x", *other) for other in others}


def test_the_kind_keeps_keys_apart():
    assert hash_parts("file", "a") != hash_parts("frame", "a")


def test_the_order_of_a_mapping_does_not_matter():
    items = [("b", 1), ("a", {"y": 2, "x": 3}), ("c", None)]
    assert len({hash_parts("x", dict(order)) for order in itertools.permutations(items)}) == 1


def test_what_is_no_plain_value_is_refused():
    with pytest.raises(TypeError, match="a set cannot be part of a key"):
        hash_parts("x", {1, 2})


def test_algorithms():
    assert hash_bytes(b"").startswith("xxh3_128:")
    assert hash_bytes(b"", "sha256") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with pytest.raises(ValueError, match="unknown hash algorithm 'md5'"):
        new_hasher("md5")


def test_combined_names_the_parts_of_its_parts():
    plan = Fingerprint("xxh3_128:1", {"polars": "2.1.0", "expression x": "xxh3_128:2"})
    found = combined("feature", {"plan": plan, "embargo": 5})
    assert set(found.parts) == {"plan", "plan: polars", "plan: expression x", "embargo"}
    assert found == combined("feature", {"embargo": 5, "plan": plan})
    assert found != combined("feature", {"embargo": 6, "plan": plan})
    assert found != combined("feature", {"embargo": 5, "plan": Fingerprint("xxh3_128:9", plan.parts)})


def test_the_names_of_parts_do_not_decide():
    assert Fingerprint("k", {"a": "1"}) == Fingerprint("k", {"b": "2"})
    assert hash(Fingerprint("k", {"a": "1"})) == hash(Fingerprint("k", {}))


def test_changes_in_words():
    old = {"file a": "h:1", "file b": "h:2", "polars": "2.0.0", "same": "h:3", "plan": "h:4", "plan: x": "h:5"}
    new = {"file a": "h:9", "file c": "h:2", "polars": "2.1.0", "same": "h:3", "plan": "h:8", "plan: x": "h:7"}
    assert changes(old, new) == [
        "file a changed",
        "file c is new",
        "polars changed from 2.0.0 to 2.1.0",
        "plan: x changed",
        "file b is gone",
    ]
    assert changes(old, old) == []


def test_a_fingerprint_is_frozen_and_can_be_pickled():
    found = combined("x", {"a": 1})
    with pytest.raises(AttributeError):
        found.key = "other"
    with pytest.raises(TypeError):
        found.parts["a"] = "other"
    again = pickle.loads(pickle.dumps(found))
    assert (again.key, dict(again.parts)) == (found.key, dict(found.parts))
    json.dumps(dict(found.parts))


def test_uncacheable_says_why():
    assert Uncacheable("the clock").reason == str(Uncacheable("the clock")) == "the clock"
