"""Repeats the evaluation of a finished run, from what the run saved.

    python scripts/evaluate.py run=outputs/RUN
    python scripts/evaluate.py run=outputs/RUN evaluation.ks=[1,10,100]
    python scripts/evaluate.py run=outputs/RUN trusted=[mynet]            # of an encoder of your own, or anybody's

Prints the table of the run: validation and test, by the saved encoder, and as they were before training. If the
evaluation is the run's own, it checks that the scores are those of its metrics.json. Data that have changed since are
judged as they are now, with a warning.
"""

import json
import pathlib
import sys

import hydra
from omegaconf import OmegaConf


def main(arguments):
    options = OmegaConf.merge({"run": None, "evaluation": {}, "trusted": []}, OmegaConf.from_dotlist(arguments))
    if set(options) != {"run", "evaluation", "trusted"} or options.run is None:
        raise ValueError("expected run=FOLDER, and if wanted evaluation.KEY=VALUE and trusted=[PACKAGE]")
    folder = pathlib.Path(options.run)
    if not (folder / "metrics.json").exists():
        raise ValueError(f"run must be the folder of a finished run; there is no metrics.json in {folder}")

    from metric_learning import command_line

    cfg = command_line.load(folder / "config.yaml", options.trusted)
    unknown = set(options.evaluation) - set(cfg.evaluation)
    if unknown:
        raise ValueError(f"evaluation has {', '.join(cfg.evaluation)}; got {', '.join(sorted(unknown))}")
    command_line.check_settings(*map(OmegaConf.to_container, (options.evaluation, cfg.evaluation)), "evaluation")

    import keras
    import tensorflow as tf

    from metric_learning.data import Vocabulary
    from metric_learning.encoders.custom import find
    from metric_learning.evaluation import scores_by_column, scores_table
    from metric_learning.tokenized import tokenized

    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(cfg.precision)
    judge = command_line.build(OmegaConf.merge(cfg.evaluation, options.evaluation))
    source = command_line.build(cfg.data)
    if source.vocabulary not in (None, Vocabulary.load(folder / "vocabulary.json") if source.vocabulary else None):
        raise ValueError(f"the data have changed: their vocabulary is not that of {folder}/vocabulary.json")
    changes = source.changes_since(folder)
    if changes:
        print(f"warning: the data have changed since {folder} began: {changes}", file=sys.stderr)
    if "target" in cfg.encoder:  # which Keras has to know the layers of
        find(cfg.encoder.target)
    encoder = keras.models.load_model(folder / "encoder.keras")
    encoder, source = tokenized(encoder, source)
    scores = {}
    for split_name in ("validation", "test"):
        scores |= judge(encoder, source, split_name).scores

    saved = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if options.evaluation:
        print(scores_table(scores_by_column(scores)))
        return
    print(scores_table(scores_by_column(saved | scores)))
    different = [name for name, value in scores.items() if saved[name] != value]
    if different:
        raise ValueError(f"{', '.join(different)} differ from {folder}/metrics.json")
    print(f"the same, to the last digit, as in {folder}/metrics.json")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(print(__doc__))
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: a class name may be in any language
    try:
        main(sys.argv[1:])
    except (ValueError, hydra.errors.InstantiationException) as error:
        print("evaluate.py: error:", error.__cause__ or error, file=sys.stderr)
        sys.exit(2)
