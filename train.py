"""Train an encoder whose distances mean something, and report recall@k on classes it has never seen.

python train.py loss=triplet
python train.py -m loss=triplet,contrastive seed=0,1
python train.py resume=outputs/RUN
"""

import contextlib
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
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

LAST = pathlib.PurePath("checkpoints", "last.npz")
SHOW_TRACEBACK = "HYDRA_FULL_ERROR" in os.environ
build = functools.partial(hydra.utils.instantiate, _convert_="all")


@functools.cache
def run_folder(resume):
    """The folder to resume, or a new one named after the time."""
    folder = pathlib.Path(resume or time.strftime("outputs/%Y-%m-%d_%H-%M-%S"))
    if not resume and folder.exists():  # two runs started in one second
        folder = folder.with_name(f"{folder.name}_{os.getpid()}")
    return str(folder)


def hydra_folder(resume, folder):
    """Where in the folder Hydra writes: not over what a run that is there already was started with."""
    if resume:
        return ".hydra/resumed"
    return ".hydra/refused" if (pathlib.Path(folder) / LAST).exists() else ".hydra"


OmegaConf.register_new_resolver("run_folder", run_folder)
OmegaConf.register_new_resolver("hydra_folder", hydra_folder)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    hydra_config = HydraConfig.get()
    folder = pathlib.Path(hydra_config.runtime.output_dir)
    taken = cfg.resume is None and (folder / LAST).exists()
    try:
        if taken:
            raise ValueError(f"{folder} holds a run; go on with it by resume={folder}, or choose another folder")
        if cfg.resume is None:
            return experiment(cfg, folder, resume=False)
        return experiment(configuration_of(folder, hydra_config.overrides.task), folder, resume=True)
    except Exception as error:
        began = (folder / LAST).exists() and not taken
        if not began:
            remove_what_hydra_wrote(folder, hydra_config.output_subdir)
        # In a sweep the sweeper decides whether the other runs go on.
        if hydra_config.mode == RunMode.RUN and (cfg.resume or not began or isinstance(error, ArithmeticError)):
            stop_if_input_was_wrong(error)
        error.came_late = began and not isinstance(error, ArithmeticError)  # and so was hardly in the input
        raise
    except KeyboardInterrupt:
        if (folder / LAST).exists():
            print(f"stopped; go on with: python train.py resume={folder}", file=sys.stderr)
        sys.exit(130)


