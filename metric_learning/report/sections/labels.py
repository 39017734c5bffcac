"""Items whose labels look wrong, beside those of their label and those of the label that is proposed."""

from collections.abc import Sequence

from metric_learning.evaluation.suspicious import Suspicion
from metric_learning.report.judged import Pictures, ShownItem, shortened
from metric_learning.report.page import Section, render
from metric_learning.report.pictures.suspicious import others_of_its_label
from metric_learning.types import Items

_SHOWN, _NEAR, _ROOM = 20, 3, 500_000


def labels_section(
    items: Items, found: Sequence[Suspicion], class_names: Sequence[str], shown: int = _SHOWN
) -> Section:
    """The surest suspicions.

    Args:
        items: whose rows they are; uint8 [n, h, w, c] inputs are shown as pictures.
        found: the surest first.
        class_names: name of each label.
        shown: at most.
    """
    pictures = Pictures(72, _ROOM)
    has_pictures = len(items.inputs.shape) == 4

    def show(row):
        picture = pictures.of(items.inputs[[row]][0]) if has_pictures else ""
        return ShownItem(picture, shortened(items.captions[row], 120), name(items.labels[row]))

    def name(label):
        return shortened(class_names[label], 60)

    def card(suspicion):
        item = show(suspicion.row)
        own = others_of_its_label(items.labels, suspicion.row, suspicion.given)
        compared = {"is labeled": own, "is near to": suspicion.neighbors[:_NEAR]}
        return {
            "classes": [name(suspicion.given), f"{name(suspicion.proposed)}?"],
            "between": "or",
            "note": f"{item.caption}; agreement {suspicion.agreement:.2f}",
            "examples": [
                {"item": item, "relation": words, "others": [show(row) for row in rows]}
                for words, rows in compared.items()
            ],
        }

    html = render(
        "labels.html",
        cards=[card(each) for each in found[:shown]],
        count=len(found),
        items=len(items.labels),
        has_pictures=has_pictures,
        left_out=pictures.left_out,
    )
    return Section("labels", "Labels that look wrong", html)
