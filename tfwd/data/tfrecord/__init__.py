"""TFRecord files of tf.Example: read as tables, written from rows."""
