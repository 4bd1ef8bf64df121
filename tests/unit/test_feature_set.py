"""Sets of features, and the flat list of them that every run works on."""

from __future__ import annotations

from typing import Any

import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, feature, labels, source
from timefence_pl.definitions.feature_set import flat_features
from timefence_pl.errors import TimefenceConfigError, TimefenceValidationError


def names(features: Any) -> list[str]:
    return [f.name for f in flat_features(features)]


def test_a_set_is_named_ordered_and_iterable() -> None:
    group = tf.FeatureSet("churn", [feature(name="b"), feature(name="a")])
    assert group.name == "churn"
    assert [f.name for f in group] == ["b", "a"]
    assert len(group) == 2
    assert repr(group) == "FeatureSet(name='churn', features=['b', 'a'])"


def test_features_are_a_feature_features_or_sets_of_them() -> None:
    a, b, c = (feature(name=n) for n in "abc")
    assert names(a) == ["a"]
    assert names([b, a]) == ["b", "a"]
    assert names((a, tf.FeatureSet("s", [c, b]))) == ["a", "c", "b"]
    assert names(tf.FeatureSet("s", (f for f in (a, b)))) == ["a", "b"]
    assert names(f for f in (a, b)) == ["a", "b"]


@pytest.mark.parametrize("given", [None, 5, "f", EVENTS, [EVENTS], ["f"], [[feature()]], {"f": 1}, [None], source()])
def test_anything_else_is_refused_with_its_type(given: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="is not a feature but a"):
        flat_features(given)


@pytest.mark.parametrize("given", [[], (), iter([])])
def test_no_features_are_refused(given: Any) -> None:
    with pytest.raises(TimefenceValidationError, match="There are no features"):
        tf.build(labels(), given)
    with pytest.raises(TimefenceValidationError, match="There are no features"):
        tf.FeatureSet("s", [])


def test_sets_hold_no_sets() -> None:
    with pytest.raises(TimefenceConfigError, match="is not a feature but a FeatureSet"):
        tf.FeatureSet("outer", [tf.FeatureSet("inner", [feature()])])  # type: ignore[list-item]


def test_two_features_of_one_name_are_refused() -> None:
    for given in ([feature(), feature()], [feature(), tf.FeatureSet("s", [feature()])]):
        with pytest.raises(TimefenceConfigError, match="Two features have the same name 'f'"):
            flat_features(given)
    with pytest.raises(TimefenceConfigError, match="Two features have the same name 'f'"):
        tf.FeatureSet("s", [feature(), feature()])


@pytest.mark.parametrize(("one", "other"), [("feat-a", "feat_a"), ("feat a", "feat_a"), ("a.b", "a-b"), ("^x$", "_x_")])
def test_names_that_are_the_same_once_sanitised_are_refused(one: str, other: str) -> None:
    with pytest.raises(TimefenceConfigError, match=r"are the same once sanitised"):
        tf.point_in_time(labels(), [feature(name=one), feature(name=other)])


@pytest.mark.parametrize("attribute", ["name", "features", "new"])
def test_a_set_is_frozen(attribute: str) -> None:
    group = tf.FeatureSet("s", [feature()])
    with pytest.raises(TimefenceConfigError, match=f"FeatureSet is frozen; '{attribute}' cannot be"):
        setattr(group, attribute, ())
    assert isinstance(group.features, tuple)


@pytest.mark.parametrize("name", ["", "../s", 5, None])
def test_a_set_has_a_valid_name(name: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="is not a valid feature set name"):
        tf.FeatureSet(name, [feature()])
