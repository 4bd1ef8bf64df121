"""Remote objects as sources and labels, from a server of this process: over HTTP and as S3 speaks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels, source, values
from timefence_pl.errors import TimefenceError


class Objects(BaseHTTPRequestHandler):
    """Serves the files of a folder, whole and in ranges."""

    folder: Path
    protocol_version = "HTTP/1.1"

    def _serve(self, *, body: bool) -> None:
        file = self.folder / self.path.split("?")[0].lstrip("/").removeprefix("bucket/")
        if not file.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content, status = file.read_bytes(), 200
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
        self.send_header("ETag", '"1"')
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
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of ``e.parquet``, ``e.csv`` and ``l.parquet``."""
    EVENTS.write_parquet(tmp_path / "e.parquet")
    EVENTS.write_csv(tmp_path / "e.csv")
    LABELS.write_parquet(tmp_path / "l.parquet")
    handler = type("Handler", (Objects,), {"folder": tmp_path})
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


def test_what_has_no_version_is_computed_every_time(server: str, tmp_path: Path) -> None:
    one = feature("s3://bucket/e.parquet", source_storage_options=_s3(server))
    for _ in range(2):
        recorded = tf.build(labels(), one, store=tf.Store(tmp_path / "store")).manifest["features"]["f"]
        assert recorded["cached"] is False
        assert "remote object s3://bucket/e.parquet has no version" in recorded["cache_reason"]


@pytest.mark.parametrize("run", [tf.point_in_time, tf.build, tf.explain])
def test_an_object_that_is_not_there_is_an_error_of_ours(server: str, run: Any) -> None:
    for options in ({"data": f"{server}/gone.parquet"}, {"data": "s3://bucket/gone.parquet", **_of(server)}):
        with pytest.raises(TimefenceError, match=r"source 'events'(.|\n)*gone\.parquet"):
            run(labels(), feature(**options))


def _of(server: str) -> dict[str, Any]:
    return {"source_storage_options": _s3(server)}


def test_a_server_that_does_not_answer_is_an_error_of_ours() -> None:
    options = _s3("http://127.0.0.1:9")
    with pytest.raises(TimefenceError, match="source 'events'"):
        tf.build(labels(), feature("s3://bucket/e.parquet", source_storage_options=options))
