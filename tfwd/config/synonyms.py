"""What other libraries call the keys of a configuration: Keras, pandas, scikit-learn, LightGBM, tf.estimator."""

from __future__ import annotations

from collections.abc import Iterable

_RATES = "train.wide_optimizer.learning_rate or train.deep_optimizer.learning_rate"
_CLIP = "clipnorm, an option of train.wide_optimizer and of train.deep_optimizer"
_DELIMITER = "data.csv.delimiter"
_PATIENCE = "train.early_stopping.patience"
_L1 = "l1_regularization_strength, an option of train.wide_optimizer"
_L2 = "model.l2 of the tower, or l2_regularization_strength, an option of both optimizers"
_OUTPUT = "--output, the second argument of tfwd.fit"
_CLASSES = "data.label.classes, the list of them"
_BINS = "hash_bins of a categorical feature, or bins of a cross"
_WEIGHTS = "weights, the column of the values' weights"
_SHARED = "embedding, with the name of the feature whose embedding it is"
_KEYS = "keys, the names of the features that are crossed"
_UTF8 = "Leave it out: files are UTF-8."
_SHUFFLED = "Leave it out: rows are shuffled anew in every epoch, by train.seed."

# Keys with the same meaning everywhere. A string that ends in a full stop is a sentence, any other is a place.
_ANYWHERE = {
    # data
    "sep": _DELIMITER,
    "separator": _DELIMITER,
    "delim": _DELIMITER,
    "field_delim": _DELIMITER,
    "na_values": "data.csv.null",
    "na_value": "data.csv.null",
    "null_values": "data.csv.null",
    "quotechar": "data.csv.quote",
    "escapechar": "data.csv.escape",
    "skiprows": "data.csv.skip",
    "column_names": "data.csv.columns",
    "usecols": "features: columns that no feature reads are left out",
    "label": "data.label",
    "target": "data.label",
    "target_column": "data.label",
    "label_column": "data.label.column",
    "label_name": "data.label.column",
    "label_key": "data.label.column",
    "pos_label": "data.label.positive",
    "positive_class": "data.label.positive",
    "label_vocabulary": "data.label.classes",
    "n_classes": _CLASSES,
    "num_class": _CLASSES,
    "num_classes": _CLASSES,
    "sample_weight": "data.weight",
    "weight_column": "data.weight",
    "filter": "data.filter",
    "val": "data.validation",
    "valid": "data.validation",
    "validation_data": "data.validation",
    "validation_split": "data.validation_fraction",
    "train_data": "data.train",
    "test_data": "data.test",
    "test_size": "data.split.test",
    # features
    "columns": "features",
    "feature_columns": "features",
    "linear_feature_columns": "wide: true of each feature of the wide head",
    "dnn_feature_columns": "embedding, one_hot or deep of each feature of the deep head",
    # task
    "objective": "task: binary, multiclass or regression",
    "loss": "task, from which the loss follows",
    "metrics": "task, from which the metrics follow",
    # model
    "dropout": "model.dropout",
    "dropout_rate": "model.dropout",
    "dnn_dropout": "model.dropout",
    "batch_norm": "model.batch_norm",
    "batch_normalization": "model.batch_norm",
    "hidden_units": "model.hidden_units",
    "hidden_layers": "model.hidden_units",
    "hidden_layer_sizes": "model.hidden_units",
    "dnn_hidden_units": "model.hidden_units",
    "layers": "model.hidden_units",
    "units": "model.hidden_units",
    "activation": "model.activation",
    "activation_fn": "model.activation",
    "dnn_activation_fn": "model.activation",
    "heads": "model.heads",
    "l1": _L1,
    "l1_regularization_strength": _L1,
    "l2": _L2,
    "l2_regularization_strength": _L2,
    "kernel_regularizer": _L2,
    "weight_decay": _L2,
    # training
    "learning_rate": _RATES,
    "lr": _RATES,
    "eta": _RATES,
    "optimizer": "train.wide_optimizer or train.deep_optimizer",
    "linear_optimizer": "train.wide_optimizer",
    "dnn_optimizer": "train.deep_optimizer",
    "gradient_clip": _CLIP,
    "clip_norm": _CLIP,
    "clipnorm": _CLIP,
    "clipvalue": _CLIP.replace("clipnorm", "clipvalue"),
    "max_grad_norm": _CLIP,
    "epochs": "train.epochs",
    "num_epochs": "train.epochs",
    "n_epochs": "train.epochs",
    "max_epochs": "train.epochs",
    "max_iter": "train.epochs",
    "steps": "train.max_steps",
    "max_steps": "train.max_steps",
    "num_steps": "train.max_steps",
    "train_steps": "train.max_steps",
    "batch_size": "train.batch_size",
    "seed": "train.seed",
    "random_state": "train.seed",
    "random_seed": "train.seed",
    "tf_random_seed": "train.seed",
    "buffer_size": "train.shuffle_rows",
    "shuffle_buffer_size": "train.shuffle_rows",
    "early_stopping": "train.early_stopping",
    "monitor": "train.early_stopping.monitor",
    "patience": _PATIENCE,
    "early_stopping_rounds": _PATIENCE,
    "early_stopping_round": _PATIENCE,
    "n_iter_no_change": _PATIENCE,
    "class_weight": "train.class_weights",
    "class_weights": "train.class_weights",
    "save_checkpoints_steps": "train.checkpoint_every",
    "warm_start": "train.warm_start_from",
    "init_checkpoint": "train.warm_start_from",
    # where it goes
    "output": _OUTPUT,
    "output_dir": _OUTPUT,
    "model_dir": _OUTPUT,
    "formats": "export.formats",
    "opset": "--opset of `tfwd export onnx`",
}

