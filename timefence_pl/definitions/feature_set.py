"""Named groups of features, and the flat list that every run works on.

Takes features and sets of them, gives one checked list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from timefence_pl.choices import shortened
from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.frozen import Frozen
from timefence_pl.definitions.names import checked_name, sanitised
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceConfigError, TimefenceValidationError, message

__all__ = ["AnyFeature", "FeatureSet", "Features", "distinct_sources", "flat_features"]


class FeatureSet(Frozen):
    """A flat, named, iterable group of features.

    Args:
        name: The group's name.
        features: Features; no sets of sets.

    Raises:
        TimefenceConfigError: If an element is not a feature, or two have the same name.
        TimefenceValidationError: If there are no features.
    """

    #: The group's name.
    name: str
    #: Its features, in order.
    features: tuple[Feature | Window, ...]

    def __init__(self, name: str, features: Iterable[Feature | Window]) -> None:
        if not _is_iterable(features):
            raise TimefenceConfigError(
                message(
                    f"The features of a FeatureSet are {shortened(features)}, not a list.",
                    fix="Give a list of tf.Feature and tf.Window values.",
                )
            )
        self._set(name=checked_name("feature set", name), features=tuple(features))
        nested = next((f for f in self.features if isinstance(f, FeatureSet)), None)
        if nested is not None:
            raise TimefenceConfigError(
                message(f"{nested!r} is not a feature but a FeatureSet.", fix="Give its features: [*set, ...].")
            )
        flat_features(self.features)

    def __iter__(self) -> Iterator[Feature | Window]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __repr__(self) -> str:
        return f"FeatureSet(name={self.name!r}, features={[f.name for f in self.features]})"


#: A column computed per source row, or per label.
AnyFeature = Feature | Window
Features = Feature | Window | FeatureSet | Sequence[Feature | Window | FeatureSet]


def flat_features(features: Features) -> list[AnyFeature]:
    """All features in order, each checked to be one, under names that stay apart when sanitised.

    Raises:
        TimefenceValidationError: If there are no features.
        TimefenceConfigError: If an element is not a feature, or two names are the same once sanitised.
    """
    given = (
        [features]
        if isinstance(features, Feature | Window)
        else list(features)
        if _is_iterable(features)
        else [features]
    )
    flat: list[AnyFeature] = []
    for item in given:
        if isinstance(item, FeatureSet):
            flat.extend(item)
        elif isinstance(item, Feature | Window):
            flat.append(item)
        else:
            raise TimefenceConfigError(
                message(
                    f"{shortened(item)} is not a feature but a {type(item).__name__}.",
                    fix="Give tf.Feature, tf.Window or tf.FeatureSet values.",
                )
            )
    if not flat:
        raise TimefenceValidationError(message("There are no features.", fix="Give at least one tf.Feature."))
    seen: dict[str, str] = {}
    for feature in flat:
        plain = sanitised(feature.name)
        if plain in seen:
            raise TimefenceConfigError(
                message(
                    f"Two features have the same name {feature.name!r}."
                    if seen[plain] == feature.name
                    else f"The feature names {seen[plain]!r} and {feature.name!r} are the same once sanitised ({plain!r}).",
                    why="Their columns could not be told apart.",
                    fix="Give one of them another name=.",
                )
            )
        seen[plain] = feature.name
    return flat


def distinct_sources(features: Sequence[AnyFeature]) -> tuple[list[Source], list[int]]:
    """The sources of features, each once though it may be declared several times, and the place of each feature's."""
    sources: dict[object, Source] = {}
    places = []
    for feature in features:
        key = (feature.source.name, feature.source.identity())
        sources.setdefault(key, feature.source)
        places.append(list(sources).index(key))
    return list(sources.values()), places


def _is_iterable(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
