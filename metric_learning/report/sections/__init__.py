"""The sections of a report's page, a file each: what is shown, as plain values for a template."""

from metric_learning.report.sections.classes import classes_section as classes_section
from metric_learning.report.sections.confusions import confusions_section as confusions_section
from metric_learning.report.sections.distances import distances_section as distances_section
from metric_learning.report.sections.labels import labels_section as labels_section
from metric_learning.report.sections.map import map_section as map_section
from metric_learning.report.sections.queries import queries_section as queries_section
from metric_learning.report.sections.scores import scores_section as scores_section
from metric_learning.report.sections.settings import settings_section as settings_section
from metric_learning.report.sections.thresholds import thresholds_section as thresholds_section
from metric_learning.report.sections.training import training_section as training_section
