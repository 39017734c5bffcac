"""The learning rate over a run."""

import keras


def warmup_cosine(peak: float, steps: int, warmup_steps: int = 0) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rises in a line to `peak`, then falls to 0 at `steps` along half a cosine.

    Args:
        peak: above 0.
        steps: of the whole run, at least 1.
        warmup_steps: at least 0; cut to half of `steps` for a very short run.

    Returns:
        keras.optimizers.schedules.LearningRateSchedule.

    Raises:
        ValueError: a number out of range.
    """
    if not peak > 0 or steps < 1 or warmup_steps < 0:
        raise ValueError(
            "expected learning_rate.peak > 0, steps >= 1 and warmup_steps >= 0; "
            f"got peak={peak}, steps={steps}, warmup_steps={warmup_steps}"
        )
    warmup_steps = min(warmup_steps, steps // 2)
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(peak, steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup_steps, warmup_target=peak, warmup_steps=warmup_steps
    )
