"""What needs an extra that is not installed is not looked into for examples."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("fastapi") else ["metric_learning/serving"]
