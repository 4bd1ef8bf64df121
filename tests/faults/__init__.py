"""Killed builds, many processes, flipped bytes."""
