"""What functions and aggregates of Polars 2.1 do with rows, by their names in serialized expressions.

Gives tables; what stands in none of them, and what Polars itself does not call row by row, is not known.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ALONG_TIME", "CHANCE", "EACH_ROW", "FUTURE", "IN_ORDER", "SEVERAL_ROWS", "SUBSETS", "WHOLE"]

#: Row by row, though Polars does not say so.
EACH_ROW: Final = frozenset(
    {
        *("Reinterpret", "LowerBound", "UpperBound", "SetSortedFlag", "ToPhysical", "RowEncode"),
        *("StructExpr", "ListExpr", "ArrayExpr"),
    }
)
#: Chance.
CHANCE: Final = frozenset({"Random"})
#: From the rows so far, where these are in the order of time. Turned around they look ahead.
IN_ORDER: Final = frozenset(
    {
        *("CumCount", "CumMax", "CumMin", "CumProd", "CumSum"),
        *("EwmMean", "EwmStd", "EwmSum", "EwmVar", "RollingExpr"),
        *("Shift", "ShiftAndFill", "Diff", "PctChange", "FillNullWithStrategy", "RLEID", "IsFirstDistinct"),
    }
)
#: From the rows up to the same time, along a column of times.
ALONG_TIME: Final = frozenset({"RollingExprBy", "EwmMeanBy", "EwmSumBy"})
#: One value of a column: an aggregate written as a function.
WHOLE: Final = frozenset(
    {
        *("All", "Any", "HasNulls", "IsEmpty", "IsSorted", "And", "Or", "Xor"),
        *("ApproxNUnique", "ApproxQuantile", "ArgMax", "ArgMin", "Correlation", "Entropy", "IndexOf", "Kurtosis"),
        *("MaxBy", "MinBy", "NullCount", "Product", "Quantile", "SearchSorted", "Skew", "ConcatVertical", "Hist"),
        *("Covariance", "Dot", "Cov", "Corr"),
    }
)
#: One value a row, from later rows too: the rule each breaks.
FUTURE: Final[dict[str, str]] = {
    "Rank": "rank",
    "QCut": "quantile-cut",
    "Interpolate": "interpolation",
    "InterpolateBy": "interpolation",
    "Reverse": "reversed",
    "IsDuplicated": "later-rows",
    "IsUnique": "later-rows",
    "IsLastDistinct": "later-rows",
    "PeakMax": "later-rows",
    "PeakMin": "later-rows",
    "ArgSort": "sorted-by-value",
}
#: Other rows than the column's own: what is then computed from them is computed from all rows.
SUBSETS: Final = frozenset(
    {
        *("Append", "ArgUnique", "ArgWhere", "DropNans", "DropNulls", "ExtendConstant", "GatherEvery", "Mode", "RLE"),
        *("Reshape", "TopK", "TopKBy", "Unique", "UniqueCounts", "ValueCounts", "Explode"),
    }
)
#: Functions that read more rows than the one they give.
SEVERAL_ROWS: Final = CHANCE | IN_ORDER | ALONG_TIME | WHOLE | SUBSETS | frozenset(FUTURE)
