"""Remote objects as sources and labels, from a server of this process: over HTTP and as S3 speaks it."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels, source, values
from timefence_pl.errors import TimefenceError
from timefence_pl.fingerprint import FileHasher, Uncacheable, fingerprint_plan, object_version


class Objects(BaseHTTPRequestHandler):
    """Serves the files of a folder, whole and in ranges."""

    folder: Path
    #: Made of an object's bytes; None for a server that sends none.
    tag: Callable[[bytes], str] | None = staticmethod(lambda content: f'"{hashlib.md5(content).hexdigest()}"')
    protocol_version = "HTTP/1.1"

    def _serve(self, *, body: bool) -> None:
        file = self.folder / self.path.split("?")[0].lstrip("/").removeprefix("bucket/")
        if not file.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content, status = file.read_bytes(), 200
        tag = self.tag(content) if self.tag else None
        asked = self.headers.get("Range")
        whole = len(content)
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(whole - int(last), 0)
            end = min(int(last), whole - 1) if first and last else whole - 1
            content, status = content[start : end + 1], 206
        self.send_response(status)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end}/{whole}")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        if tag:
            self.send_header("ETag", tag)
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_GET(self) -> None:
        self._serve(body=True)

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def handler(tmp_path: Path) -> type[Objects]:
    """Serves ``e.parquet``, ``e.csv`` and ``l.parquet``."""
    EVENTS.write_parquet(tmp_path / "e.parquet")
    EVENTS.write_csv(tmp_path / "e.csv")
    LABELS.write_parquet(tmp_path / "l.parquet")
    return type("Handler", (Objects,), {"folder": tmp_path})


@pytest.fixture
def server(handler: type[Objects]) -> Iterator[str]:
    """The address of a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _s3(server: str) -> dict[str, Any]:
    return {
        "aws_endpoint_url": server,
        "aws_allow_http": "true",
        "aws_skip_signature": "true",
        "aws_region": "us-east-1",
        "max_retries": 0,
    }


def test_objects_of_s3_are_sources_and_labels(server: str) -> None:
    one = feature("s3://bucket/e.parquet", source_storage_options=_s3(server))
    given = labels("s3://bucket/l.parquet", storage_options=_s3(server))
    assert values(given, one) == EXPECTED
    assert one.source.described() == "s3://bucket/e.parquet"
    assert tf.Source("s3://bucket/e.parquet", keys="k", timestamp="t").name == "e"


@pytest.mark.parametrize("name", ["e.parquet", "e.csv"])
def test_objects_are_read_over_http(server: str, name: str) -> None:
    assert values(labels(), feature(f"{server}/{name}")) == EXPECTED


@pytest.mark.parametrize("name", ["e.parquet", "e.csv"])
@pytest.mark.parametrize("kind", ["rows", "windows"])
def test_audits_over_http_find_where_wrong_values_come_from(server: str, name: str, kind: str) -> None:
    """Of rows that differ, the source is read once more."""

    def made(data: object) -> tf.Feature | tf.Window:
        if kind == "rows":
            return feature(data)
        return tf.Window(source(data), {"total": pl.col("x").sum()}, windows=[3], name="w")

    later = LABELS.with_columns(pl.col("at") + 1)
    late = tf.build(labels(later), made(EVENTS)).frame().with_columns(LABELS["at"])
    given = {"keys": "k", "label_time": "at", "check_lookahead": False}
    here, there = (tf.audit(late, made(data), **given) for data in (EVENTS, f"{server}/{name}"))
    (told,), (same,) = there.features.values(), here.features.values()
    assert told.counts == same.counts
    assert told.counts["ok"] < late.height
    assert told.rows.equals(same.rows)


def test_a_file_uri_is_a_file(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "e f.parquet")
    assert values(labels(), feature(f"file://{tmp_path}/e f.parquet")) == EXPECTED


@pytest.mark.parametrize("uri", ["file://{}/*.parquet", "file://{}/p?.parquet", "file://localhost{}", "FILE://{}/**"])
def test_a_file_uri_may_be_a_glob_or_a_folder(tmp_path: Path, uri: str) -> None:
    folder = tmp_path / "with a blank"
    folder.mkdir()
    EVENTS.head(1).write_parquet(folder / "p1.parquet")
    EVENTS.tail(2).write_parquet(folder / "p2.parquet")
    one = feature(uri.format(str(folder).replace(" ", "%20")), source_format="parquet")
    assert values(labels(), one) == EXPECTED
    assert [Path(name).name for name in one.source.files()] == ["p1.parquet", "p2.parquet"]


