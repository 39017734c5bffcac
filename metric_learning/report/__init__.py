"""What a run leaves for people to look at: its scores as a table, a page, and its pictures."""

from metric_learning.report.page import Section as Section
from metric_learning.report.page import put_section as put_section
from metric_learning.report.report import PAGE as PAGE
from metric_learning.report.report import Background as Background
from metric_learning.report.report import report_run as report_run
from metric_learning.report.report import write_report as write_report
from metric_learning.report.scores import run_table as run_table
from metric_learning.report.scores import scores_of_run as scores_of_run
from metric_learning.report.scores import scores_table as scores_table
