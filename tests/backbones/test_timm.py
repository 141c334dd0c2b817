"""A timm folder as a backbone: views, cut, and a saved checkpoint that gives the head's own answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

import tiny
from headstart.backbones import timm as timm_backbone
from headstart.backbones.timm import TimmBackbone
from headstart.errors import ModelError
from headstart.sources import local
from headstart.types import Example


@dataclass(frozen=True)
class _Head:
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    feature: str = "native"
    normalisation: str = "none"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> TimmBackbone:
    return timm_backbone.load(local.describe(tiny.image_model(tmp_path_factory.mktemp("timm") / "model")))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    file = tiny.image_data(tmp_path_factory.mktemp("timm-data") / "data", 2) / "left" / "001.png"
    return Example("001.png", str(file), "left", "g", "digest")


def test_views_are_mirrors(backbone: TimmBackbone, example: Example) -> None:
    plain = np.asarray(backbone.encode(example, "plain")["image"])
    assert plain.shape == (3, 64, 64)
    mirrors = {
        "plain": plain,
        "hflip": plain[:, :, ::-1],
        "vflip": plain[:, ::-1],
        "hvflip": plain[:, ::-1, ::-1],
    }
    assert tuple(mirrors) == backbone.views[: len(mirrors)]
    for view in mirrors:  # resizing and cropping may shift by half a pixel
        encoded = backbone.encode(example, view)["image"]
        distances = {name: float(np.abs(encoded - mirror).mean()) for name, mirror in mirrors.items()}
        assert min(distances, key=lambda name: distances[name]) == view


def test_the_edges_of_a_picture_are_looked_at(backbone: TimmBackbone, example: Example, tmp_path: Path) -> None:
    """Also where the checkpoint's own configuration cuts them off."""
    pixels = np.array(Image.open(example.input).convert("RGB"))
    pixels[:2] = 255 - pixels[:2]
    changed = tmp_path / "edge.png"
    Image.fromarray(pixels).save(changed)
    plain, edge = (backbone.encode(e, "plain")["image"] for e in (example, replace(example, input=str(changed))))
    assert not np.array_equal(plain, edge)


def test_the_prefix_hands_on_each_cut_s_state_and_the_pretrained_pooling(
    backbone: TimmBackbone, example: Example
) -> None:
    cuts = [depth.cut for depth in backbone.depths if depth.cut is not None]
    prefix = backbone.prefix(cuts)
    image = backbone.encode(example, "plain")
    with torch.no_grad():
        outputs = prefix.module(torch.from_numpy(backbone.collate([image] * 3)["image"]))
        values = dict(zip(prefix.output_names, outputs))
        native = values["native"]
        for cut in cuts:
            records = [{n: values[n][row].numpy() for n in prefix.states[cut]} for row in range(3)]
            behind = backbone.suffix(cut)(*backbone.batch_state(cut, records))["native"]
            torch.testing.assert_close(behind, native, rtol=1e-4, atol=1e-5)
        whole = backbone.suffix(None)(*backbone.batch_state(None, [image] * 3))["native"]
        torch.testing.assert_close(whole, native, rtol=1e-4, atol=1e-5)
    assert prefix.pooled == ("native",)