def test_a_file_uri_may_have_escapes_or_be_a_path_as_it_is(tmp_path: Path) -> None:
    for name, rows in {"a b": EVENTS, "a%20b": LABELS, "p=d%2Fe": EVENTS, "#1": EVENTS}.items():
        (tmp_path / name).mkdir()
        rows.write_parquet(tmp_path / name / "e.parquet")
    for spelled in ("a b", "a%20b", "p=d%252Fe", "p=d%2Fe", "%231", "#1"):
        uri = f"file://{tmp_path}/{spelled}/e.parquet"
        assert values(labels(), feature(uri)) == EXPECTED
        if spelled == "p=d%2Fe":
            continue  # Polars knows it escaped only
        result = tf.build(labels(), feature(pl.scan_parquet(uri)), store=tf.Store(tmp_path / "store"))
        assert result.frame()["f__x"].to_list() == EXPECTED
        assert result.manifest["features"]["f"]["cache_key"]


def test_file_uris_that_find_nothing_are_errors_of_ours(tmp_path: Path) -> None:
    for name in ("*.parquet", "gone.parquet"):
        with pytest.raises(TimefenceError, match="finds no parquet file|does not exist"):
            tf.point_in_time(labels(), feature(f"file://{tmp_path}/{name}"))
    with pytest.raises(TimefenceError, match="names a file of the machine 'data'"):
        feature("file://data/e.parquet")


@pytest.mark.parametrize("uri", ["s3://bucket/*.parquet", "gs://bucket/day=*/e.csv"])
def test_globs_of_remote_objects_are_refused(uri: str) -> None:
    kind = uri.rpartition(".")[2]
    with pytest.raises(TimefenceError, match=rf"globs of remote objects are not expanded(.|\n)*pl.scan_{kind}\('"):
        feature([uri])
    with pytest.raises(TimefenceError, match="labels cannot be read from"):
        labels(uri)


def test_a_star_in_an_address_is_a_character(server: str, tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "e*.parquet")
    assert values(labels(), feature(f"{server}/e*.parquet")) == EXPECTED


# --- versions -----------------------------------------------------------------------------------------------------------


def _sources(server: str) -> dict[str, tf.Source]:
    s3 = {"storage_options": _s3(server)}
    return {
        "s3": source("s3://bucket/e.parquet", **s3),
        "http": source(f"{server}/e.parquet"),
        "csv": source(f"{server}/e.csv"),
        "s3 plan": source(pl.scan_parquet("s3://bucket/e.parquet", **s3)),
        "http plan": source(pl.scan_parquet(f"{server}/e.parquet")),
    }


@pytest.mark.parametrize("kind", ["s3", "http", "csv", "s3 plan", "http plan"])
def test_objects_that_did_not_change_are_not_computed_again(server: str, tmp_path: Path, kind: str) -> None:
    store = tf.Store(tmp_path / "store")
    given = labels("s3://bucket/l.parquet", storage_options=_s3(server))
    one = tf.Feature(_sources(server)[kind], columns="x", name="f")

    def built() -> tuple[bool, bool, list[Any]]:
        result = tf.build(given, one, tmp_path / "o.parquet", store=store)
        manifest = result.manifest
        return manifest["reused"], manifest["features"]["f"]["cached"], result.frame()["f__x"].to_list()

    assert built() == (False, False, EXPECTED)
    assert built() == (True, True, EXPECTED)
    changed = EVENTS.with_columns(pl.col("x") + 1)
    changed.write_parquet(tmp_path / "e.parquet")
    changed.write_csv(tmp_path / "e.csv")
    name = "e.csv" if kind == "csv" else "e.parquet"
    assert f"file {name} changed" in str(tf.explain(given, one, store=store)).replace("\n", " ")
    later = [None if x is None else x + 1 for x in EXPECTED]
    assert built() == (False, False, later)
    assert built() == (True, True, later)


@pytest.mark.parametrize(
    ("tag", "reason"),
    [(None, "has no version or strong ETag"), (lambda _: 'W/"1"', "has no version or strong ETag")],
    ids=["none", "weak"],
)
def test_what_has_no_version_is_computed_every_time(
    server: str, handler: type[Objects], tmp_path: Path, tag: Any, reason: str
) -> None:
    handler.tag = staticmethod(tag) if tag else None
    store = tf.Store(tmp_path / "store")
    one = feature("s3://bucket/e.parquet", source_storage_options=_s3(server))
    for _ in range(2):
        assert tf.build(labels(), one, store=store).manifest["features"]["f"]["cached"] is False
    assert reason in str(tf.explain(labels(), one, store=store)).replace("\n", " ")


