"""DETR and its family: cached maps give the whole model's answers, known classes keep their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from headstart.backbones.transformers_detection import MAPS, DetrBackbone, load, with_classes
from headstart.errors import ModelError
from headstart.sources.local import describe
from headstart.stock import torchvision_ops
from headstart.types import Framing

FAMILIES = ["detr", pytest.param("conditional_detr", marks=pytest.mark.slow),
            pytest.param("deformable_detr", marks=pytest.mark.slow)]  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES)
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DetrBackbone:
    folder = tiny.detection_model(tmp_path_factory.mktemp("detr") / "model", request.param)
    return load(describe(folder), Framing(128))


def images(count: int = 2) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"image": rng.normal(size=(3, 128, 128)).astype(np.float32)} for _ in range(count)]


def test_the_model_on_cached_maps_is_the_whole_model(backbone: DetrBackbone) -> None:
    classes = ("bar", "square")
    prefix = backbone.prefix((MAPS,))
    with torch.inference_mode():
        maps = prefix.module(torch.from_numpy(backbone.collate(images())["image"]))
        whole = backbone.detector(None, classes, False).outputs(backbone.batch_state(None, images()), 128)
        behind = backbone.detector(MAPS, classes, False).outputs(maps, 128)
    torch.testing.assert_close(behind.logits, whole.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(behind.pred_boxes, whole.pred_boxes, rtol=1e-4, atol=1e-4)


def test_classes_that_are_known_by_name_keep_their_weights(backbone: DetrBackbone) -> None:
    changed = with_classes(backbone.model, ("bar", "square"))
    names = [n for n, p in changed.named_parameters() if p.shape != dict(backbone.model.named_parameters())[n].shape]
    assert names
    for name in names:
        old, new = backbone.model.get_parameter(name), changed.get_parameter(name)
        assert torch.equal(new[0], old[1])  # bar was the second of three
        if len(new) > 2:
            assert torch.equal(new[-1], old[-1])  # no object
    same = with_classes(backbone.model, ("cat", "bar", "dog"))
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), backbone.model.parameters()))


def test_training_behind_the_maps_lowers_the_loss(backbone: DetrBackbone) -> None:
    detector = backbone.detector(MAPS, ("bar",), False)
    with torch.no_grad():
        maps = backbone.prefix((MAPS,)).module(torch.from_numpy(backbone.collate(images())["image"]))
    targets = [{"boxes": torch.tensor([[10.0, 20.0, 60.0, 80.0]]), "labels": torch.tensor([0])}] * 2
    optimizer = torch.optim.AdamW([p for p in detector.parameters() if p.requires_grad], lr=5e-3)
    losses = []
    for _ in range(30):
        loss = detector.loss(maps, targets, 128)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.9 * losses[0]


def test_boxes_of_the_square_come_back_as_they_were_given(backbone: DetrBackbone) -> None:
    with torch.inference_mode():
        found = backbone.detector(None, ("bar",), False).found(backbone.batch_state(None, images(1)), 128)
    for one in found:
        assert one["boxes"].shape == (len(one["scores"]), 4)
        assert (one["scores"].diff() <= 0).all()


def test_models_without_a_convolutional_encoder_are_refused(tmp_path: Path) -> None:
    torchvision_ops.ensure()
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    YolosForObjectDetection(YolosConfig(**small, image_size=[64, 64])).save_pretrained(tmp_path)
    YolosImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="convolutional encoder"):
        load(describe(tmp_path), Framing(64))