_NUMBER = {
    "normalizer_fn": "normalization",
    "normalizer": "normalization",
    "scaling": "normalization",
    "scale": "normalization",
    "transform": "normalization",
    "default_value": "fill",
    "default": "fill",
    "impute": "fill",
    "bins": "quantiles or boundaries of a feature of type bucketized",
    "boundaries": "boundaries of a feature of type bucketized",
    "exact": "exact of a feature of type bucketized",
    "embedding": "embedding of a feature of type bucketized",
    "columns": "column, of a feature for each",
}
_CATEGORY = {
    "columns": "column, of a feature for each",
    "deep": "embedding or one_hot",
    "dim": "embedding",
    "dimension": "embedding",
    "embed_dim": "embedding",
    "embedding_dim": "embedding",
    "embedding_size": "embedding",
    "output_dim": "embedding",
    "hash_bucket_size": _BINS,
    "hash_buckets": _BINS,
    "num_bins": _BINS,
    "num_buckets": "identity, the number of integers from 0 that are the categories",
    "vocab": "vocabulary",
    "vocabulary_list": "vocabulary",
    "categories": "vocabulary",
    "vocab_file": "vocabulary_file",
    "vocab_size": "max_size",
    "vocabulary_size": "max_size",
    "max_tokens": "max_size",
    "min_freq": "min_count",
    "min_frequency": "min_count",
    "num_oov_buckets": "There is one row for all values that are not in the vocabulary: leave it out.",
    "num_oov_indices": "There is one row for all values that are not in the vocabulary: leave it out.",
    "default_value": "There is a row for values that are not in the vocabulary and one for missing ones.",
    "indicator": "one_hot",
    "onehot": "one_hot",
    "sequence_length": "max_length",
    "max_len": "max_length",
    "maxlen": "max_length",
    "sep": "delimiter, beside max_length",
    "separator": "delimiter, beside max_length",
    "weight": _WEIGHTS,
    "weight_column": _WEIGHTS,
    "weight_feature_key": _WEIGHTS,
    "shared": _SHARED,
    "shared_with": _SHARED,
    "share_embedding": _SHARED,
    "pooling": "combiner",
    "normalization": "normalization of a feature of type numeric",
}