def test_depths_go_from_the_last_block_to_everything(backbone: TimmBackbone) -> None:
    assert backbone.depths[0].name == "block"
    assert backbone.depths[-1].name == "all"
    shares = [depth.compute_share for depth in backbone.depths]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_saved_checkpoint_gives_the_head_s_answers(backbone: TimmBackbone, example: Example, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    head = _Head(rng.normal(size=(2, 256)).astype(np.float32), np.array([0.5, -0.5], dtype=np.float32))
    layout = backbone.save(tmp_path, {}, head, ("left", "right"))
    assert layout == "native"
    image = torch.from_numpy(backbone.collate([backbone.encode(example, "plain")])["image"])
    again = timm_backbone.load(local.describe(tmp_path))
    with torch.no_grad():
        native = backbone.prefix(()).module(image)[0].numpy()
        logits = again.model(image).numpy()
    np.testing.assert_allclose(logits, native @ head.weight.T + head.bias, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(again.encode(example, "plain")["image"], image.numpy()[0])


def test_tuned_weights_are_saved_in_place_of_the_pretrained(backbone: TimmBackbone, tmp_path: Path) -> None:
    name, value = next(
        (n, v) for n, v in backbone.suffix(None).state_dict().items() if n.endswith("weight") and v.dim() == 4
    )
    name = name.removeprefix("graph_module.")
    head = _Head(np.zeros((2, 256), np.float32), np.zeros(2, np.float32))
    backbone.save(tmp_path, {name: value + 1}, head, ("a", "b"))
    saved = load_file(tmp_path / "model.safetensors")
    torch.testing.assert_close(saved[name.removeprefix("model.")], value + 1)


def test_the_key_follows_the_weights(backbone: TimmBackbone, tmp_path: Path) -> None:
    folder = tiny.image_model(tmp_path / "model")
    assert timm_backbone.load(local.describe(folder)).key == backbone.key
    weights = load_file(folder / "model.safetensors")
    weights["conv_stem.weight"][0, 0, 0, 0] += 1e-3
    save_file(weights, folder / "model.safetensors")
    assert timm_backbone.load(local.describe(folder)).key != backbone.key


def test_random_weights_differ_from_the_pretrained_and_follow_the_seed(
    backbone: TimmBackbone, example: Example
) -> None:
    sample = [backbone.encode(example, view) for view in backbone.views]
    first, same, other = (backbone.randomised(seed, sample) for seed in (1, 1, 2))
    assert first.key == same.key
    assert len({backbone.key, first.key, other.key}) == 3
    assert first.data_config == backbone.data_config


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = tiny.image_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights.pop("conv_stem.weight")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match="do not fit test_efficientnet"):
        timm_backbone.load(local.describe(folder))


def test_an_architecture_s_arguments_are_kept(tmp_path: Path, example: Example) -> None:
    """Weights of another size, and another activation, which no weight would tell."""
    import timm

    folder, given = tmp_path / "model", {"act_layer": "gelu", "channel_multiplier": 0.5}
    torch.manual_seed(0)
    stock = timm.create_model("test_efficientnet", num_classes=10, **given).eval()
    folder.mkdir()
    settings = {**stock.pretrained_cfg, "input_size": (3, 64, 64)}
    content = {"architecture": "test_efficientnet", "num_classes": 10, "pretrained_cfg": settings}
    save_file(stock.state_dict(), folder / "model.safetensors")
    # as timm itself writes it, with the number of classes
    (folder / "config.json").write_text(json.dumps({**content, "model_args": {**given, "num_classes": 10}}))
    backbone = timm_backbone.load(local.describe(folder))
    image = torch.from_numpy(backbone.collate([backbone.encode(example, "plain")])["image"])
    with torch.no_grad():
        wanted = stock.forward_head(stock.forward_features(image), pre_logits=True)
        outputs = dict(zip((prefix := backbone.prefix(())).output_names, prefix.module(image)))
    torch.testing.assert_close(outputs["native"], wanted, rtol=1e-4, atol=1e-5)
    other = backbone.randomised(1, [backbone.encode(example, "plain")])
    assert other.model.conv_stem.weight.shape == stock.conv_stem.weight.shape and other.key != backbone.key

    saved, rng = tmp_path / "saved", np.random.default_rng(0)
    saved.mkdir()
    head = _Head(rng.normal(size=(2, wanted.shape[1])).astype(np.float32), np.zeros(2, dtype=np.float32))
    backbone.save(saved, {}, head, ["a", "b"])
    again = timm.create_model(f"local-dir:{saved}", pretrained=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(image), wanted @ torch.from_numpy(head.weight).T, rtol=1e-4, atol=1e-4)


def test_a_network_for_other_than_three_channels_is_refused(tmp_path: Path) -> None:
    import timm
    from timm.models import save_for_hf

    model = timm.create_model("test_efficientnet", num_classes=10, in_chans=1)
    save_for_hf(model, str(tmp_path / "model"), safe_serialization=True)
    with pytest.raises(ModelError, match="1 channels"):
        timm_backbone.load(local.describe(tmp_path / "model"))


def test_arguments_that_no_architecture_takes_are_told(tmp_path: Path) -> None:
    folder = tiny.image_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_args": {"colour": "red"}}))
    with pytest.raises(ModelError, match="colour"):
        timm_backbone.load(local.describe(folder))
