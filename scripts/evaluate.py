"""Repeats the evaluation of a finished run, from what the run saved.

    python scripts/evaluate.py run=outputs/RUN
    python scripts/evaluate.py run=outputs/RUN split=validation evaluation.ks=[1,10,100]

Prints the scores and, if the evaluation is the run's own, checks that they are those of its metrics.json.
"""

import json
import pathlib
import sys

import hydra
from omegaconf import OmegaConf


def main(arguments):
    options = OmegaConf.merge({"run": None, "split": "test", "evaluation": {}}, OmegaConf.from_dotlist(arguments))
    unknown = set(options) - {"run", "split", "evaluation"}
    if unknown or options.run is None or options.split not in ("validation", "test"):
        raise ValueError("expected run=FOLDER, and if wanted split=validation|test and evaluation.KEY=VALUE")
    folder = pathlib.Path(options.run)
    if not (folder / "encoder.keras").exists():
        raise ValueError(f"run must be the folder of a finished run; there is no encoder.keras in {folder}")

    import metric_learning.encoders  # noqa: F401  # isort: skip  its layers, for Keras to know; quiet TensorFlow
    import keras
    import tensorflow as tf

    from metric_learning.evaluation import scores_table

    tf.config.experimental.enable_op_determinism()
    cfg = OmegaConf.load(folder / "config.yaml")
    unknown = set(options.evaluation) - set(cfg.evaluation)
    if unknown:
        raise ValueError(f"evaluation has {', '.join(cfg.evaluation)}; got {', '.join(sorted(unknown))}")
    judge = hydra.utils.instantiate(OmegaConf.merge(cfg.evaluation, options.evaluation), _convert_="all")
    source = hydra.utils.instantiate(cfg.data, _convert_="all")
    verdict = judge(keras.models.load_model(folder / "encoder.keras"), source, options.split)
    print(scores_table({f"{source.name} {options.split}": verdict.evaluation.scores}))

    if not options.evaluation:
        saved = json.loads((folder / "metrics.json").read_text())
        different = [name for name, value in verdict.scores.items() if saved[name] != value]
        if different:
            raise ValueError(f"{', '.join(different)} differ from {folder}/metrics.json")
        print(f"the same, to the last digit, as in {folder}/metrics.json")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as error:
        sys.exit(print(f"evaluate.py: error: {error}", file=sys.stderr) or 2)
