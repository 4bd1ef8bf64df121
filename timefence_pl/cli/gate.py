"""The audit as a gate: what machines that run checks read of it.

Takes an audit report, gives JUnit XML, SARIF 2.1.0, Markdown and a few lines of text. Judges nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import timefence_pl as tf
from timefence_pl.cli.session import shown_path

__all__ = ["failures_of", "junit", "markdown", "sarif", "sarif_of_findings", "summary"]

#: What a feature can be found guilty of, with what it means; the order is that of severity.
_RULES: Final = {
    "future": ("error", "The value is that of a row, or window, that was not known yet."),
    "unexpected": ("error", "There is a value where none was known."),
    "lookahead": ("error", "The feature's values depend on rows after their feature time."),
    "differs": ("warning", "The value is another than the one that was known, and no other row's."),
    "stale": ("warning", "The value is that of an older row than the latest known."),
    "absent": ("warning", "There is no value where one was known."),
    "unchecked": ("warning", "The feature could not be checked."),
}
#: What to do about each.
_HELP: Final = {
    "future": "Build the set again with `timefence-pl build`, which takes what was known at each label time.",
    "unexpected": "Build the set again with `timefence-pl build`, which leaves null what was not known.",
    "lookahead": "Compute the feature of past rows only; `timefence-pl lint` says where it looks ahead.",
    "differs": "Compare the feature's definition with the one that made the set, or build the set again.",
    "stale": "Build the set again: later rows have become known before the label time.",
    "absent": "Build the set again: rows have become known before the label time.",
    "unchecked": "Say where the values stand with --column NAME=COLUMN, or give the file that declares the feature.",
}
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def failures_of(feature: tf.FeatureAudit) -> dict[str, str]:
    """Why a feature is not clean: each rule that it fails, with a sentence; empty where it is clean."""
    found: dict[str, str] = {}
    for verdict, count in feature.counts.items():
        if count and verdict != "ok":
            share = count / feature.total_rows if feature.total_rows else 0.0
            found[verdict] = f"{count:,} of {feature.total_rows:,} rows ({share:.1%}): {_RULES[verdict][1]}"
    looked = feature.lookahead
    if looked is not None and not looked.clean:
        rule = "lookahead" if looked.status == "leaky" else "unchecked"
        found[rule] = f"look-ahead check: {looked.status}, {looked.reason}"
    for problem in feature.problems:
        found["unchecked"] = f"{found['unchecked']}; {problem}" if "unchecked" in found else problem
    if not found and not feature.clean:
        found["unchecked"] = "no row was checked"
    return {rule: found[rule] for rule in _RULES if rule in found}


def summary(report: tf.AuditReport) -> list[tuple[str, str]]:
    """One line for the data set and one for each feature, each with its word: ``LEAK``, ``FAIL`` or ``OK``."""
    failing, total = len(report.failing_features), len(report.features)
    rows = f"{report.total_rows:,} rows of {report.data}"
    if report.clean:
        lines = [("OK", f"{rows}: all {total} features are clean")]
    elif report.has_leakage:
        lines = [("LEAK", f"{rows}: {len(report.leaky_features)} of {total} features leak")]
    else:
        lines = [("FAIL", f"{rows}: {failing} of {total} features are not clean")]
    for name, feature in report.features.items():
        word = "OK" if feature.clean else "LEAK" if feature.leaky else "FAIL"
        lines.append((word, f"{name}: {_short(feature)}"))
    return lines


def _short(feature: tf.FeatureAudit) -> str:
    if feature.clean:
        return "clean"
    parts = [f"{n:,} rows {v}" for v, n in feature.counts.items() if n and v != "ok"]
    if feature.shown_max_leakage:
        parts.append(f"up to {feature.shown_max_leakage} too early")
    parts += [text for rule, text in failures_of(feature).items() if rule in ("lookahead", "unchecked")]
    return f"{feature.severity}, {', '.join(parts)}"


def junit(report: tf.AuditReport, seconds: float) -> str:
    """One test case for each feature; those that are not clean have failed."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - help needs none

    failed = len(report.failing_features) + (not report.features)
    figures = {"tests": str(max(1, len(report.features))), "failures": str(failed), "errors": "0"}
    root = ET.Element("testsuites", {"name": "timefence-pl", **figures, "time": f"{seconds:.3f}"})
    attributes = {"name": _xml(f"audit of {report.data}"), **figures, "skipped": "0", "time": f"{seconds:.3f}"}
    suite = ET.SubElement(root, "testsuite", attributes)
    for name, feature in report.features.items():
        case = ET.SubElement(suite, "testcase", {"classname": _xml(report.data), "name": _xml(name), "time": "0"})
        found = failures_of(feature)
        if found:
            first = next(iter(found.items()))
            kind = f"{first[0]} ({feature.severity})"
            failure = ET.SubElement(case, "failure", {"type": kind, "message": _xml(first[1])})
            failure.text = _xml("\n".join([*found.values(), *examples(feature, 3)]))
    if not report.features:
        case = ET.SubElement(suite, "testcase", {"classname": _xml(report.data), "name": "features"})
        ET.SubElement(case, "failure", {"type": "unchecked", "message": "nothing was checked"})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def sarif(report: tf.AuditReport, places: Mapping[str, tuple[str, int]]) -> str:
    """One result for each rule that a feature fails.

    Args:
        report: The audit.
        places: The file and line in which each feature is declared; the data set's file stands in where it is not known.
    """
    results = []
    for name, feature in report.features.items():
        place = places.get(name, (report.data, 1))
        for rule, told in failures_of(feature).items():
            text = "\n".join([f"{name}: {told}", *(examples(feature, 1) if rule in feature.counts else ())])
            known = {"severity": feature.severity, "rows": feature.counts.get(rule), "data": report.data}
            results.append(_result(rule, _RULES[rule][0], text, name, place, report.data, known))
    return _log(results, {rule: (level, text, text, _HELP[rule]) for rule, (level, text) in _RULES.items()})


