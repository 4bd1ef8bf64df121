"""The command line: parsing, files, printing and exit codes over the public interface.

A command imports Polars only when it works on data, so that help and completion answer at once.
"""
