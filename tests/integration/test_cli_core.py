"""The command line as a whole: help, completion, errors and exit codes, JSON, colours, widths, progress."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.text import Text

import timefence_pl as tf
from tests.integration.cli import run
from timefence_pl.cli.app import COMMANDS, cli
from timefence_pl.cli.failures import failure_of
from timefence_pl.cli.layout import broken, column_widths
from timefence_pl.cli.session import Session, counted, plain

ROOT = Path(__file__).parents[2]


def walk(command: click.Command, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield names, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            assert found is not None
            yield from walk(found, (*names, name))


TREE = dict(walk(cli))
COMMAND_IDS = [" ".join(n) or "timefence-pl" for n in TREE]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two users, three events, three labels, two features."""
    events = pl.DataFrame({"user": [1, 1, 2], "at": [1, 5, 3], "x": [10, 50, 30]})
    events.with_columns(pl.from_epoch("at", "d")).write_parquet(tmp_path / "events.parquet")
    labels = pl.DataFrame({"user": [1, 2, 3], "label_time": [6, 4, 9], "y": [0, 1, 1]})
    labels.with_columns(pl.from_epoch("label_time", "d")).write_parquet(tmp_path / "labels.parquet")
    (tmp_path / "features.py").write_text(
        "import timefence_pl as tf\n"
        "events = tf.Source('events.parquet', keys='user', timestamp='at')\n"
        "last = tf.Feature(events, columns='x', name='last')\n"
        "late = tf.Feature(events, columns='x', name='late', embargo='3d')\n"
    )
    (tmp_path / "timefence.toml").write_text('features = ["features.py"]\nlabels.path = "labels.parquet"\n')
    return tmp_path


# --- documentation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", TREE, ids=COMMAND_IDS)
def test_every_command_and_option_is_documented(names: tuple[str, ...]) -> None:
    command = TREE[names]
    assert (command.help or "").strip()
    assert command.get_short_help_str(limit=200).endswith(".")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            text = parameter.help or ""
            assert text.strip(), f"{parameter.name} of {names} has no help"
            assert text[0].isupper() or text[0] == "`", f"{parameter.name} of {names}"


def test_every_command_and_option_is_tested() -> None:
    tests = "".join(p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("test_cli*.py"))
    for names, command in TREE.items():
        assert all(f'"{n}"' in tests for n in names), names
        for parameter in command.params:
            words = parameter.opts if isinstance(parameter, click.Option) else []
            assert not words or any(f'"{w}"' in tests for w in words), f"{parameter.name} of {names} is not tested"


@pytest.mark.parametrize("names", TREE, ids=COMMAND_IDS)
def test_every_command_has_help_that_says_so(tmp_path: Path, names: tuple[str, ...]) -> None:
    out = run(tmp_path, *names, "--help").out
    assert out.startswith("Usage: ")
    for parameter in TREE[names].params:
        for word in parameter.opts if isinstance(parameter, click.Option) else ():
            assert word in out


@pytest.mark.parametrize(("name", "line"), [(n, line) for n, (_, line) in COMMANDS.items()])
def test_the_list_of_commands_says_what_their_help_says(name: str, line: str) -> None:
    assert line.endswith(".")
    assert TREE[(name,)].get_short_help_str(limit=200)[:12] == line[:12]


@pytest.mark.parametrize("names", [n for n, c in TREE.items() if getattr(c, "examples", ())], ids=" ".join)
def test_examples_of_the_help_parse(names: tuple[str, ...]) -> None:
    for example in TREE[names].examples:  # type: ignore[attr-defined]
        if not example.startswith("timefence-pl"):
            continue  # a line of a shell's start-up file
        words = shlex.split(example.split("|")[0])[1:]
        assert tuple(words[: len(names)]) == names
        TREE[names].make_context(names[-1], words[len(names) :], obj=Session()).close()


