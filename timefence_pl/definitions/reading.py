"""How files are read, as users say it; shared by sources and labels.

Takes raw arguments, gives checked options. Opens no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from timefence_pl.choices import boolean, shortened
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, TimefenceValidationError, message

__all__ = ["reading_options"]


def reading_options(
    role: str,
    *,
    delimiter: object,
    timestamp_format: object,
    schema: object,
    hive_partitioning: object,
    storage_options: object,
) -> dict[str, Any]:
    """The options that are given, checked.

    Args:
        role: Whose they are, for messages.
        delimiter: One byte.
        timestamp_format: A text; with one, readers do not guess at times themselves.
        schema: Types by column.
        hive_partitioning: A boolean.
        storage_options: A mapping of texts to anything.

    Raises:
        TimefenceConfigError: If one is invalid.
        TimefenceValidationError: If the delimiter is no single byte.
        TimefenceSchemaError: If a type of the schema is none.
    """
    if delimiter is not None and (not isinstance(delimiter, str) or not _is_byte(delimiter)):
        raise TimefenceValidationError(
            message(f"delimiter={shortened(delimiter)} of {role} is not a single character.", fix="Use one, as in ';'.")
        )
    if timestamp_format is not None and (not isinstance(timestamp_format, str) or "%" not in timestamp_format):
        raise TimefenceConfigError(
            message(
                f"timestamp_format={shortened(timestamp_format)} of {role} is not a format of times.",
                fix="Give one as in '%Y-%m-%d %H:%M:%S'.",
            )
        )
    if hive_partitioning is not None:
        boolean(hive_partitioning, "hive_partitioning", of=role)
    if storage_options is not None and not _is_mapping(storage_options):
        raise TimefenceConfigError(
            message(
                f"storage_options={shortened(storage_options)} of {role} is not a mapping of names.",
                fix="Give them as for pl.scan_parquet, as in {'aws_region': 'eu-central-1'}.",
            )
        )
    options = {
        "delimiter": delimiter,
        "schema": None if schema is None else _schema(role, schema),
        "hive_partitioning": hive_partitioning,
        "storage_options": storage_options,
        "parse_dates": None if timestamp_format is None else False,
    }
    return {name: value for name, value in options.items() if value is not None}


def _is_byte(text: str) -> bool:
    return len(text) == 1 and text.isascii()


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(n, str) for n in value)


def _schema(role: str, schema: Any) -> pl.Schema:
    if not isinstance(schema, Mapping) or not schema or not _is_mapping(schema):
        raise TimefenceConfigError(
            message(
                f"schema={shortened(schema)} of {role} is not a mapping of columns to types.",
                fix="Give every column of the files, as in {'user': pl.Int64, 'at': pl.Datetime}.",
            )
        )
    made = {}
    for name, dtype in schema.items():
        try:
            made[name] = pl.Schema({name: dtype})[name]
            pl.DataFrame(schema={name: made[name]})
        except Exception as error:
            raise TimefenceSchemaError(
                message(
                    f"schema of {role} gives the column {name!r} the type {shortened(dtype)}, not a type of Polars.",
                    fix="Use a type of Polars, as in pl.Int64 or pl.Datetime('us', 'UTC').",
                )
            ) from error
    return pl.Schema(made)
