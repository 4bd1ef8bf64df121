"""Definitions to lazy frames: pure, and without reading a row."""
