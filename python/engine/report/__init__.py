"""Reports: the figures of a run as JSON, Markdown, a page and pictures."""

from engine.report.html import html_report as html_report
from engine.report.markdown import format_evaluation as format_evaluation
from engine.report.markdown import format_report as format_report
from engine.report.plots import plot_confusion as plot_confusion
from engine.report.plots import plot_curves as plot_curves
from engine.report.plots import plot_reliability as plot_reliability

__all__ = [
    "format_evaluation",
    "format_report",
    "html_report",
    "plot_confusion",
    "plot_curves",
    "plot_reliability",
]
