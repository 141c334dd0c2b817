"""The head of object detection: in closed form for single places of a backbone's maps, then a feature pyramid with
FCOS's head, trained by gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.backbones.backbone import SCRATCH, Depth
from headstart.data.box_views import View
from headstart.data.boxes import Box, boxes_of, corners_of
from headstart.data.scenes import tiles_of
from headstart.features import Features
from headstart.heads.head import PLAIN, Aim, BaseFit, CandidateScore, Difference, Outputs, Tunable, tuned_weights
from headstart.heads.place_fit import Sampled, fit_places, place_errors
from headstart.heads.tiles import joined
from headstart.metrics.detection import (
    THRESHOLDS,
    Matched,
    Truth,
    best_threshold,
    iou,
    match,
    mean_precision,
    mistakes,
    precision_draws,
    precision_table,
)
from headstart.problem import Problem, Rows
from headstart.stock.place_head import PlaceHead
from headstart.stock.timm_detector import shifted
from headstart.types import Example, Found, Framing, Prediction, Reporter, Silent

OUTPUT_BATCH = 8
AT_HALF = np.array([0.5])
SURE = 0.3  # score from which boxes are compared after saving
SAME_IOU = 0.9

Weights = dict[str, torch.Tensor]
Values = NDArray[np.float32]  # (n, 6): left, top, right, bottom in pixels, score, class index


class BoxModule(Protocol):
    """A trainable detector; parameters of its backbone lie in `network`."""

    def loss(self, inputs: Sequence[torch.Tensor], targets: list[dict[str, torch.Tensor]], side: int) -> torch.Tensor:
        """Training loss; targets: for each picture boxes (n, 4) in pixels and labels (n,)."""

    def found(self, inputs: Sequence[torch.Tensor], side: int) -> list[dict[str, torch.Tensor]]:
        """For each picture boxes (n, 4) in pixels of the square, scores and labels, best first."""

    def carried(self) -> Weights:
        """Weights from which the next rung goes on."""

    def start_from(self, weights: Weights) -> None:
        """Take what another rung carried."""


class DetectionBackbone(Protocol):
    """What a detection backbone adds to the common contract. closed_form: whether its maps suit the closed-form head;
    else the checkpoint's own head is the untuned rung.
    """

    framing: Framing
    strides: list[int]
    channels: list[int]
    closed_form: bool

    def detector(self, cut: str | None, classes: Sequence[str], is_live: bool) -> BoxModule:
        """A trainable network behind the cut that finds these classes. is_live: batch norm is at work."""

    def square(self, example: Example) -> tuple[int, int, int, int, tuple[float, float]]:
        """What of its picture an example shows, and the network's pixels for each pixel, along x and y."""

    def view(self, example: Example, name: str) -> View:
        """How that view changes picture and boxes."""

    def save_detector(
        self,
        folder: Path,
        tuned: Mapping[str, torch.Tensor],
        head: torch.nn.Module,
        classes: Sequence[str],
        threshold: float,
    ) -> str:
        """Write the folder; return its layout."""


@dataclass(frozen=True)
class BoxBase:
    """places: weights of the closed-form head. trained: pyramid and head of an earlier rung, from which the next one
    goes on; None before the first.
    """

    places: Weights
    trained: Weights | None = None


class _Detector(Tunable):
    """A backbone's detector, as what a rung trains."""

    def __init__(self, cut: str | None, detector: BoxModule) -> None:
        super().__init__(cut)
        # its parts, so that parameters of heads are called head.…
        for name, part in cast(torch.nn.Module, detector).named_children():
            self.add_module(name, part)
        self.detector = (detector,)

    @property
    def boxes(self) -> BoxModule:
        """What finds boxes."""
        return self.detector[0]