def experiment(cfg, folder, resume):
    """Builds, learns, judges, reports; returns the validation score that a sweep maximises."""
    from metric_learning.data import BatchPlan  # isort: skip  imports TensorFlow, without its noise
    import keras
    import tensorflow as tf

    from metric_learning.evaluation import scores_by_column, scores_table, write_report
    from metric_learning.penalties import penalize_weights, penalized
    from metric_learning.run_folder import environment, write_json, write_whole
    from metric_learning.tracking import NoTracking
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
    loss, penalty, augment = build(cfg.loss), build(cfg.penalty), build(cfg.augmentation)
    check_distances(cfg.distance, loss=loss, evaluation=judge)
    source = build(cfg.data)
    train, names = what_to_learn(source, cfg.labels, augment)
    plan = BatchPlan(train.labels, cfg.batch.classes, cfg.batch.samples, cfg.seed)
    with strategy.scope():
        encoder = build(cfg.encoder, input_shape=source.input_shape, vocabulary_size=source.vocabulary_size)
        encoder = penalized(encoder, penalty)
        loss.build(len(names), encoder.output_shape[-1], names)
        penalize_weights(loss.layers, build(cfg.class_penalty))
        learner = Learner(encoder, loss)
        learner.compile(build(cfg.optimizer))
    print(source.describe())
    print(f"{folder}: {encoder.count_params():,} weights, batches of {cfg.batch.classes} x {cfg.batch.samples}")

    # Learn. Every worker of several does; the first one keeps the books.
    untrained = {name: judge(encoder, source, name) for name in ("validation", "test")}
    check_objective(cfg.objective, untrained["validation"].scores)
    chief = is_chief(strategy.cluster_resolver)
    if chief and not resume:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        write_json(folder / "environment.json", environment(replicas=strategy.num_replicas_in_sync))
        source.save(folder)
    tracker = tracker if chief else NoTracking()
    tracker.start(folder, OmegaConf.to_container(cfg, resolve=True), name=folder.name)
    try:
        progress = loop.run(
            learner,
            train,
            plan,
            folder=folder,
            validate=lambda: judge(encoder, source, "validation").scores,
            augment=augment,
            jit_compile=cfg.jit_compile,
            resume=resume,
            save=chief,
            on_row=tracker.log,
        )
        if not chief:
            return progress.best_score

        # Judge, and report.
        best_step = restore_best(folder, learner)
        encoder.save(folder / "encoder.keras")
        trained = {name: judge(encoder, source, name) for name in ("validation", "test")}
        scores = {"best_step": best_step} | trained["validation"].scores | trained["test"].scores
        for verdict in untrained.values():
            scores |= {f"untrained/{name}": value for name, value in verdict.scores.items()}
        write_json(folder / "metrics.json", scores)
        print(scores_table(scores_by_column(scores)))
        pictures = write_report(
            folder / "report",
            source.test,
            trained["test"].embeddings,
            trained["test"].evaluation,
            history=progress.history,
            untrained_embeddings=untrained["test"].embeddings,
            gallery=source.gallery,
            gallery_embeddings=trained["test"].gallery_embeddings,
            untrained_gallery_embeddings=untrained["test"].gallery_embeddings,
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
    if not (folder / LAST).exists() or not file.exists():
        raise ValueError(f"resume must be the folder of a run with a checkpoint; there is none in {folder}")
    before = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    changes = [override for override in overrides if override not in before and not override.startswith("resume=")]
    if changes:
        raise ValueError(f"a resumed run keeps its configuration; leave out {' '.join(changes)}, or start a new run")
    return OmegaConf.load(file)


def what_to_learn(source, labels, augment):
    """The training split and the names of its classes; with labels "items" every item is a class of its own."""
    if labels == "classes":
        return source.train, source.names_of(source.train)
    if labels != "items":
        raise ValueError(f"labels must be classes or items; got {labels!r}")
    if augment is None:
        raise ValueError("labels=items needs an augmentation, or the views of an item would be one; data has none")
    return source.train.without_labels(), source.train.captions


def is_chief(cluster):
    """Whether this process keeps the books: of several workers the one called chief, or else the first.

    Args:
        cluster: `strategy.cluster_resolver`; None, or one without a cluster, for a single process.
    """
    jobs = [] if cluster is None else cluster.cluster_spec().jobs
    return not jobs or (cluster.task_type, cluster.task_id) == ("chief" if "chief" in jobs else "worker", 0)


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
        if part.distance not in (None, distance):
            raise ValueError(
                f"{name} measures by {part.distance} and the run by {distance}; set distance={part.distance} for all"
            )


def remove_what_hydra_wrote(folder, output_subdir):
    """Leaves nothing of a run that never began, and touches nothing that was there before."""
    shutil.rmtree(folder / output_subdir, ignore_errors=True)
    for empty in (folder / ".hydra", folder):
        with contextlib.suppress(OSError):
            empty.rmdir()


def choices_beside(key):
    """The settings that stand where `key` would stand."""
    parent = key.rpartition(".")[0]
    groups = {path.name for path in pathlib.Path(__file__).with_name("conf").iterdir() if path.is_dir()}
    # Other mistakes may wait in the other overrides.
    choices = [word.partition(",")[0] for word in sys.argv[1:] if word.partition("=")[0] in groups]
    GlobalHydra.instance().clear()
    with hydra.initialize(version_base="1.3", config_path="conf"):
        cfg = hydra.compose("config", choices)
    settings = OmegaConf.select(cfg, parent) if parent else cfg
    if not OmegaConf.is_dict(settings):
        return f"neither is {parent}"
    names = ", ".join(name for name in settings if name != "_target_")
    return f"{parent} has {names}" if parent else f"there are {names}"


def stop_if_input_was_wrong(error):
    """Ends the program with one line and exit code 2, if the error says what was wrong with its input."""
    known = (ValueError, ArithmeticError, hydra.errors.HydraException, OmegaConfBaseException)
    if not isinstance(error, known) or SHOW_TRACEBACK or getattr(error, "came_late", False):
        return
    if isinstance(error, hydra.errors.InstantiationException) and error.__cause__ is not None:
        part = re.search(r"full_key: (\S+)", str(error))
        wrong_type = isinstance(error.__cause__, TypeError) and part
        error = ValueError(f"{part[1]}: {error.__cause__}") if wrong_type else error.__cause__
    if isinstance(error, hydra.errors.MissingConfigException) and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        error = ValueError(f"{group} must be one of {', '.join(error.options)}; got {option!r}")
    misspelt = re.match("Could not override '([^']+)'", str(error))
    if misspelt:
        error = ValueError(f"{misspelt[1]} is no setting; {choices_beside(misspelt[1])}")
    print("train.py: error:", " ".join(str(error).split()), file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: a class name may be in any language
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # without it Hydra itself ends the program, with 1 and several lines
    try:
        main()
    except Exception as error:
        stop_if_input_was_wrong(error)
        raise
