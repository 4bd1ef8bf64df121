"""What stores of remote objects say of an object's version, without reading it.

Takes a URI and the options it is read with (as given to Polars, or as a plan keeps them), gives a text that changes with
the content: ETag, version id and size. A weak ETag is none: it stays the same where bytes change that "do not matter".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

from timefence_pl.fingerprint.keys import Uncacheable
from timefence_pl.fingerprint.msgpack import as_bytes

__all__ = ["object_version"]

#: Schemes, and what the names of their options may begin with.
_SCHEMES: Final = {
    "s3": "aws_",
    "s3a": "aws_",
    "gs": "google_",
    "http": "",
    "https": "",
}
#: Options of the connection, which all stores share.
_CONNECTION: Final = frozenset(
    (
        *(
            "allow_http",
            "allow_invalid_certificates",
            "connect_timeout",
            "http1_only",
            "http2_only",
            "pool_idle_timeout",
        ),
        *("pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url", "timeout", "user_agent"),
    )
)
#: How often and how long Polars tries, and what it keeps on this machine.
_NEUTRAL: Final = frozenset(
    (
        *("file_cache_ttl", "max_retries", "retry_base_multiplier", "retry_init_backoff_ms", "retry_max_backoff_ms"),
        "retry_timeout_ms",
    )
)
#: A store that does not answer soon is read without its answer.
_PATIENCE: Final = {"connect_timeout": "3s", "timeout": "20s"}
_TRIES: Final = {"max_retries": 1}


def object_version(uri: str, options: Mapping[str, Any] | None = None) -> str:
    """The version of a remote object.

    Args:
        uri: On S3, Google Cloud Storage or a web server.
        options: How it is read: Polars' ``storage_options``, or the ``cloud_options`` of a plan. Credentials are taken
            from them, from the environment, or from the machine's own identity, not from profiles in files.

    Raises:
        Uncacheable: If there is none, or it cannot be asked for; with the reason.
    """
    scheme, _, rest = uri.partition("://")
    prefix = _SCHEMES.get(scheme.lower())
    if prefix is None:
        raise Uncacheable(f"the remote object {uri} is in a kind of store that is not asked for versions")
    given, connection = _split(options or {}, prefix, uri)
    try:
        import obstore.store  # noqa: PLC0415 - optional
    except ImportError as error:
        raise Uncacheable(
            f"the version of the remote object {uri} is asked for with the package obstore, which is missing: "
            "install timefence-pl[remote]"
        ) from error
    web = not prefix
    bucket, _, name = rest.partition("/")
    if not web and "%" in name:
        raise Uncacheable(f"the name of the remote object {uri} holds a %, which may stand for another character")
    if web and scheme.lower() == "http":
        connection["allow_http"] = "true"
    opened: Any = obstore.store.from_url  # its types know each store's options by name
    try:
        store = opened(
            uri if web else f"{scheme}://{bucket}",
            client_options={**_PATIENCE, **connection},
            retry_config=_TRIES,
            **({"config": given} if given else {}),
        )
        found = obstore.head(store, "" if web else name)
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise Uncacheable(f"the version of the remote object {uri} cannot be asked for: {_reason(error)}") from error
    tag, version = found.get("e_tag"), found.get("version")
    if tag is not None and str(tag).startswith("W/"):
        tag = None
    if not tag and not version:
        raise Uncacheable(f"the remote object {uri} has no version or strong ETag")
    at = next((value for key, value in given.items() if "endpoint" in key), os.environ.get("AWS_ENDPOINT_URL", ""))
    return f"ETag={tag or ''} version={version or ''} size={found['size']} at={at}"


def _split(options: Mapping[str, Any], prefix: str, uri: str) -> tuple[dict[str, str], dict[str, str]]:
    """Options of the store, and of the connection."""
    pairs = _of_plan(options, uri) if "credential_provider" in options or "config" in options else options.items()
    given: dict[str, str] = {}
    names = {name: f"{prefix}{name}".upper() for name in _CONNECTION} if prefix else {}
    connection = {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}
    for key, value in pairs:
        name = str(key).lower()
        plain = name.removeprefix(prefix)
        if plain in _CONNECTION:
            connection[plain] = _text(value)
        elif name not in _NEUTRAL:
            given[name] = _text(value)
    if given and not prefix:
        raise Uncacheable(f"the remote object {uri} is read with options that are not known: {', '.join(given)}")
    return given, connection


def _of_plan(options: Mapping[str, Any], uri: str) -> list[tuple[str, Any]]:
    """The names and values of a plan's ``cloud_options``, whose names are those of Polars' own types."""
    provider, config = options.get("credential_provider"), options.get("config")
    builder = as_bytes(provider.get("Builder")) if isinstance(provider, dict) else b""
    if provider is not None and b"AutoInit" not in (builder or b""):  # Polars' own looks for the same object
        raise Uncacheable(f"the remote object {uri} is read with a credential provider, which is not asked")
    if config is None:
        return []
    if not isinstance(config, dict) or len(config) != 1 or not isinstance(next(iter(config.values())), list):
        raise Uncacheable(f"the remote object {uri} is read with options that are not known")
    pairs: list[tuple[str, Any]] = []
    for name, value in next(iter(config.values())):
        own = name.get("Client") if isinstance(name, dict) and len(name) == 1 else name
        if not isinstance(own, str):
            raise Uncacheable(f"the remote object {uri} is read with options that are not known: {name}")
        pairs.append((re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", own).lower(), value))
    return pairs


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reason(error: BaseException) -> str:
    """What an error says, without the address, which may hold a signature."""
    lines = str(error).strip().splitlines()
    return (lines[0].rpartition(" - ")[2] if lines else type(error).__name__)[:200]
