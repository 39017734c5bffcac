"""Data sources: functions that return train, validation and test splits with stated classes."""

from metric_learning.data.augmentation import DrawingAugmentation as DrawingAugmentation
from metric_learning.data.augmentation import TokenSampling as TokenSampling
from metric_learning.data.batches import BatchPlan as BatchPlan
from metric_learning.data.benchmarks import cars196 as cars196
from metric_learning.data.benchmarks import cub200 as cub200
from metric_learning.data.benchmarks import inshop as inshop
from metric_learning.data.benchmarks import market1501 as market1501
from metric_learning.data.benchmarks import stanford_online_products as stanford_online_products
from metric_learning.data.emoji import emoji as emoji
from metric_learning.data.emoji_text import emoji_text as emoji_text
from metric_learning.data.fashion_mnist import fashion_mnist as fashion_mnist
from metric_learning.data.features import features as features
from metric_learning.data.image_folder import image_folder as image_folder
from metric_learning.data.keras_augmentation import KerasAugmentation as KerasAugmentation
from metric_learning.data.photo_augmentation import PhotoAugmentation as PhotoAugmentation
from metric_learning.data.source import DataSource as DataSource
from metric_learning.data.split import Split as Split
from metric_learning.data.table import table as table
from metric_learning.data.text import Vocabulary as Vocabulary
from metric_learning.data.tfds_source import tfds as tfds
from metric_learning.data.what_to_learn import what_to_learn as what_to_learn

csv = table  # its name when it read nothing else
