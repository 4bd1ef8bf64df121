"""Results as text and HTML. Takes results' plain values, computes nothing."""

from timefence_pl.reports.build import build_html, build_text
from timefence_pl.reports.explain import explain_html, explain_text, row_html, row_text

__all__ = ["build_html", "build_text", "explain_html", "explain_text", "row_html", "row_text"]
