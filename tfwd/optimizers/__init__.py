"""Optimizers whose steps cost only what the batch touches, and the joint optimizer of the two heads."""

from tfwd.optimizers.dense import DenseAdam, DenseFtrl
from tfwd.optimizers.joint import JointOptimizer
from tfwd.optimizers.lazy_adam import LazyAdam
from tfwd.optimizers.registry import get
from tfwd.optimizers.schedule import WarmupDecay
from tfwd.optimizers.sparse_adagrad import SparseAdagrad
from tfwd.optimizers.sparse_ftrl import SparseFtrl
from tfwd.optimizers.sparse_rmsprop import SparseRmsprop
from tfwd.optimizers.sparse_sgd import SparseSgd

__all__ = [
    "DenseAdam",
    "DenseFtrl",
    "JointOptimizer",
    "LazyAdam",
    "SparseAdagrad",
    "SparseFtrl",
    "SparseRmsprop",
    "SparseSgd",
    "WarmupDecay",
    "get",
]
