"""pytorch-widedeep 1.7: its own preprocessors, `Wide` and `TabMlp`, trained by its `Trainer`.

Its crosses have no bins: the wide preprocessor numbers every combination of the training rows. Both heads are trained
with Adam, since PyTorch has no FTRL; the wide one with 0.01. No metric is watched, which is in its favour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from pytorch_widedeep import Trainer  # type: ignore[import-not-found]
from pytorch_widedeep.callbacks import Callback  # type: ignore[import-not-found]
from pytorch_widedeep.models import TabMlp, Wide, WideDeep  # type: ignore[import-not-found]
from pytorch_widedeep.preprocessing import TabPreprocessor, WidePreprocessor  # type: ignore[import-not-found]

from benchmarks.peers.clock import Clock, contend
from benchmarks.peers.work import Source, Work, read


def run(work: Work, clock: Clock, folder: Path, source: Source, seed: int) -> tuple[Any, Any]:
    """Trains, and predicts the test rows."""
    train = read(folder, "train", source)
    wide_rows = WidePreprocessor(wide_cols=list(work.categories), crossed_cols=list(work.crosses))
    tab_rows = TabPreprocessor(
        cat_embed_cols=[(name, work.embedding) for name in work.categories],
        continuous_cols=list(work.numbers),
        cols_to_scale=list(work.numbers),
    )
    x_wide, x_tab = wide_rows.fit_transform(train), tab_rows.fit_transform(train)
    torch.manual_seed(seed)
    np.random.seed(seed)
    wide = Wide(input_dim=wide_rows.wide_dim)
    # Its own start is uniform in -1 to 1, which one epoch does not get over; the others start at zero.
    torch.nn.init.zeros_(wide.wide_linear.weight)
    deep = TabMlp(
        column_idx=tab_rows.column_idx,
        cat_embed_input=tab_rows.cat_embed_input,
        continuous_cols=list(work.numbers),
        mlp_hidden_dims=list(work.hidden),
        mlp_dropout=0.0,
    )

    class Stamps(Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.reached(clock.steps + 1)

    model = WideDeep(wide=wide, deeptabular=deep)
    trainer = Trainer(
        model,
        objective="binary",
        optimizers={
            "wide": torch.optim.Adam(model.wide.parameters(), lr=0.01),
            "deeptabular": torch.optim.Adam(model.deeptabular.parameters(), lr=work.adam),
        },
        callbacks=[Stamps()],
        seed=seed,
        verbose=0,
    )
    clock.begin_fit()
    trainer.fit(
        X_wide=x_wide,
        X_tab=x_tab,
        target=train[work.label].to_numpy(),
        n_epochs=work.epochs,
        batch_size=work.batch,
    )
    clock.end_fit()
    test = read(folder, "test")
    probability = trainer.predict_proba(
        X_wide=wide_rows.transform(test), X_tab=tab_rows.transform(test), batch_size=8192
    )
    return test[work.label], probability[:, 1]


if __name__ == "__main__":
    contend(run)