# Keys with a special meaning in one section.
_SECTIONS: dict[str, dict[str, str]] = {
    "Numeric": _NUMBER,
    "Bucketized": {
        **_CATEGORY,
        "bins": "quantiles, the number of buckets",
        "num_buckets": "quantiles, the number of buckets",
        "num_bins": "quantiles, the number of buckets",
        "bin_boundaries": "boundaries",
        "normalization": "normalization of a feature of type numeric",
    },
    "Categorical": {**_CATEGORY, "bins": _BINS, "boundaries": "boundaries of a feature of type bucketized"},
    "Cross": {
        **_CATEGORY,
        "column": _KEYS,
        "columns": _KEYS,
        "features": _KEYS,
        "feature_names": _KEYS,
        "inputs": _KEYS,
        "hash_bins": "bins",
        "hash_bucket_size": "bins",
        "hash_buckets": "bins",
        "num_bins": "bins",
        "num_buckets": "bins",
        "hash_key": "Leave it out: crosses are hashed as by keras.layers.HashedCrossing.",
    },
    "CsvConfig": {
        "names": "data.csv.columns",
        "encoding": _UTF8,
        "index": "Leave it out: a column that no feature reads is left out, an index too.",
        "index_col": "Leave it out: a column that no feature reads is left out, an index too.",
        "compression": "Leave it out: a file that ends in .gz is unpacked.",
        "label": "data.label",
    },
    "LabelConfig": {"name": "data.label.column", "key": "data.label.column", "labels": "data.label.classes"},
    "DataConfig": {
        "delimiter": _DELIMITER,
        "header": "data.csv.header",
        "null": "data.csv.null",
        "quote": "data.csv.quote",
        "quoting": "data.csv.quote",
        "escape": "data.csv.escape",
        "skip": "data.csv.skip",
        "encoding": _UTF8,
        "positive": "data.label.positive",
        "classes": "data.label.classes",
        "file": "data.train",
        "files": "data.train",
        "source": "data.train",
        "y": "data.label",
        "id": "data.key",
        "ids": "data.key",
        "where": "data.filter",
        "shuffle": _SHUFFLED,
        "batch_size": "train.batch_size",
    },
    "TrainConfig": {"shuffle": _SHUFFLED, "log_dir": "train.tensorboard: the logs are in logs of the run"},
    "ExportConfig": {"model_name": "export.name", "format": "export.formats"},
    "RankingConfig": {"top_k": "ranking.k", "user_id": "ranking.user", "item_id": "ranking.item"},
    "EarlyStoppingConfig": {
        "metric": "train.early_stopping.monitor",
        "rounds": _PATIENCE,
        "min_delta": "Leave it out: any better value counts.",
        "mode": "Leave it out: every metric knows which way is better.",
        "restore_best_weights": "Leave it out: the best step is what a run keeps.",
    },
    "ScheduleConfig": {
        "learning_rate": "start",
        "initial_learning_rate": "start, or keras: with the name of one of Keras' schedules",
        "decay_steps": "steps, or keras: with the name of one of Keras' schedules",
        "decay_rate": "end, or keras: with the name of one of Keras' schedules",
        "warmup_steps": "warmup",
        "alpha": "end",
    },
}


def meant(key: str, sections: Iterable[str]) -> str | None:
    """Returns a sentence that says where the setting written as `key` lives; None if no library has such a name.

    Args:
        key: what was written.
        sections: the names of the classes of the sections that are allowed there.
    """
    tables = [_SECTIONS.get(name, {}) for name in sections]
    place = next((table[key.lower()] for table in [*tables, _ANYWHERE] if key.lower() in table), None)
    if place is None:
        return None
    return place if place.endswith(".") else f"Did you mean {place}?"