def test_without_words_it_shows_what_there_is(tmp_path: Path) -> None:
    ran = run(tmp_path, code=2)
    assert all(f"  {name}" in ran.err for name in COMMANDS)
    assert "error: " not in ran.err
    assert "verify" in run(tmp_path, "store", code=2).err


def test_the_version(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").out.strip() == f"timefence-pl, version {tf.__version__}"
    assert run(tmp_path, "-v", "--debug", "-V").code == 0


# --- speed and imports ------------------------------------------------------------------------------------------------


def _fresh(code: str, folder: Path, **env: str) -> tuple[str, float]:
    """What a fresh interpreter prints, and the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, seconds


def _bare_command(folder: Path) -> float:
    """CPU seconds of the smallest command that Click can make: what speed is measured by, on a machine of any speed."""
    code = "import click\ntry: click.Command('bare').main(['--help'])\nexcept SystemExit: pass"
    return max(_fresh(code, folder)[1] for _ in range(2))


MAIN = "import sys; sys.argv[1:] = {!r}\nfrom timefence_pl.cli.app import main\ntry: main('timefence-pl')\nexcept SystemExit: pass\n"
HEAVY = "print([m for m in ('polars', 'pyarrow', 'rich', 'numpy', 'orjson') if m in sys.modules])"


@pytest.mark.parametrize("words", [["--help"], ["build", "--help"], ["store", "ls", "--help"]], ids=" ".join)
def test_help_answers_at_once_and_imports_no_polars(tmp_path: Path, words: list[str]) -> None:
    out, seconds = _fresh(MAIN.format(words) + HEAVY, tmp_path)
    assert out.startswith("Usage: timefence-pl")
    assert out.endswith("[]\n")
    assert min(seconds, _fresh(MAIN.format(words), tmp_path)[1]) < 3 * _bare_command(tmp_path)


@pytest.mark.parametrize(
    ("words", "found"),
    [("timefence-pl bu", "plain,build"), ("timefence-pl build --max-st", "plain,--max-staleness")],
)
def test_completion_answers_at_once_and_imports_no_polars(tmp_path: Path, words: str, found: str) -> None:
    env = {
        "_TIMEFENCE_PL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    out, seconds = _fresh(MAIN.format([]) + HEAVY, tmp_path, **env)
    assert out.splitlines() == [found, "[]"]
    assert min(seconds, _fresh(MAIN.format([]), tmp_path, **env)[1]) < 3 * _bare_command(tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(tmp_path: Path, shell: str) -> None:
    script = run(tmp_path, "completion", shell).out
    assert f"_TIMEFENCE_PL_COMPLETE={shell}_complete" in script
    assert run(tmp_path, "completion", shell, "--json").json["script"].strip() == script.strip()


@pytest.mark.parametrize(
    ("shell", "asked", "given"),
    [
        ("zsh", ["-f", "-c", "{load}; print $_comps[timefence-pl]"], "_timefence_pl_completion"),
        (
            "fish",
            ["--no-config", "-c", "{load}; complete -C 'timefence-pl exp'"],
            "explain\tTell how features would be",
        ),
        ("fish", ["--no-config", "-c", "{load}; complete -C 'timefence-pl feat'"], "and look into them."),
        ("fish", ["--no-config", "-c", "{load}; complete -C 'timefence-pl audit labels.p'"], "labels.parquet"),
        ("bash", ["--norc", "-c", "{load}; complete -p timefence-pl"], "_timefence_pl_completion"),
    ],
    ids=["zsh", "fish", "fish's help texts", "files in fish", "bash"],
)
def test_shells_take_their_script(project: Path, shell: str, asked: list[str], given: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    folder = project / "bin"
    folder.mkdir()
    (folder / "timefence-pl").write_text(
        f"#!{sys.executable}\nfrom timefence_pl.cli.app import main\nmain('timefence-pl')\n"
    )
    (folder / "timefence-pl").chmod(0o755)
    (folder / "script").write_text(run(project, "completion", shell).out)
    done = subprocess.run(
        [program, *(word.format(load=f"source {folder / 'script'}") for word in asked)],
        check=False,
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(project)},
    )
    assert done.stderr == ""
    assert given in done.stdout


def _with_umlauts(project: Path) -> None:
    text = (project / "features.py").read_text()
    (project / "features.py").write_text(text.replace("'last'", "'größe'"), encoding="utf-8")


def test_python_m_prints_json_in_utf_8_whatever_the_terminal(project: Path) -> None:
    _with_umlauts(project)
    done = subprocess.run(
        [sys.executable, "-m", "timefence_pl", "catalog", "--json"],
        check=True,
        capture_output=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
    )
    assert [f["name"] for f in json.loads(done.stdout.decode("utf-8"))["features"]] == ["größe", "late"]
    assert done.stderr == b""


def test_a_terminal_that_lacks_letters_is_no_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_umlauts(project)
    monkeypatch.chdir(project)
    result = CliRunner(charset="ascii").invoke(cli, ["catalog"])
    assert result.exit_code == 0, result.output
    assert b"gr\\xf6\\xdfe" in result.stdout_bytes


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["biuld"], 2, "There is no command 'biuld'. Did you mean 'build'?"),
        (["build", "--jsno"], 2, "No such option"),
        (["build", "--split", "train:2024"], 2, "NAME:START:END"),
        (["build", "--keys", "a,,b", "-o", "x.parquet"], 2, "separated by commas"),
        (["build"], 2, "There is no output path."),
        (["build", "-o", "x.txt"], 2, "cannot be told from its suffix"),
        (["build", "-o", "x.parquet", "--max-lookback", "1mo"], 2, "Calendar units"),
        (["build", "-o", "x.parquet", "--labels", "labls.parquet"], 3, "Did you mean 'labels.parquet'?"),
        (["build", "-o", "x.parquet", "--keys", "usr"], 3, "Did you mean 'user'?"),
        (["build", "-o", "x.parquet", "--label-time", "lbl_time"], 3, "Did you mean 'label_time'?"),
        (["build", "-o", "x.parquet", "--features", "featurs.py"], 2, "Did you mean 'features.py'?"),
        (["build", "-o", "x.parquet", "--features", "features.py:lasst"], 2, "Did you mean 'last'?"),
        (["build", "-o", "features.py/x.parquet"], 4, "cannot be written"),
        (["explain", "--row", "99"], 3, "no row 99"),
        (["--config", "nope.toml", "catalog"], 2, "There is no configuration file"),
        (["-C", "nowhere", "catalog"], 2, "does not exist"),
        (["store", "ls"], 3, "There is no store."),
    ],
    ids=lambda w: " ".join(w) if isinstance(w, list) else "",
)
def test_errors_say_why_and_exit_as_documented(project: Path, words: list[str], code: int, said: str) -> None:
    ran = run(project, *words, code=code)
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    told = run(project, *words, "--json", code=code).json["error"]
    assert told["exit_code"] == code
    assert said in told["message"]


def test_debug_shows_the_traceback(project: Path) -> None:
    for words in (["--debug", "build"], ["build", "--debug"]):
        ran = run(project, *words, code=2)
        assert "Traceback" in ran.err
        assert "There is no output path." in ran.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tf.TimefenceLeakageError("x"), 1),
        (tf.TimefenceConfigError("x"), 2),
        (click.UsageError("x"), 2),
        (click.FileError("x"), 2),
        (tf.TimefenceSchemaError("x"), 3),
        (tf.TimefenceDuplicateError("x"), 3),
        (tf.TimefenceTimezoneError("x"), 3),
        (tf.TimefenceValidationError("x"), 3),
        (pl.exceptions.ComputeError("x"), 3),
        (FileNotFoundError("x"), 3),
        (tf.TimefenceStoreError("x"), 4),
        (KeyError("x"), 70),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
    ids=lambda e: type(e).__name__ if isinstance(e, BaseException) else "",
)
def test_each_kind_of_error_has_its_code(error: BaseException, code: int) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert failure.code == code
    assert failure.text


def test_a_fault_of_the_engine_is_bad_data(project: Path) -> None:
    (project / "events.parquet").write_bytes((project / "events.parquet").read_bytes()[:-30])
    ran = run(project, "build", "-o", "x.parquet", code=3)
    assert "events" in ran.err
    assert "Traceback" not in ran.err
    assert not (project / "x.parquet").exists()


def test_a_reader_that_has_gone_is_no_error(project: Path) -> None:
    code = f"{sys.executable} -m timefence_pl catalog | false; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode in (0, 141)  # 0 where the shell's `false` is slow
    assert done.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [("catalog", 0), ("catalog --json", 0), ("build -o x.parquet", 0), ("--help", 0), ("catalog --featurs x", 2)],
)
def test_closed_streams_change_no_exit_code(project: Path, words: str, code: int, closed: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m timefence_pl {words} {closed}"],
        check=False,
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    if words.startswith("build"):
        assert pl.read_parquet(project / "x.parquet").height == 3


@pytest.mark.parametrize("words", [["catalog"], ["catalog", "--json"], ["explain", "-v"]], ids=" ".join)
def test_a_full_disk_is_told_once(project: Path, words: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "timefence_pl", *words],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 4
    assert done.stderr.count("The output cannot be written: No space left on device.") == 1
    assert "Traceback" not in done.stderr


# --- output -----------------------------------------------------------------------------------------------------------


def test_no_colour_and_no_broken_lines_when_piped(project: Path) -> None:
    for words in (["catalog"], ["explain"], ["build", "-o", "x.parquet"], ["store", "ls"], ["build"]):
        ran = run(project, *words, code=None)
        assert "\x1b" not in ran.out + ran.err
        assert not any(line != line.rstrip() for line in ran.out.splitlines())
    plan = run(project, "explain").out
    assert max(map(len, plan.splitlines())) > 80


def test_a_terminal_gets_colours_within_its_width(project: Path) -> None:
    env = {"FORCE_COLOR": "1", "COLUMNS": "60", "TERM": "xterm-256color"}
    ran = run(project, "catalog", env=env)
    assert "\x1b[" in ran.out
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in ran.out.splitlines()) <= 60
    assert "\x1b[3" not in run(project, "catalog", env={**env, "NO_COLOR": "1"}).out


def test_a_narrow_table_folds_its_widest_column_and_a_narrower_one_is_written_in_lines(project: Path) -> None:
    text = (project / "features.py").read_text()
    wide = "columns={'x': '" + "x" * 70 + "'}, name='last'"
    (project / "features.py").write_text(text.replace("columns='x', name='last'", wide))

    def rows(columns: int) -> list[str]:
        env = {"FORCE_COLOR": "1", "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
        out = run(project, "catalog", env=env).out
        return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in out.splitlines()]

    folded = rows(70)
    assert max(len(r) for r in folded) <= 70
    assert any(r.startswith("last") and "columns" in r and "events" in r for r in folded)
    assert any(r.strip() == "x" * len(r.strip()) != "" for r in folded)
    lines = rows(40)
    assert "source   events" in lines
    assert f"columns  {'x' * 70}" in lines


def _on_terminal(folder: Path, columns: int, *words: object, code: int = 0) -> list[str]:
    env = {"FORCE_COLOR": "1", "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    ran = run(folder, *words, env=env, code=code)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in (ran.out or ran.err).splitlines()]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_lines_break_between_words_within_the_terminal(project: Path, columns: int) -> None:
    for words in (["explain"], ["explain", "--row", "0"], ["audit", "labels.parquet"], ["doctor"], ["store", "ls"]):
        shown = _on_terminal(project, columns, *words, code=3 if words[0] == "store" else 0)
        whole = run(project, *words, code=None)
        assert [line for line in shown if len(line) > columns and len(line.split()) > 1] == []
        assert " ".join(" ".join(shown).split()) == " ".join((whole.out or whole.err).split())


def test_lines_go_on_beside_their_mark_and_long_words_stay_whole() -> None:
    def lines(text: str, columns: int) -> list[str]:
        console = Console(width=columns, force_terminal=True)
        return [t.plain for t in broken(Text(text), console)]

    assert lines("  OK    one two three four", 24) == ["  OK    one two three", "        four"]
    assert lines("error: one two three", 21) == ["error: one two three"]
    assert lines("  cost: one two three fo", 24) == ["  cost: one two three fo"]
    assert lines("  cost: one two three four", 24) == ["  cost: one two three", "        four"]
    assert lines("a " + "x" * 30 + " b", 20) == ["a", "x" * 30, "b"]
    assert lines("  timefence-pl audit data/train.parquet", 20) == ["  timefence-pl audit data/train.parquet"]
    assert lines("中文 中文 中文", 10) == ["中文 中文", "中文"]
    assert lines("", 10) == [""]
    assert lines("x" * 30, 10) == ["x" * 30]


@pytest.mark.parametrize(
    ("columns", "room", "widths"),
    [
        (["ab cd", "e"], 20, [5, 1]),
        (["ab cd", "efgh"], 10, [2, 4]),
        (["abcdefgh", "ijkl"], 10, None),
        (["folder/of/a/long/path", "x" * 20], 43, [19, 20]),
        (["folder/of/a/long/path", "x" * 20], 39, None),
        (["x" * 41, "id"], 30, [24, 2]),
        ([], 10, []),
    ],
)
def test_columns_break_between_words_and_ids_never(columns: list[str], room: int, widths: list[int] | None) -> None:
    assert column_widths([[c] for c in columns], room) == widths


def test_progress_is_shown_on_a_terminal_only(project: Path) -> None:
    env = {"FORCE_COLOR": "1", "COLUMNS": "100", "TERM": "xterm-256color"}
    ran = run(project, "build", "-o", "x.parquet", "--no-store", env=env)
    assert "Verifying" in ran.err
    assert "left" in ran.err
    assert run(project, "build", "-o", "x.parquet", "--no-store").err == ""
    assert run(project, "build", "-o", "x.parquet", "--json", env=env).json["audit"]["passed"]


def test_steps_are_told_with_v(project: Path) -> None:
    for words in (["-v", "build"], ["build", "-v"]):
        ran = run(project, *words, "-o", "x.parquet", "--no-store")
        assert "Loading labels" in ran.err
        assert "SCAN" in ran.out or "scan" in ran.out.lower()


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "bell\x07", "a\rb", "\u202eright to left", "[bold]markup[/bold]", ":smile:", "\ud800"]
)
def test_names_cannot_steer_the_terminal(project: Path, text: str) -> None:
    assert plain("ordinary — ünïcode 中文") == "ordinary — ünïcode 中文"
    if not text.isprintable() and text != "\ud800":
        assert plain(text) != text
    session = Session()
    with pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setattr(sys, "stdout", stream)
        session.line(text)
        session.table(["a"], [[text]])
    shown = stream.getvalue()
    assert not set(shown) & {"\x1b", "\x07", "\r", "\u202e"}
    assert "[bold]" in shown or "bold" not in text
    assert ":smile:" in shown or "smile" not in text


def test_warnings_go_to_standard_error_and_into_the_document(project: Path) -> None:
    words = ("build", "-o", "x.parquet", "--split", "a:1970-01-01:1970-01-06", "--no-store")
    ran = run(project, *words)
    assert "warning: 2 of 3 rows are in no split" in ran.err
    assert "warning" not in ran.out
    assert any("in no split" in w for w in run(project, *words, "--json").json["warnings"])


def test_json_has_what_json_has_not(capsys: Any) -> None:
    Session(json=True).document(
        {"a": timedelta(minutes=1), "b": float("nan"), "c": 2**70, "d": date(2024, 1, 1), "e": Path("x"), "f": (1,)}
    )
    told = json.loads(capsys.readouterr().out)
    assert told == {"a": 60.0, "b": None, "c": str(2**70), "d": "2024-01-01", "e": "x", "f": [1]}


def test_a_warning_of_others_starts_at_once(project: Path) -> None:
    text = (project / "features.py").read_text()
    (project / "features.py").write_text("import warnings\nwarnings.warn('\\nmind this\\n')\n" + text)
    assert run(project, "catalog").err == "warning: mind this\n"


def test_json_may_be_asked_for_before_the_command(project: Path) -> None:
    assert run(project, "--json", "catalog").json == run(project, "catalog", "--json").json


def test_numbers_of_things(project: Path) -> None:
    assert [counted(n, "build") for n in (0, 1, 2, 1000)] == ["0 builds", "1 build", "2 builds", "1,000 builds"]
    run(project, "build", "-o", "x.parquet")
    assert "OK    .timefence: 1 build, 2 feature frames" in run(project, "doctor").out
    assert "OK    everything in .timefence is" in run(project, "store", "verify").out
    (project / "labels.parquet").unlink()
    assert "1 would fail, 0 warnings" in run(project, "doctor", code=1).out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["build", "--config", "timefence.toml"],
            "--config goes before the command: timefence-pl --config FILE build ...",
        ),
        (
            ["build", "--config=timefence.toml"],
            "--config goes before the command: timefence-pl --config FILE build ...",
        ),
        (["store", "ls", "-C", "."], "-C goes before the command: timefence-pl -C DIRECTORY store ls ..."),
        (
            ["store", "--directory", "."],
            "--directory goes before the command: timefence-pl --directory DIRECTORY store ...",
        ),
        (["runs", "--json", "ls"], "--json goes before the command: timefence-pl --json runs ..."),
        (["build", "--confg", "x"], "No such option '--confg'"),
    ],
    ids=str,
)
def test_an_option_of_all_commands_after_the_command(project: Path, words: list[str], told: str) -> None:
    ran = run(project, *words, code=2)
    assert told in ran.err + ran.out


def test_another_directory(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    run(elsewhere, "-C", project, "build", "-o", "x.parquet")
    assert (project / "x.parquet").is_file()
    assert list(elsewhere.iterdir()) == []


SPEAKING = """import polars as pl
import sys
import timefence_pl as tf
print("loaded")
def doubled(events):
    print("transformed")
    return events.select("user", "at", x2=pl.col("x").map_elements(told, return_dtype=pl.Int64))
def told(x):
    print("element")
    sys.stdout.write("written\\n")
    return 2 * x
events = tf.Source("events.parquet", keys="user", timestamp="at")
double = tf.Feature(events, transform=doubled, name="double")
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "-o", "x.parquet"], "element"),
        (["build", "--dry-run"], "transformed"),
        (["catalog"], "loaded"),
        (["doctor"], "element"),
        (["lint", "--check"], "element"),
        (["explain"], "transformed"),
        (["explain", "--row", "0"], "element"),
        (["audit", "train.parquet"], "element"),
        (["diff", "train.parquet", "train.parquet"], "loaded"),
    ],
    ids=str,
)
def test_what_feature_files_print_is_not_in_the_document(project: Path, words: list[str], said: str) -> None:
    (project / "features.py").write_text(SPEAKING)
    run(project, "build", "-o", "train.parquet", "--no-store")
    ran = run(project, *words, "--json", code=None)
    assert isinstance(json.loads(ran.out), dict)
    assert said in ran.err
    assert said in run(project, *words, code=None).out


def test_what_a_failing_feature_file_printed_is_not_in_the_document(project: Path) -> None:
    (project / "features.py").write_text("print('loaded')\nraise ValueError('odd')\n")
    ran = run(project, "--json", "catalog", code=2)
    assert "odd" in json.loads(ran.out)["error"]["message"]
    assert ran.err == "loaded\n"
