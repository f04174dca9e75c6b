"""The report of a run as one page that needs no network, no scripts and no other file."""

from engine.report.html.page import *