@pytest.mark.parametrize("name", ["e.parquet", "e.csv"])
def test_an_object_that_changes_between_asking_and_reading_is_not_kept(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = (tmp_path / name).read_bytes()
    changed = EVENTS.with_columns(x=pl.lit(70))
    kept = FileHasher._version
    asked: list[str] = []

    def version(self: FileHasher, uri: str, options: Any) -> str:
        found = kept(self, uri, options)
        if not asked:
            changed.write_csv(tmp_path / name) if name.endswith("csv") else changed.write_parquet(tmp_path / name)
        asked.append(uri)
        return found

    monkeypatch.setattr(FileHasher, "_version", version)
    store = tf.Store(tmp_path / "store")
    later = [70, 70, 70, None]
    for cached, expected in ((False, later), (False, later), (True, later), (False, EXPECTED), (True, EXPECTED)):
        if expected is EXPECTED:
            (tmp_path / name).write_bytes(before)
        result = tf.build(labels(), feature(f"{server}/{name}"), store=store)
        assert result.manifest["features"]["f"]["cached"] is cached
        assert result.frame()["f__x"].to_list() == expected


def test_without_the_package_that_asks_nothing_is_kept(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    store = tf.Store(tmp_path / "store")
    one = feature(f"{server}/e.parquet")
    assert tf.build(labels(), one, store=store).manifest["features"]["f"]["cached"] is False
    assert "install timefence-pl[remote]" in str(tf.explain(labels(), one, store=store)).replace("\n", " ")


@pytest.mark.parametrize(
    ("uri", "options", "reason"),
    [
        ("az://box/e.parquet", {}, "a kind of store that is not asked"),
        ("s3://bucket/none.parquet", {}, "404"),
        ("s3://bucket/a%20b.parquet", {}, "holds a %"),
        ("s3://bucket/e.parquet", {"such": "1"}, "'such' is not valid"),
        ("s3://bucket/e.parquet", {"aws_endpoint_url": "http://127.0.0.1:9"}, "cannot be asked for: HTTP error"),
        ("{server}/e.parquet?sig=SECRET", {"such": "1"}, "options that are not known: such"),
        ("{server}/none.parquet?sig=SECRET", {}, "404"),
    ],
)
def test_why_a_version_is_not_known(server: str, uri: str, options: dict[str, str], reason: str) -> None:
    given = {**_s3(server), **options} if uri.startswith("s3") else options
    with pytest.raises(Uncacheable, match=reason) as raised:
        object_version(uri.format(server=server), given)
    assert "SECRET" not in raised.value.reason


def test_a_credential_provider_of_the_users_is_not_asked(server: str) -> None:
    def credentials() -> Any:
        return {"aws_access_key_id": "a", "aws_secret_access_key": "b"}, None

    plan = pl.scan_parquet(
        "s3://bucket/e.parquet",
        storage_options=_s3(server),
        credential_provider=credentials,
        schema=dict(EVENTS.schema),
    )
    with pytest.raises(Uncacheable, match="credential provider"):
        fingerprint_plan(plan)


def test_a_place_that_tells_no_version_is_asked_once() -> None:
    asked = []

    def version(uri: str, _options: Any) -> str:
        asked.append(uri)
        raise Uncacheable(f"{uri} says nothing")

    files = FileHasher(versions=version)
    for _ in range(2):
        with pytest.raises(Uncacheable, match="s3://b/0 says nothing"):
            files.hash_all([f"s3://b/{i}" for i in range(50)])
    assert asked == ["s3://b/0"]
    with pytest.raises(Uncacheable, match="s3://c/0"):
        files.hash("s3://c/0")


def test_options_from_the_environment_count_as_polars_counts_them(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _s3(server).items():
        monkeypatch.setenv(name.upper(), str(value))
    found = object_version("s3://bucket/e.parquet")
    assert found.startswith("ETag=")
    assert found.endswith(f"at={server}")
    assert object_version("s3://bucket/e.parquet", _s3(server)) == found


@pytest.mark.parametrize("lazy", [False, True])
def test_what_an_address_hides_is_written_nowhere(server: str, tmp_path: Path, lazy: bool) -> None:
    address = server.replace("http://", "http://me:PASSWORD@") + "/{}?sig=SECRET"
    store, folder = tf.Store(tmp_path / "store"), tmp_path / "store"
    data = pl.scan_parquet(address.format("e.parquet")) if lazy else address.format("e.parquet")
    one = feature(data, **({} if lazy else {"source_format": "parquet"}))
    given = labels(address.format("l.parquet"), format="parquet")
    told = [repr(one), repr(one.source), repr(given)]
    for cached in (False, True):
        result = tf.build(given, one, tmp_path / "o.parquet", store=store)
        assert result.manifest["features"]["f"]["cached"] is cached
        told += [str(result), result._repr_html_(), str(result.manifest), str(tf.explain(given, one, store=store))]
    (tmp_path / "e.parquet").unlink()
    with pytest.raises(TimefenceError) as raised:
        tf.build(given, one, store=store)
    told.append(str(raised.value))
    if not lazy:
        assert "/e.parquet?..." in repr(one.source)
    written = [p.read_bytes().decode(errors="replace") for p in folder.rglob("*") if p.is_file()]
    assert written
    for text in [*told, *written]:
        assert "SECRET" not in text
        assert "PASSWORD" not in text
