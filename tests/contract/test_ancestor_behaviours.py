"""Which test covers which behaviour, and which failure, of the ancestor (timefence 0.9.1): named here, checked to exist.

``RELIED_ON`` are the numbered behaviours of building, explaining and splitting; ``FAILED`` is where it was found to
fail, in joins, time zones, scale and robustness, and in what its tests did not see. A test that is renamed or removed
fails this one, so that the list stays true.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "tests"
BUILD = "integration/test_ancestor_build.py"

RELIED_ON: dict[str, list[str]] = {
    "1: 50 labels and one feature are 50 rows and a file": [
        f"{BUILD}::test_01_fifty_labels_and_one_feature_are_fifty_rows_in_a_file"
    ],
    "1: without an output no file, statistics present": [
        f"{BUILD}::test_01_without_an_output_there_is_no_file_but_statistics"
    ],
    "1: two features are both in the statistics": [f"{BUILD}::test_01_two_features_are_both_in_the_statistics"],
    "2: a store lists the build, and the repeat's features are cached": [
        "store/test_store.py::test_a_manifest_names_itself_and_its_output",
        "store/test_store.py::test_builds_are_listed_newest_first",
        "store/test_nothing_recomputed.py::test_a_repeat_and_a_renamed_output_are_reused",
    ],
    "3: the invariant in words": [f"{BUILD}::test_03_the_invariant_is_in_the_manifest"],
    "4: invalid options are config errors": [
        f"{BUILD}::test_04_options_that_cannot_be_meant_are_config_errors",
        "contract/test_wrong_arguments.py::test_a_wrong_argument_is_told",
    ],
    "4: a short lookback leaves rows missing, skip leaves them out": [
        f"{BUILD}::test_04_a_short_lookback_leaves_rows_missing",
        f"{BUILD}::test_04_skip_leaves_rows_out",
    ],
    "5: unknown columns are schema errors with near names": [
        f"{BUILD}::test_05_unknown_columns_are_schema_errors_with_near_names"
    ],
    "6: no labels, one label, an all-null feature": [
        f"{BUILD}::test_06_no_labels_are_no_rows_and_one_is_one",
        f"{BUILD}::test_06_an_all_null_feature_keeps_every_row",
    ],
    "7: one name twice, once sanitised": [
        f"{BUILD}::test_07_one_name_for_two_features_is_an_error",
        "unit/test_feature_set.py::test_names_that_are_the_same_once_sanitised_are_refused",
    ],
    "8: duplicates, and aware with naive": [
        f"{BUILD}::test_08_duplicates_are_an_error_and_keep_any_a_warning",
        f"{BUILD}::test_08_aware_labels_with_a_naive_feature_are_a_time_zone_error",
    ],
    "9: splits overlap, leave gaps, are narrower; their files": [
        f"{BUILD}::test_09_overlapping_splits_are_an_error_and_gaps_a_warning",
        f"{BUILD}::test_09_split_files_stand_beside_the_output",
        "unit/test_splits.py::test_splits_narrower_than_the_labels_are_warned_of",
    ],
    "12: columns and sql agree; composite keys; CSV source": [
        f"{BUILD}::test_12_columns_and_sql_agree",
        f"{BUILD}::test_12_composite_keys_round_trip",
        f"{BUILD}::test_12_a_csv_source_matches_labels_from_a_frame",
    ],
    "14: derived names": [f"{BUILD}::test_14_names_are_derived"],
    "16: progress": [f"{BUILD}::test_16_progress_tells_each_step"],
    "17: explain": [
        f"{BUILD}::test_17_explain_tells_condition_window_embargo_and_strategy",
        "unit/test_explain.py::test_text_breaks_between_parts_and_loses_none",
        "unit/test_explain.py::test_html_has_a_block_for_each_feature_with_every_fact",
    ],
    "18: results in the terminal and in notebooks": [
        f"{BUILD}::test_18_results_are_reported_in_the_terminal_and_in_notebooks",
        "unit/test_build_result.py::test_html_has_the_partition",
    ],
}

FAILED: dict[str, list[str]] = {
    # joins
    "two sources of one default name": [f"{BUILD}::test_two_sources_of_one_name_keep_their_own_data"],
    "a source keyed more finely than the labels": [
        f"{BUILD}::test_a_source_keyed_more_finely_than_the_labels_is_refused"
    ],
    "an embargo of 500 ms": [f"{BUILD}::test_an_embargo_of_half_a_second_is_kept"],
    "a negative embargo": [f"{BUILD}::test_a_negative_embargo_is_refused"],
    "a lookback of 0": [f"{BUILD}::test_a_lookback_of_nothing_is_not_a_year"],
    "a rolling feature of the last event is stale at label time": [
        "integration/test_ancestor_joins.py::test_a_window_is_as_of_the_label_where_a_rolling_feature_is_months_old"
    ],
    "lead() or an unbounded average passes the audit": [
        "unit/test_lookahead.py::test_what_reads_the_future_is_leaky",
        "leakage/test_audit.py::test_features_are_checked_for_looking_ahead_by_default",
    ],
    "a daily aggregate joins its own day": [
        f"{BUILD}::test_a_daily_aggregate_stamped_with_a_date_does_not_join_its_own_day"
    ],
    "integer keys match rounded floats": [f"{BUILD}::test_integer_keys_do_not_match_rounded_floats"],
    "a matched null counts as missing": [f"{BUILD}::test_a_matched_null_counts_as_matched"],
    "a one-shot Arrow reader": [
        f"{BUILD}::test_a_one_shot_arrow_reader_gives_its_values_to_every_feature",
        "unit/test_table.py::test_a_one_shot_arrow_reader_is_read_once_when_declared",
    ],
    "a__b and c clash with a and b__c": [f"{BUILD}::test_names_that_run_into_each_other_are_refused"],
    "flatten renames the target": [f"{BUILD}::test_flattening_does_not_rename_the_target"],
    "a failing check raises nothing": [f"{BUILD}::test_a_failing_check_of_the_result_raises"],
    # time zones
    "the machine's zone decides": [f"{BUILD}::test_the_machines_zone_does_not_matter"],
    "a day's embargo across a clock change": [f"{BUILD}::test_an_embargo_of_a_day_is_24_hours_across_a_clock_change"],
    # scale
    "an embargo makes the join slow": [
        f"{BUILD}::test_an_embargo_is_the_same_one_merge",
        "integration/test_ancestor_joins.py::test_an_embargo_costs_next_to_nothing",
    ],
    "unused columns are read": [
        f"{BUILD}::test_columns_that_are_not_used_are_not_read",
        "unit/test_plan_shape.py::test_columns_that_are_not_used_are_not_read",
    ],
    "splits join again": ["unit/test_splits.py::test_the_join_runs_once_for_all_splits"],
    # robustness
    "a failed write leaves a truncated output": [
        f"{BUILD}::test_a_failed_write_leaves_no_truncated_output",
        "unit/test_output_files.py::test_a_failed_write_leaves_the_old_files_and_nothing_else",
        "faults/test_kills.py",
    ],
    "the output overwrites the source": [
        f"{BUILD}::test_an_output_that_is_the_source_is_refused",
        "unit/test_output_inputs.py::test_an_output_that_is_an_input_is_refused_and_left_as_it_is",
        "unit/test_sql_source.py::test_tables_of_a_query_are_not_overwritten",
        "unit/test_lakes.py::test_a_data_file_of_a_table_is_not_overwritten",
    ],
    "s3:// paths": [
        f"{BUILD}::test_an_output_in_the_cloud_is_no_local_folder",
        "unit/test_remote.py::test_objects_of_s3_are_sources_and_labels",
    ],
    "lists of paths, .csv.gz": [f"{BUILD}::test_lists_of_paths_and_compressed_text_are_read"],
    "missing files": [
        f"{BUILD}::test_a_missing_file_is_an_error_of_ours",
        "unit/test_table.py::test_one_missing_file_of_a_list_is_named",
    ],
    "string times": [
        f"{BUILD}::test_string_times_are_read_with_a_format_and_refused_without",
        "unit/test_run_faults.py::test_a_fault_of_the_data_is_ours_in_every_way_of_running",
    ],
    "a trailing semicolon": [f"{BUILD}::test_a_semicolon_after_sql_does_no_harm"],
    "split names escape": [f"{BUILD}::test_split_names_do_not_escape_the_folder"],
    "HTML is not escaped": [f"{BUILD}::test_html_is_escaped", "unit/test_explain.py::test_html_is_escaped"],
    # tests
    "the property test passes without the time bound": [
        "property/test_match_oracle.py",
        "mutation/run_mutations.py",
    ],
}
COVERED = {**RELIED_ON, **FAILED}


@cache
def _tests_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize("behaviour", COVERED)
def test_each_behaviour_is_covered_by_tests_that_exist(behaviour: str) -> None:
    named = COVERED[behaviour]
    assert named
    for test in named:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), test
        assert not name or name in _tests_of(ROOT / file), test


def test_every_test_of_the_ancestors_build_is_named() -> None:
    named = {t.partition("::")[2] for tests in COVERED.values() for t in tests}
    assert {t for t in _tests_of(ROOT / BUILD) if t.startswith("test_")} <= named
