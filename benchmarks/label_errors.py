"""Planted label errors: ours against cleanlab's confident learning on the same out-of-fold probabilities."""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score

import elpv_head
import text_head
from common import Records, Said, machine_line, parser, spread, table
from head_to_head import Comparison
from headstart.backbones.load import load_backbone
from headstart.data.folds import grouped_folds
from headstart.data.split import group_indices, label_indices
from headstart.features import extract, features_of, open_extractor
from headstart.findings.label_errors import label_errors
from headstart.findings.neighbours import nearest, unit_rows, vote
from headstart.heads.linear import fit_linear_head
from headstart.metrics.calibration import fold_temperature, softmax
from headstart.sources import resolve
from headstart.sources.cache_dir import cache_dir
from splits import model_folder, read_rows

DATA = {"elpv": elpv_head.COMPARISON, "section": text_head.COMPARISON}
SHARES = (0.0, 0.05, 0.1)
NEIGHBOURS = 10
METHODS = ("ours", "confident learning", "self-confidence", "normalized margin")


def main() -> None:
    """All data sets, shares and seeds; one line each, and a table."""
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=5, help="number of draws of the flipped rows: seeds 0, 1, …")
    made.add_argument("--limit", type=int, help="use that many rows only (for development; marked small)")
    made.add_argument("--data", nargs="*", choices=list(DATA), default=list(DATA), help="which data")
    made.add_argument("--kinds", nargs="*", default=["ridge", "logistic"], help="heads that the run may choose from")
    arguments = made.parse_args()
    records = Records("label_errors", arguments.results, small=arguments.limit is not None)
    records.open(arguments)
    lines = []
    for name in arguments.data:
        features, labels, groups = _features(DATA[name], arguments.limit)
        for share in SHARES:
            seeds = range(arguments.seeds) if share else range(1)
            found = [_one(features, labels, groups, share, seed, arguments) for seed in seeds]
            for seed, facts in zip(seeds, found):
                records.write("seed", data=name, share=share, seed=seed, **facts)
            lines.append(_line(name, share, found))
    print(table(["data", "flipped", *(f"AP {m}" for m in METHODS), "ours listed", "of these planted",
                 "confident learning listed", "of these planted"], lines))  # fmt: skip
    print(f"\n{'A small trial. ' if records.small else ''}{arguments.seeds} seeds: median (smallest to largest). "
          f"{machine_line()}")  # fmt: skip


def _features(comparison: Comparison, limit: int | None) -> tuple[dict[str, Any], Any, Any]:
    """Pooled features by name, labels and groups of all rows, from the cache where it has them."""
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        data = comparison.prepare(cache_dir() / "demo", Said())
        dataset = read_rows(data, comparison.columns, limit, Path(scratch))
        backbone = load_backbone(resolve(str(model_folder(comparison.model)), True, Said()))
        extractor = open_extractor(backbone, dataset.examples[:64], cache_dir(), Said())
        extract(extractor, dataset.examples, backbone.views[:1], Said())
        kept = features_of(extractor, dataset.examples, backbone.views[:1])
        rows = np.arange(len(dataset.examples))
        features = {name: kept.pooled(name, rows) for name in backbone.features}
        return features, label_indices(dataset), group_indices(dataset)


def _one(
    features: dict[str, Any], labels: Any, groups: Any, share: float, seed: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Flip a share of the labels to another class, drawn evenly; fit out of fold; rank and list by every method."""
    rng = np.random.default_rng(seed)
    n_classes, flipped = int(labels.max()) + 1, np.zeros(len(labels), dtype=bool)
    flipped[rng.choice(len(labels), round(share * len(labels)), replace=False)] = True
    given = np.where(flipped, (labels + rng.integers(1, n_classes, len(labels))) % n_classes, labels)
    folds = grouped_folds(given, groups, 3, seed)
    fitted = fit_linear_head(features, given, n_classes, groups, rng, kinds=arguments.kinds, folds=folds)
    logits = np.zeros((len(labels), n_classes))
    for fold, head in enumerate(fitted.fold_heads):
        logits[folds == fold] = head.logits(features[head.feature][folds == fold])
    probabilities = softmax(logits / fold_temperature(logits, given))
    begin = time.perf_counter()
    neighbours, _ = nearest(unit_rows(features[fitted.head.feature]), groups, NEIGHBOURS)
    ours = label_errors(probabilities, vote(neighbours, given, n_classes), given)
    ours_s, begin = time.perf_counter() - begin, time.perf_counter()
    issues = find_label_issues(given, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    cleanlab_s = time.perf_counter() - begin
    confidence = get_label_quality_scores(given, probabilities, method="self_confidence")
    first = -confidence - 2.0
    first[issues] += 2.0  # those it lists before all others, each part by self-confidence
    scores = {
        "ours": ours.surprise,
        "confident learning": first,
        "self-confidence": -confidence,
        "normalized margin": -get_label_quality_scores(given, probabilities, method="normalized_margin"),
    }
    listed = {"ours": np.flatnonzero(ours.flagged), "confident learning": issues}
    return {
        "rows": len(labels),
        "head": fitted.head.kind,
        "average_precision": {m: float(average_precision_score(flipped, s)) for m, s in scores.items()}
        if share
        else {},
        "listed": {m: len(rows) for m, rows in listed.items()},
        "planted": {m: float(flipped[rows].mean()) if len(rows) else None for m, rows in listed.items()},
        "noise_rate": ours.noise_rate,
        "noise_test": ours.test,
        "ours_s": ours_s,
        "cleanlab_s": cleanlab_s,
    }


def _line(name: str, share: float, found: list[dict[str, Any]]) -> list[str]:
    def shown(kind: str, method: str, digits: int) -> str:
        values = [f[kind][method] for f in found if f[kind].get(method) is not None]
        return spread(values, digits) if values else "—"

    listed = [
        cell
        for method in ("ours", "confident learning")
        for cell in (shown("listed", method, 0), shown("planted", method, 2) if share else "—")
    ]
    return [name, f"{share:.0%}", *(shown("average_precision", m, 3) for m in METHODS), *listed]


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # cleanlab's remarks on progress bars
    main()