@dataclass(frozen=True)
class DetectionHead:
    """Depth is decided by one minus mean average precision."""

    decision_metric: str = "map_loss"

    def prepare(self, problem: Problem, rows: Rows) -> None:
        del problem, rows

    def candidate_score(self, problem: Problem, rows: Rows, reporter: Reporter) -> CandidateScore:
        """Held-out squared error of the closed-form head, as a share of the variance."""
        if not cast(DetectionBackbone, problem.backbone).closed_form:
            outputs = self.base_outputs(problem, BoxBase({}), rows, reporter)
            return CandidateScore(*self.row_scores(problem, outputs, rows), [])
        errors, facts = place_errors(problem, rows, _sampled(problem, rows))
        return CandidateScore(errors, np.ones(len(rows)), [facts])

    def fit_base(self, problem: Problem, rows: Rows, folds: NDArray[np.int64] | None = None) -> BaseFit:
        if not cast(DetectionBackbone, problem.backbone).closed_form:
            return BaseFit(BoxBase({}), [], [BoxBase({})] * (0 if folds is None else len(np.unique(folds))))
        sampled = _sampled(problem, rows)
        found = []
        for fold in [] if folds is None else np.unique(folds):
            kept = folds != fold
            found.append(BoxBase(fit_places(problem, rows[kept], sampled.of_rows(np.asarray(kept)))))
        facts = {"kind": "ridge on places", "places": len(sampled.owners)}
        return BaseFit(BoxBase(fit_places(problem, rows, sampled)), [facts], found)

    def refit_base(self, problem: Problem, rows: Rows, like: BoxBase) -> BoxBase:
        if not like.places:
            return like
        return BoxBase(fit_places(problem, rows, _sampled(problem, rows)), like.trained)

    def refit_tuned(self, problem: Problem, base: BoxBase, module: Tunable, rows: Rows) -> BoxBase:
        del problem, module, rows
        return base

    def carried(self, base: BoxBase, module: Tunable) -> BoxBase:
        assert isinstance(module, _Detector)
        return replace(base, trained=module.boxes.carried())

    def random_base(self, problem: Problem) -> BoxBase:
        del problem
        return BoxBase({})

    def describe_base(self, base: BoxBase) -> str:
        if not base.places:
            return "the checkpoint's own head; classes that it knows by name keep their weights"
        return "new head on single places of frozen maps (ridge regression in closed form)"

    def base_outputs(self, problem: Problem, base: BoxBase, rows: Rows, reporter: Reporter) -> Outputs:
        if not base.places:
            return self.outputs(problem, self.build(problem, base, problem.backbone.depths[0]), rows, reporter)
        head = self._place_head(problem, base)
        cut, side = problem.backbone.depths[0].cut, cast(DetectionBackbone, problem.backbone).framing.side
        found: list[Values] = []
        with torch.inference_mode():
            for start in range(0, len(rows), OUTPUT_BATCH):
                part = rows[start : start + OUTPUT_BATCH]
                maps = dict(zip(head.names, problem.inputs(part, cut)))
                found += _in_pixels(problem, part, head.found(head(maps), side))
        return _objects(found)

    def _place_head(self, problem: Problem, base: BoxBase) -> PlaceHead:
        backbone = cast(DetectionBackbone, problem.backbone)
        head = PlaceHead(backbone.strides, backbone.channels, problem.n_classes)
        head.load_state_dict(base.places)
        return head

    def build(self, problem: Problem, base: BoxBase, depth: Depth) -> Tunable:
        torch.manual_seed(problem.seed)
        backbone = cast(DetectionBackbone, problem.backbone)
        detector = backbone.detector(depth.cut, problem.dataset.classes, depth == SCRATCH)
        if base.trained is not None:
            detector.start_from(base.trained)
        return _Detector(depth.cut, detector)

    def step_loss(
        self, problem: Problem, module: Tunable, rows: Rows, rng: np.random.Generator, aim: Aim = PLAIN
    ) -> torch.Tensor:
        """FCOS's loss, each row in a view drawn at random."""
        del aim
        views = [problem.features.views[i] for i in rng.integers(len(problem.features.views), size=len(rows))]
        return self._loss(problem, module, rows, views)

    def _loss(self, problem: Problem, module: Tunable, rows: Rows, views: Sequence[str]) -> torch.Tensor:
        assert isinstance(module, _Detector)
        targets = [_targets(problem, int(row), view) for row, view in zip(rows, views)]
        side = cast(DetectionBackbone, problem.backbone).framing.side
        return module.boxes.loss(problem.inputs(rows, module.cut, views), targets, side)

    def dev_loss(self, problem: Problem, module: Tunable, rows: Rows) -> float:
        module.eval()
        plain = problem.backbone.views[0]
        losses, sizes = [], []
        with torch.inference_mode():
            for start in range(0, len(rows), OUTPUT_BATCH):
                part = rows[start : start + OUTPUT_BATCH]
                losses.append(float(self._loss(problem, module, part, [plain] * len(part))))
                sizes.append(len(part))
        return float(np.average(losses, weights=sizes))

    def agreement(self, problem: Problem, base: BoxBase, module: Tunable, rows: Rows) -> None:
        del problem, base, module, rows

    def outputs(self, problem: Problem, module: Tunable, rows: Rows, reporter: Reporter) -> Outputs:
        """For each row (n, 6): corners in the pixels of its picture, score, class index.

        Pictures that are seen in several tiles are only answered for by a whole network (of no cut).
        """
        del reporter
        assert isinstance(module, _Detector)
        if problem.dataset.framing is not None and module.cut is None:
            shown = [tiles_of(problem.dataset.examples[row], problem.dataset.framing) for row in rows]
            if max(map(len, shown), default=1) > 1:
                return _objects([self._in_tiles(problem, module, int(row), tiles) for row, tiles in zip(rows, shown)])
        module.eval()
        backbone = cast(DetectionBackbone, problem.backbone)
        found: list[Values] = []
        with torch.inference_mode():
            for start in range(0, len(rows), OUTPUT_BATCH):
                part = rows[start : start + OUTPUT_BATCH]
                inputs = problem.inputs(part, module.cut)
                found += _in_pixels(problem, part, module.boxes.found(inputs, backbone.framing.side))
        return _objects(found)

    def _in_tiles(self, problem: Problem, module: _Detector, row: int, tiles: list[Example]) -> Values:
        """The answer for one picture, joined from those for its tiles."""
        dataset = replace(problem.dataset, examples=tuple(tiles), framing=None)
        features = Features(tiles, None, problem.backbone.views[:1])
        zeros = np.zeros(len(tiles), dtype=np.int64)
        part = replace(problem, dataset=dataset, features=features, labels=zeros, groups=zeros, memo={})
        rows = np.arange(len(tiles))
        found = self.predictions(part, self.outputs(part, module, rows, Silent()), rows)
        boxes = joined(problem.dataset.examples[row], tiles, found).boxes or ()
        index = problem.dataset.classes.index
        return np.array([[*b.corners, b.score, index(b.label)] for b in boxes], dtype=np.float32).reshape(-1, 6)

    def calibrate(self, problem: Problem, outputs: Outputs, rows: Rows) -> float:
        """The score from which boxes count."""
        return best_threshold([_matched(problem, int(row), values, AT_HALF) for row, values in zip(rows, outputs)])

    def tempered(self, outputs: Outputs, temperature: float) -> Outputs:
        """Scores on a scale where the threshold is 0.5."""
        moved = []
        for values in outputs:
            copy = np.array(values)
            copy[:, 4] = [shifted(float(score), temperature) for score in copy[:, 4]]
            moved.append(copy)
        return _objects(moved)

    def differences(self, stock: Sequence[Prediction], ours: Sequence[Prediction]) -> Difference:
        """Share of the surer boxes that have no counterpart on the other side."""
        alone = total = 0
        for a, b in zip(stock, ours):
            for these, those in ((a.boxes or (), b.boxes or ()), (b.boxes or (), a.boxes or ())):
                sure = [box for box in these if box.score >= SURE]
                total += len(sure)
                alone += sum(not any(_same(box, other) for other in those) for box in sure)
        share = alone / max(1, total)
        told = f"{total - alone} of {total} boxes in {len(ours)} images are found again after saving and loading"
        return Difference(share, 0.02, 0.2, told)

    def row_scores(self, problem: Problem, outputs: Outputs, rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
        """Objects missed and false boxes, over objects."""
        pairs = [mistakes(_matched(problem, int(row), values, AT_HALF)) for row, values in zip(rows, outputs)]
        wrong, objects = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return wrong, objects

    def draws(self, problem: Problem, outputs: Outputs, rows: Rows) -> tuple[float, NDArray[np.float64]]:
        pictures = [_matched(problem, int(row), values, THRESHOLDS) for row, values in zip(rows, outputs)]
        table = precision_table(pictures, problem.n_classes)
        drawn = precision_draws(table, problem.groups[rows])
        return 1.0 - float(mean_precision(table.average_precision())), 1.0 - mean_precision(drawn)

    def predictions(self, problem: Problem, outputs: Outputs, rows: Rows) -> list[Prediction]:
        names = problem.dataset.classes
        found = []
        for row, values in zip(rows, outputs):
            example = problem.dataset.examples[row]
            boxes = tuple(
                Found(names[int(v[5])], float(v[4]), (float(v[0]), float(v[1]), float(v[2]), float(v[3])))
                for v in values
            )
            found.append(Prediction(example.id, example.target, boxes=boxes))
        return found

    def save(
        self,
        problem: Problem,
        base: BoxBase,
        module: Tunable | None,
        temperature: float,
        folder: Path,
        classes: Sequence[str],
    ) -> str:
        backbone = cast(DetectionBackbone, problem.backbone)
        if module is None and base.places:
            return backbone.save_detector(folder, {}, self._place_head(problem, base), classes, temperature)
        module = module or self.build(problem, base, problem.backbone.depths[0])
        assert isinstance(module, _Detector)
        whole = cast(torch.nn.Module, module.boxes)
        return backbone.save_detector(folder, tuned_weights(module, "network"), whole, classes, temperature)


def _objects(arrays: Sequence[Values]) -> Outputs:
    found = np.empty(len(arrays), dtype=object)
    for n, values in enumerate(arrays):
        found[n] = values
    return found


def _in_pixels(problem: Problem, rows: Rows, found: Sequence[Mapping[str, torch.Tensor]]) -> list[Values]:
    """What a head found in squares, in the pixels of their pictures."""
    values = []
    for row, one in zip(rows, found):
        _, _, width, height, scale = cast(DetectionBackbone, problem.backbone).square(problem.dataset.examples[row])
        corners = one["boxes"] / torch.tensor(scale).repeat(2)
        corners[:, 0::2] = corners[:, 0::2].clamp(0, width)
        corners[:, 1::2] = corners[:, 1::2].clamp(0, height)
        parts = [corners, one["scores"][:, None], one["labels"][:, None].float()]
        values.append(torch.cat(parts, 1).numpy())
    return values


def _same(box: Found, other: Found) -> bool:
    if box.label != other.label or abs(box.score - other.score) > 0.1:
        return False
    a, b = (corners_of([Box("", found.corners)]) for found in (box, other))
    return bool(iou(a, b)[0, 0] >= SAME_IOU)


def truth_of(boxes: Sequence[Box], classes: Sequence[str]) -> Truth:
    """A picture's objects, classes by index."""
    index = {name: n for n, name in enumerate(classes)}
    labels = np.array([index[b.label] for b in boxes], dtype=np.int64)
    return Truth(corners_of(boxes), labels, np.array([b.crowd for b in boxes], dtype=bool))


def _truth(problem: Problem, row: int) -> Truth:
    memo: dict[int, Truth] = problem.memo.setdefault("boxes", {})
    if row not in memo:
        memo[row] = truth_of(boxes_of(problem.dataset.examples[row].target), problem.dataset.classes)
    return memo[row]


def _matched(problem: Problem, row: int, values: Values, thresholds: NDArray[np.float64]) -> Matched:
    corners, scores = values[:, :4].astype(np.float64), values[:, 4].astype(np.float64)
    labels = values[:, 5].astype(np.int64)
    return match(_truth(problem, row), corners, scores, labels, problem.n_classes, thresholds)


def _sampled(problem: Problem, rows: Rows) -> Sampled:
    """Places of these rows, from their cached maps."""
    truths = []
    for row in rows:
        scale = cast(DetectionBackbone, problem.backbone).square(problem.dataset.examples[row])[4]
        truth = _truth(problem, int(row))
        truths.append((truth.corners[~truth.crowd] * np.tile(scale, 2), truth.labels[~truth.crowd]))
    return Sampled(problem, rows, truths)


def _targets(problem: Problem, row: int, view: str) -> dict[str, torch.Tensor]:
    """Boxes in the network's pixels and labels, of the objects that the view shows; crowds are not learnt."""
    memo: dict[tuple[int, str], dict[str, torch.Tensor]] = problem.memo.setdefault("box targets", {})
    if (row, view) not in memo:
        backbone, example = cast(DetectionBackbone, problem.backbone), problem.dataset.examples[row]
        truth = _truth(problem, row)
        _, _, width, height, scale = backbone.square(example)
        corners, shown = backbone.view(example, view).corners(truth.corners, (width, height))
        kept = shown & ~truth.crowd
        boxes = torch.from_numpy(corners[kept] * np.tile(scale, 2)).float()
        memo[row, view] = {"boxes": boxes, "labels": torch.from_numpy(truth.labels[kept])}
    return memo[row, view]
