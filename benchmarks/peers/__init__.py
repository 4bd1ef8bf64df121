"""One script per peer: reads a job, builds its training set, prints one JSON line of measurements.

Each runs in a process of its own (``python -m benchmarks.peers.<name> job.json``), as versions and
allocators differ.
This folder's shared module, ``job``, needs the standard library only.
"""
