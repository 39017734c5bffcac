"""Serves the encoder of a run, and an index of it: embeds, searches and matches for programs and on a page for people.

    python scripts/serve.py run=outputs/RUN index=INDEX              # http://127.0.0.1:8000/, its API at /docs
    python scripts/serve.py run=outputs/RUN index=INDEX port=0       # on any port that is free
    curl 127.0.0.1:8000/search -F items=@photo.jpg -F k=5

It has no passwords and answers this machine only, unless host= says another address: then put a proxy in front. Without
an index it only embeds. Settings: port=8000, host=127.0.0.1, root=. (folder that relative ids of the index are
images in), names=[] (under which a proxy in front calls it), trusted=[] (packages whose code is needed), and what a
request may ask for: body=16 (MB), pixels=50 (millions), items=256, characters=10000 (of a text), k=1000, seconds=30,
requests=128 (at the same time).
"""

import os
import sys

# Before anything searches: threads that wait for each other must not keep the processor from those who read and answer.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import metric_learning
from metric_learning.command_line import start_script, words_of
from metric_learning.serving import Limits, listen_on, names_of, run


def main(arguments):
    limits = vars(Limits())
    where = {"port": 8000, "host": "127.0.0.1", "root": ".", "names": [], "trusted": []}
    settings = words_of(arguments, run=None, index=None, **where, **limits)
    if settings.run is None:
        raise ValueError("expected run=FOLDER, and index=FOLDER to search in")
    asked = Limits(**{name: settings[name] for name in limits})
    bound = listen_on(settings.host, settings.port)

    metric_learning.import_tensorflow()
    try:
        from metric_learning.serving import create_app
    except ImportError as error:
        more = 'pip install -c constraints.txt -e ".[serve]"'
        raise ValueError(f"a server needs more packages ({error}): {more}") from error

    encoder = metric_learning.load(settings.run, trusted=settings.trusted)
    index = None if settings.index is None else metric_learning.Index.load(settings.index, encoder)
    names = names_of(settings.host, settings.names)
    run(create_app(encoder, index, limits=asked, root=settings.root, names=names), bound, asked.seconds)


if __name__ == "__main__":
    try:
        start_script(main, __doc__)
    except KeyboardInterrupt:  # before there was anything to end
        sys.exit(130)
