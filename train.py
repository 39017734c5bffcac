"""Train an encoder whose distances mean something, and report recall@k on classes it has never seen.

python train.py loss=triplet
python train.py -m loss=triplet,contrastive seed=0,1
python train.py resume=outputs/RUN
"""

import functools
import os
import pathlib
import re
import shutil
import sys
import time
import warnings

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

SHOW_TRACEBACK = "HYDRA_FULL_ERROR" in os.environ
build = functools.partial(hydra.utils.instantiate, _convert_="all")

OmegaConf.register_new_resolver("run_folder", lambda resume: resume or time.strftime("outputs/%Y-%m-%d_%H-%M-%S"))
OmegaConf.register_new_resolver("hydra_folder", lambda resume: ".hydra/resumed" if resume else ".hydra")


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    folder = pathlib.Path(HydraConfig.get().runtime.output_dir)
    resume = cfg.resume is not None
    try:
        if resume:
            cfg = configuration_of(folder, HydraConfig.get().overrides.task)
        return experiment(cfg, folder, resume)
    except Exception as error:
        began = (folder / "checkpoints").exists()
        if not began:
            shutil.rmtree(folder, ignore_errors=True)  # nothing is left of a run that never began
        if resume or not began or isinstance(error, ArithmeticError):
            stop_if_input_was_wrong(error)
        raise
    except KeyboardInterrupt:
        sys.exit(print(f"stopped; go on with: python train.py resume={folder}", file=sys.stderr) or 130)


def experiment(cfg, folder, resume):
    """Builds, learns, judges, reports; returns the validation score that a sweep maximises."""
    from metric_learning.data import BatchPlan  # isort: skip  imports TensorFlow, without its noise
    import keras
    import tensorflow as tf

    from metric_learning.evaluation import scores_table, write_report
    from metric_learning.run_folder import environment, write_json
    from metric_learning.training import Learner, Loop, restore_best

    started = time.perf_counter()
    keras.utils.clear_session()  # the graphs of the run before, in a sweep
    strategy = build(cfg.strategy)
    set_precision(cfg.precision)
    keras.utils.set_random_seed(cfg.seed)
    tf.config.experimental.enable_op_determinism()

    # Build: parts that need no data first, so that a mistake in them shows at once.
    judge, tracker = build(cfg.evaluation), build(cfg.tracking)
    loop = Loop(cfg.steps, validate_every=judge.every, objective=cfg.objective, patience=cfg.patience)
    loss, augment = build(cfg.loss), build(cfg.augmentation)
    check_distances(cfg.distance, loss=loss, evaluation=judge)
    source = build(cfg.data)
    plan = BatchPlan(source.train.labels, cfg.batch.classes, cfg.batch.samples, cfg.seed)
    with strategy.scope():
        encoder = build(cfg.encoder, input_shape=source.input_shape, vocabulary_size=source.vocabulary_size)
        learner = Learner(encoder, loss)
        learner.compile(build(cfg.optimizer))
    print(source.describe())
    print(f"{folder}: {encoder.count_params():,} weights, batches of {cfg.batch.classes} x {cfg.batch.samples}")

    # Learn.
    untrained = {name: judge(encoder, source, name) for name in ("validation", "test")}
    check_objective(cfg.objective, untrained["validation"].scores)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    source.save(folder)
    write_json(folder / "environment.json", environment(replicas=strategy.num_replicas_in_sync))
    tracker.start(folder, OmegaConf.to_container(cfg, resolve=True), name=folder.name)
    try:
        progress = loop.run(
            learner,
            source.train,
            plan,
            folder=folder,
            validate=lambda: judge(encoder, source, "validation").scores,
            augment=augment,
            jit_compile=cfg.jit_compile,
            resume=resume,
            on_row=tracker.log,
        )

        # Judge, and report.
        best_step = restore_best(folder, learner)
        encoder.save(folder / "encoder.keras")
        trained = {name: judge(encoder, source, name) for name in ("validation", "test")}
        scores = {"best_step": best_step} | trained["validation"].scores | trained["test"].scores
        for verdict in untrained.values():
            scores |= {f"untrained/{name}": value for name, value in verdict.scores.items()}
        write_json(folder / "metrics.json", scores)
        print(
            scores_table(
                {f"{name}, untrained": verdict.evaluation.scores for name, verdict in untrained.items()}
                | {f"{name}, trained": verdict.evaluation.scores for name, verdict in trained.items()}
            )
        )
        pictures = write_report(
            folder / "report",
            source.test,
            trained["test"].embeddings,
            trained["test"].evaluation,
            history=progress.history,
            untrained_embeddings=untrained["test"].embeddings,
            gallery=source.gallery,
            class_names=source.class_names,
            distance=cfg.distance,
            objective=cfg.objective,
            title=f"{source.name} test, {type(loss).__name__}",
        )
        tracker.finish(summary=scores, pictures=pictures.values(), encoder_file=folder / "encoder.keras")
    finally:
        tracker.close()
    print(f"{time.perf_counter() - started:.0f} s; pictures in {folder}/report")
    return scores[cfg.objective]


