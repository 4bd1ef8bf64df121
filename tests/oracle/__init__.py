"""The brute-force oracle: plain Python loops that say what a point-in-time training set must be.

Nothing in here may import the package, except ``compare`` and ``program``, which put its answers beside the oracle's.
"""
