"""Reports: the figures of a run as JSON, Markdown, a page and pictures."""

from engine.report.html import html_report as html_report
from engine.report.markdown import *
from engine.report.plots import *
