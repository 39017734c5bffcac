"""Train an encoder whose distances mean something, and report recall@k on classes it has never seen.

python train.py loss=triplet
python train.py -m loss=triplet,contrastive seed=0,1
python train.py resume=outputs/RUN
"""

import contextlib
import signal
import time

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a Ctrl-C while the rest is imported ends quietly

import hydra
from omegaconf import OmegaConf

from metric_learning import command_line, import_tensorflow
from metric_learning.command_line import build


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    return command_line.run(experiment, cfg)


def experiment(cfg, folder, resume):
    """Builds, trains, judges, reports; returns the validation score that a sweep maximizes.

    Args:
        cfg: as composed from `conf/` and the command line.
        folder: pathlib.Path of the run.
        resume: go on with the run in the folder.
    """
    import_tensorflow()
    from metric_learning.data import BatchPlan, what_to_learn
    from metric_learning.distances import check_same_distance
    from metric_learning.encoder_files import save_encoder
    from metric_learning.encoders.custom import asked_for
    from metric_learning.evaluation import check_objective
    from metric_learning.penalties import penalize_weights, penalized
    from metric_learning.report import report_run, run_table, scores_of_run
    from metric_learning.run_folder import environment
    from metric_learning.tokenized import what_trains
    from metric_learning.tracking import NoTracking
    from metric_learning.training import Learner, Loop, is_chief, restore_best, start_afresh
    from metric_learning.whole_files import write_json, write_whole

    started = time.perf_counter()
    strategy = build(cfg.strategy)
    start_afresh(cfg.seed, cfg.precision)

    # Build: parts that need no data first, so that a mistake in them shows at once.
    judge, tracker = build(cfg.evaluation), build(cfg.tracking)
    loop = Loop(cfg.steps, judge.every, cfg.objective, cfg.patience, cfg.thaw_at)
    loss, penalty, augment = build(cfg.loss), build(cfg.penalty), build(cfg.augmentation)
    check_same_distance(cfg.distance, loss=loss.distance, evaluation=judge.distance)
    source = build(cfg.data)
    if resume:
        source.check_unchanged(folder)
    print(source.describe())
    to_learn, _ = what_to_learn(source, cfg.labels, augment)
    plan = BatchPlan(to_learn.labels, cfg.batch.classes, cfg.batch.samples, cfg.seed)
    with strategy.scope():
        encoder = build(cfg.encoder, **asked_for(cfg.encoder._target_, source.encoder_arguments))
        encoder = penalized(encoder, penalty)
    # What trains of the encoder, and the data as that part sees it.
    model, data = what_trains(encoder, source, frozen=cfg.frozen_features and augment is None)
    train, names = what_to_learn(data, cfg.labels, augment)
    with strategy.scope():
        loss.build(len(names), encoder.output_shape[-1], names)
        penalize_weights(loss.layers, build(cfg.class_penalty))
        learner = Learner(model, loss, ema=cfg.ema)
        learner.compile(build(cfg.optimizer))
    print(f"{folder}: {encoder.count_params():,} weights, batches of {cfg.batch.classes} x {cfg.batch.samples}")

    # Train. Every worker of several does; the first one keeps the books.
    untrained = {name: judge(model, data, name) for name in ("validation", "test")}
    check_objective(cfg.objective, untrained["validation"].scores)
    chief = is_chief(strategy.cluster_resolver)
    if chief and not resume:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        write_json(folder / "environment.json", environment(replicas=strategy.num_replicas_in_sync))
        source.save(folder)
    with contextlib.closing(tracker if chief else NoTracking()) as tracker:
        tracker.start(folder, OmegaConf.to_container(cfg, resolve=True), name=folder.name)
        progress = loop.run(
            learner,
            train,
            plan,
            folder=folder,
            validate=lambda: judge(model, data, "validation").scores,
            augment=augment,
            jit_compile=cfg.jit_compile,
            resume=resume,
            save=chief,
            on_row=tracker.log,
        )
        if not chief:
            return progress.best_score

        # Judge, once, the best of what was trained; where nothing trains, that was judged above.
        best_step = restore_best(folder, learner)
        save_encoder(folder, encoder, source, cfg.distance, cfg.encoder.get("target"))
        trained = {name: judge(model, data, name) for name in untrained} if learner.trainable_variables else untrained

        # Report.
        scores = scores_of_run(best_step, trained, untrained)
        write_json(folder / "metrics.json", scores)
        print(run_table(scores))
        pictures = report_run(
            folder / "report",
            source,
            trained,
            untrained,
            run=folder,
            history=progress.history,
            distance=cfg.distance,
            objective=cfg.objective,
            title=f"{source.name} test, {type(loss).__name__}",
        )
        tracker.finish(summary=scores, pictures=pictures.values(), encoder_file=folder / "encoder.keras")
    print(f"{time.perf_counter() - started:.0f} s; the report is {folder}/report/index.html")
    return scores[cfg.objective]


if __name__ == "__main__":
    command_line.start(main)
