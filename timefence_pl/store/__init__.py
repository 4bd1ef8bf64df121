"""Bytes on disk: layout, whole files, cached feature frames, builds, upkeep. Knows no definitions."""