def sarif_of_findings(findings: Sequence[tf.Finding], places: Mapping[str, tuple[str, int]]) -> str:
    """One result for each finding of the linter; what could not be read is a note.

    Args:
        findings: The linter's.
        places: The file and line in which each feature is declared.
    """
    rules: dict[str, tuple[str, str, str, str]] = {}
    results = []
    for f in findings:
        level = "note" if f.unread else "error"
        short = f.rule.replace("-", " ").capitalize() + "."
        rules.setdefault(
            f.rule, (level, short, f.message, f.fix or "Check it on the data: `timefence-pl lint --check`.")
        )
        text = f"{f.feature}: {f.message}\n{f.expression}" + (f"\nFix: {f.fix}" if f.fix else "")
        place = places.get(f.feature, ("features.py", 1))
        results.append(_result(f.rule, level, text, f.feature, place, f.expression, {"unread": f.unread}))
    return _log(results, rules)


def _result(
    rule: str, level: str, text: str, feature: str, place: tuple[str, int], about: str, known: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "ruleId": f"timefence/{rule}",
        "level": level,
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(place[0])},
                    "region": {"startLine": place[1]},
                },
                "logicalLocations": [{"name": feature, "kind": "member"}],
            }
        ],
        "partialFingerprints": {"timefence/v1": f"{about}:{feature}:{rule}"},
        "properties": dict(known),
    }


def _uri(file: str) -> str:
    """A file as SARIF wants it: relative to where the command runs, which is the checkout, or with its scheme."""
    from urllib.parse import quote  # noqa: PLC0415 - help needs none

    if "://" in file:
        return quote(file, safe=":/?&=@%")
    path = Path(shown_path(file))
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _log(results: Sequence[dict[str, Any]], rules: Mapping[str, tuple[str, str, str, str]]) -> str:
    described = [
        {
            "id": f"timefence/{rule}",
            "name": "".join(word.capitalize() for word in rule.split("-")),
            "shortDescription": {"text": short},
            "fullDescription": {"text": full},
            "help": {"text": how},
            "defaultConfiguration": {"level": level},
        }
        for rule, (level, short, full, how) in rules.items()
    ]
    import json  # noqa: PLC0415 - help needs none

    driver = {"name": "timefence-pl", "semanticVersion": tf.__version__, "rules": described}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": list(results)}],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def markdown(report: tf.AuditReport) -> str:
    """A table for the summary page of a run."""
    (word, first), *_ = summary(report)
    lines = [f"### Training set audit: {'clean' if word == 'OK' else 'LEAKAGE' if word == 'LEAK' else 'not clean'}"]
    lines += ["", _cell(first), "", "| | feature | severity | what was found |", "|---|---|---|---|"]
    for name, feature in report.features.items():
        sign = "OK" if feature.clean else "LEAK" if feature.leaky else "FAIL"
        told = "; ".join(failures_of(feature).values()) or "clean"
        lines.append(f"| {sign} | {_cell(name)} | {feature.severity} | {_cell(told)} |")
    return "\n".join(lines) + "\n\n"


def examples(feature: tf.FeatureAudit, count: int) -> list[str]:
    """The first failing rows in words: the label row, the value found and the value due, and where they come from."""
    rows = feature.leaky_rows if feature.leaky_row_count else feature.failing_rows
    return [_example(row) for row in rows.head(count).iter_rows(named=True)]


def _example(row: Mapping[str, Any]) -> str:
    names = list(row)
    label = ", ".join(f"{n}={row[n]}" for n in names[1 : names.index("verdict")])
    values = [n.removesuffix("__found") for n in names if n.endswith("__found")]
    changed = [v for v in values if not _same(row[f"{v}__found"], row.get(f"{v}__due"))] or values
    found = ", ".join(f"{v}={row[f'{v}__found']}" for v in changed)
    due = ", ".join(f"{v}={row.get(f'{v}__due')}" for v in changed)
    told = f"row {row['row']} ({label})"
    if found:
        told += f" has {found}" + _from(row, "found") + f"; due was {due}" + _from(row, "due")
    return told


def _same(found: Any, due: Any) -> bool:
    return bool(found == due or (found != found and due != due))  # noqa: PLR0124 - NaN is NaN


def _from(row: Mapping[str, Any], side: str) -> str:
    parts = []
    if row.get(f"{side}_feature_time") is not None:
        parts.append(f"of {row[f'{side}_feature_time']}")
    if row.get(f"{side}_known_at") is not None:
        parts.append(f"known at {row[f'{side}_known_at']}")
    if side == "found" and row.get("found_as"):
        parts.append(f"as {row['found_as']}")
    return f" ({', '.join(parts)})" if parts else ""


def _xml(text: str) -> str:
    return _NOT_XML.sub("?", text)


def _cell(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))
