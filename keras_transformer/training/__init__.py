"""Training: loss, metrics, learning-rate schedule, optimizer, callbacks and training step."""

from keras_transformer.training.adafactor import Adafactor
from keras_transformer.training.bleu import make_bleu
from keras_transformer.training.callbacks import BleuCallback, KeepCheckpoints, TokenRate
from keras_transformer.training.comparison import Measure, compare
from keras_transformer.training.cross_entropy import smoothed_cross_entropy
from keras_transformer.training.evaluation import exact_match, moses_bleu, word_agreement
from keras_transformer.training.logistic_mixture import DiscretizedLogisticMixture
from keras_transformer.training.losses import TokenCrossEntropy
from keras_transformer.training.metrics import Perplexity, TokenAccuracy
from keras_transformer.training.schedule import WarmupSchedule
from keras_transformer.training.token_trainer import TokenTrainer

__all__ = [
    "Adafactor",
    "BleuCallback",
    "DiscretizedLogisticMixture",
    "KeepCheckpoints",
    "Measure",
    "Perplexity",
    "TokenAccuracy",
    "TokenCrossEntropy",
    "TokenRate",
    "TokenTrainer",
    "WarmupSchedule",
    "compare",
    "exact_match",
    "make_bleu",
    "moses_bleu",
    "smoothed_cross_entropy",
    "word_agreement",
]
