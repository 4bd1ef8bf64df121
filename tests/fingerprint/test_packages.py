"""Installed packages enter by name and version, those without a version of their own by their files."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
    import json, sys
    sys.path.insert(0, sys.argv[1])
    from timefence_pl.fingerprint import fingerprint_callable
    import acme.tools
    from acme import tools

    def through_the_module(x): return acme.tools.double(x)
    def by_name(x, double=tools.double): return double(x)
    def in_a_closure(): return lambda x: tools.Doubler(2)(x)
    def imported_inside(x):
        from acme.tools import double
        return double(x)
    def wrapped(x): return x + 1
    wrapped = tools.wrap(wrapped)
    LIMIT = tools.LIMIT
    def instance(x, doubler=tools.Doubler(2)): return doubler(x)

    functions = (through_the_module, by_name, in_a_closure(), imported_inside, wrapped, instance)
    found = {f"{i}": fingerprint_callable(f) for i, f in enumerate(functions)}
    print(json.dumps({n: [f.key, dict(f.parts)] for n, f in found.items()}))
"""
TOOLS = """
    import functools

    LIMIT = 3

    def double(x):
        return x * 2

    def wrap(function):
        @functools.wraps(function)
        def inner(x):
            return function(x)
        return inner

    class Doubler:
        def __init__(self, by):
            self.by = by

        def __call__(self, x):
            return x * self.by
"""


def _install(folder, *, version="1.0", tools=TOOLS, direct=None, name="acme-kit"):
    site = folder / "site-packages"
    (site / "acme").mkdir(parents=True)
    (site / "acme" / "__init__.py").write_text("")
    (site / "acme" / "tools.py").write_text(textwrap.dedent(tools))
    info = site / f"acme_kit-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    record = (
        f"acme/__init__.py,sha256=a,0\nacme/tools.py,sha256=h{len(tools)},1\nacme_kit-{version}.dist-info/RECORD,,\n"
    )
    (info / "RECORD").write_text(record)
    if direct is not None:
        (info / "direct_url.json").write_text(json.dumps(direct))
    return site


def _keys(folder, site, script=SCRIPT):
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, str(path), str(site)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    return _keys(folder, _install(folder))


def test_the_version_of_a_package_counts(first, tmp_path):
    other = _keys(tmp_path, _install(tmp_path, version="1.1"))
    assert {name for name in first if first[name][0] == other[name][0]} == set()
    assert {found[1]["package acme-kit"] for found in first.values()} == {"1.0"}
    assert {found[1]["package acme-kit"] for found in other.values()} == {"1.1"}


def test_the_folder_of_a_package_does_not_count(first, tmp_path):
    assert _keys(tmp_path, _install(tmp_path)) == first


def test_the_users_function_inside_an_installed_wrapper_counts(first, tmp_path):
    changed = SCRIPT.replace("def wrapped(x): return x + 1", "def wrapped(x): return x + 2")
    other = _keys(tmp_path, _install(tmp_path), changed)
    assert {name for name in first if first[name][0] != other[name][0]} == {"4"}


def test_a_package_installed_from_a_folder_counts_by_its_files(tmp_path):
    local = {"url": "file:///project", "dir_info": {}}
    one = _keys(tmp_path, _install(tmp_path / "1", direct=local))
    same = _keys(tmp_path, _install(tmp_path / "2", direct=local))
    other = _keys(tmp_path, _install(tmp_path / "3", tools=TOOLS.replace("LIMIT = 3", "LIMIT = 30"), direct=local))
    assert one == same
    assert {name for name in one if one[name][0] == other[name][0]} == set()


def test_a_lone_file_beside_the_packages_is_the_users_own(tmp_path):
    script = "import json, sys\nsys.path.insert(0, sys.argv[1])\nimport lone\n" + textwrap.dedent("""
        from timefence_pl.fingerprint import fingerprint_callable
        found = fingerprint_callable(lambda x: lone.double(x))
        print(json.dumps({"lone": [found.key, dict(found.parts)]}))
    """)
    keys = []
    for number in (2, 3):
        site = tmp_path / str(number) / "site-packages"
        site.mkdir(parents=True)
        (site / "lone.py").write_text(f"def double(x): return x * {number}\n")
        keys.append(_keys(tmp_path, site, script)["lone"])
    assert keys[0][0] != keys[1][0]
    assert "function lone.double" in keys[0][1]
