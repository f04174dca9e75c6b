"""The report of a run as one page that needs no network, no scripts and no other file."""

from engine.report.html.page import html_report as html_report
from engine.report.html.page import render_report as render_report
