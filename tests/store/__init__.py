"""The store and the feature cache: nothing stale, nothing needlessly recomputed, nothing lost."""
