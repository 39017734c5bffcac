"""The pictures of a run's report, one file each; they draw and write, and change no setting of matplotlib."""

from metric_learning.report.pictures.curves import training_curves as training_curves
from metric_learning.report.pictures.data_card import data_card as data_card
from metric_learning.report.pictures.embedding_map import embedding_map as embedding_map
from metric_learning.report.pictures.histograms import distance_histograms as distance_histograms
from metric_learning.report.pictures.hits import hit_gallery as hit_gallery
from metric_learning.report.pictures.neighbors import neighbor_gallery as neighbor_gallery
from metric_learning.report.pictures.neighbors import neighbor_table as neighbor_table
from metric_learning.report.pictures.thresholds import threshold_curves as threshold_curves
