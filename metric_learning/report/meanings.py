"""What the scores mean, in a line each, for those who meet them on a page."""

import re

# Patterns of names; `{k}` is what the group caught. R: the number of items of the query's class.
_MEANINGS = {
    r"recall@1": "share of queries whose nearest neighbor is of their class",
    r"precision@1": "the same as recall@1",
    r"recall@(\d+)": "share of queries with an item of their class among the {k} nearest",
    r"recall_of_relevant@(\d+)": "share of a query's class that is among its {k} nearest",
    r"precision@(\d+)": "share of the {k} nearest that are of the query's class",
    r"map@(\d+)": "precision averaged over the right ones among the {k} nearest; early ones count more",
    r"ndcg@(\d+)": "gain of the {k} nearest, discounted by rank, against the best order there is",
    r"r_precision": "share of right ones among the R nearest, R being how many there are to find",
    r"map@r": "as R-precision, but early ones count more; 1 if all R come first",
    r"mrr": "mean of 1 / rank of the first right one",
    r"map": "precision averaged over all right ones, however far they are",
    r"minp": "R / rank of the last right one: how far one must look to find all",
    r"queries": "items that were searched for",
    r"queries_without_positives": "of these, items with nothing of their class to find; they are not scored",
    r"clustering/nmi": "agreement of k-means with the classes, 0 to 1",
    r"clustering/ami": "agreement of k-means with the classes, less what chance gives",
    r"clustering/ari": "pairs on which k-means and the classes agree, less what chance gives",
    r"clustering/homogeneity": "whether clusters hold one class each",
    r"clustering/completeness": "whether classes lie in one cluster each",
    r"verification/roc_auc": "chance that an equal pair is nearer than a different one",
    r"verification/eer": "error where as many equal pairs are missed as different ones accepted",
    r"verification/tar@far=(.+)": "share of equal pairs accepted when {k} of the different ones are",
    r"verification/best_threshold": "distance that tells most pairs right",
    r"verification/best_accuracy": "share of pairs told right by the best threshold",
    r"geometry/alignment": "mean squared distance of equal pairs; less is tighter",
    r"geometry/uniformity": "how evenly the sphere is used; less is more even",
    r"geometry/effective_rank": "how many dimensions are in use",
}
_PREFIXES = {
    r"macro/": "each class counting alike: ",
    r"known/": "queries of classes known from training: ",
    r"unseen/": "queries of classes not seen in training: ",
    r"prefix_(\d+)/": "of the first {k} numbers of each embedding: ",
    r"int8/": "of embeddings in 8 bits: ",
    r"binary/": "of embeddings in one bit a number: ",
}


def meaning(name: str) -> str:
    """One line on a score, such as "recall@4" or "binary/map@r"; "" for an unknown one."""
    for pattern, words in _PREFIXES.items():
        found = re.match(pattern, name)
        if found:
            rest = meaning(name[found.end() :])
            return words.format(k=found.group(1) if found.groups() else "") + rest if rest else ""
    for pattern, words in _MEANINGS.items():
        found = re.fullmatch(pattern, name)
        if found:
            return words.format(k=found.group(1) if found.groups() else "")
    return ""