def configuration_of(folder, overrides):
    """The configuration of the run to resume, which the command line must not change."""
    file = folder / "config.yaml"
    if not (folder / "checkpoints" / "last.npz").exists() or not file.exists():
        raise ValueError(f"resume must be the folder of a run with a checkpoint; there is none in {folder}")
    before = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    changes = [override for override in overrides if override not in before and not override.startswith("resume=")]
    if changes:
        raise ValueError(f"a resumed run keeps its configuration; leave out {' '.join(changes)}, or start a new run")
    return OmegaConf.load(file)


def set_precision(precision):
    """Sets Keras' policy; raises ValueError for an unknown one."""
    import keras

    choices = ("float32", "mixed_float16", "mixed_bfloat16")
    if precision not in choices:
        raise ValueError(f"precision must be one of {', '.join(choices)}; got {precision!r}")
    keras.config.set_dtype_policy(precision)


def check_objective(objective, scores):
    """Raises ValueError unless the objective is among the validation scores."""
    if objective not in scores:
        raise ValueError(f"objective must be one of {', '.join(scores)}; got {objective!r}")


def check_distances(distance, **parts):
    """Raises ValueError unless all parts measure by the same distance."""
    for name, part in parts.items():
        if part.distance != distance:
            raise ValueError(
                f"{name} measures by {part.distance} and the run by {distance}; set distance={part.distance} for all"
            )


def choices_beside(key):
    """The settings that stand where `key` would stand."""
    GlobalHydra.instance().clear()
    with hydra.initialize(version_base="1.3", config_path="conf"):
        rest = [override for override in sys.argv[1:] if "=" in override and not override.startswith(f"{key}=")]
        parent = key.rpartition(".")[0]
        cfg = hydra.compose("config", rest)
        settings = OmegaConf.select(cfg, parent) if parent else cfg
    if not OmegaConf.is_dict(settings):
        return f"neither is {parent}"
    names = ", ".join(name for name in settings if name != "_target_")
    return f"{parent} has {names}" if parent else f"there are {names}"


def stop_if_input_was_wrong(error):
    """Ends the program with one line and exit code 2, if the error says what was wrong with its input."""
    if isinstance(error, hydra.errors.InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, hydra.errors.MissingConfigException) and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        error = ValueError(f"{group} must be one of {', '.join(error.options)}; got {option!r}")
    misspelt = re.match("Could not override '([^']+)'", str(error))
    if misspelt:
        error = ValueError(f"{misspelt[1]} is no setting; {choices_beside(misspelt[1])}")
    known = (ValueError, ArithmeticError, hydra.errors.HydraException, OmegaConfBaseException)
    if isinstance(error, known) and not SHOW_TRACEBACK:
        message = " ".join(str(error).split())
        sys.exit(print(f"train.py: error: {message}", file=sys.stderr) or 2)


if __name__ == "__main__":
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # without it Hydra itself ends the program, with 1 and several lines
    try:
        main()
    except Exception as error:
        stop_if_input_was_wrong(error)
        raise
