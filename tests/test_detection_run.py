"""Object detection from annotated pictures to a folder that finds boxes without headstart."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

import headstart
import tiny
from headstart.backbones import timm_detection
from headstart.cli import cli
from headstart.errors import DataError, SettingError
from headstart.stock import torchvision_ops

pytestmark = pytest.mark.slow  # whole fits, one after another

Made = tuple[Path, Path]
SHORT = replace(timm_detection.RECIPES["head"], max_epochs=4, min_epochs=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("boxes")
    data, model = tiny.box_data(root / "data", 24), tiny.image_model(root / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        patch.setitem(timm_detection.RECIPES, "head", SHORT)
        headstart.fit(data, model=model, budget=240, depth="head", out=root / "run")
    return root / "run", data


def result(run: Made) -> dict:  # type: ignore[type-arg]
    found: dict = json.loads((run[0] / "result.json").read_text())  # type: ignore[type-arg]
    return found


def test_the_task_follows_from_the_data(run: Made) -> None:
    found = result(run)
    assert found["task"] == "object-detection"
    assert set(found["data"]["classes"]) == {"bar", "square"}
    assert found["headline_metric"] == "map"


def test_the_first_rung_is_in_closed_form_and_the_trained_head_is_compared_with_it(run: Made) -> None:
    rungs = result(run)["depth"]["rungs"]
    assert [r["name"] for r in rungs] == ["untuned", "head"]
    assert rungs[0]["metric"] == "map_loss"
    assert rungs[1]["difference"]["n"] > 1


def test_the_saved_folder_answers_as_the_tuned_module_does(run: Made) -> None:
    told = result(run)["artifact"]["check"]
    right, total = int(told.split()[0]), int(told.split()[2])
    assert right == total or right > 0.97 * total


def test_evidence_beside_the_naive_baseline_and_random_weights(run: Made) -> None:
    evidence = result(run)["evidence"]
    assert evidence["naive"]["metrics"]["map"]["value"] < 0.2
    assert evidence["control"]["name"] == "same network with random weights, same head"
    assert evidence["control"]["gain"]["low"] <= evidence["control"]["gain"]["high"]


def test_the_report_shows_boxes_and_precision(run: Made) -> None:
    page = (run[0] / "report.html").read_text()
    for words in ("Found against right", "By size", "Class by class", "Most mistakes", "mAP"):
        assert words in page
    assert len(page) < 2_000_000


def test_the_folder_finds_boxes_in_a_process_without_headstart(run: Made) -> None:
    picture = str(next((run[1] / "images").iterdir()))
    folder = run[0] / "model"
    done = subprocess.run(
        [sys.executable, "detect.py", picture], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone = json.loads(done.stdout)
    ours = next(headstart.load(run[0]).stream([picture])).to_json()
    assert len(alone["boxes"]) == len(ours["boxes"])
    for box in ours["boxes"]:  # another process, other threads: a printed digit may be rounded the other way
        assert any(_same_box(box, other) for other in alone["boxes"]), box


def _same_box(one: dict, other: dict) -> bool:  # type: ignore[type-arg]
    apart = [abs(a - b) for a, b in zip(one["box"], other["box"], strict=True)]
    return one["label"] == other["label"] and abs(one["score"] - other["score"]) < 1.5e-4 and max(apart) < 0.15


def test_predictions_are_in_pixels_of_pictures_of_any_size(run: Made, tmp_path: Path) -> None:
    small = Image.open(next((run[1] / "images").iterdir()))
    small.resize((small.width * 3, small.height * 3)).save(tmp_path / "large.png")
    predictor = headstart.load(run[0])
    for box in next(predictor.stream([str(tmp_path / "large.png")])).boxes or ():
        left, top, right, bottom = box.corners
        assert 0 <= left < right <= 3 * small.width
        assert 0 <= top < bottom <= 3 * small.height


def test_predict_draws_writes_coco_and_goes_on_after_a_bad_picture(run: Made, tmp_path: Path) -> None:
    pictures = sorted(str(p) for p in (run[1] / "images").iterdir())[:3]
    done = CliRunner().invoke(
        cli,
        ["predict", str(run[0]), *pictures, "/nowhere/x.png", "--draw", str(tmp_path / "drawn"),
         "--coco", str(tmp_path / "out" / "boxes.json")],
    )  # fmt: skip
    assert done.exit_code == 1
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [set(line) for line in lines] == [{"input", "boxes"}] * 3 + [{"input", "error"}]
    assert len(list((tmp_path / "drawn").iterdir())) == 3
    coco = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert len(coco["images"]) == 3
    assert len(coco["annotations"]) == sum(len(line["boxes"]) for line in lines[:3])
    for box in coco["annotations"]:
        assert box["bbox"][2] > 0
        assert box["bbox"][3] > 0


def test_evaluate_scores_other_pictures(run: Made, tmp_path: Path) -> None:
    found = headstart.evaluate(run[0], tiny.box_data(tmp_path / "other", 8))
    assert found["rows"] == 8
    assert found["metrics"]["map_50"]["value"] > 0  # pictures like those that it learnt from


def test_a_later_run_can_start_from_the_detectors_backbone(run: Made) -> None:
    from headstart.backbones import timm as timm_images
    from headstart.sources.local import describe

    saved = load_file(run[0] / "model" / "model.safetensors")
    loaded = timm_images.load(describe(run[0])).model.state_dict()
    assert all(torch.equal(loaded[name], saved[f"backbone.{name}"]) for name in loaded)


def test_answers_for_classes_are_refused(run: Made) -> None:
    predictor = headstart.load(run[0])
    picture = str(next((run[1] / "images").iterdir()))
    assert all(box["score"] >= 0.5 for box in predictor.predict([picture])[0])
    with pytest.raises(DataError, match="no probabilities"):
        predictor.predict_proba([picture])
    with pytest.raises(SettingError, match="does not answer with one"):
        predictor.threshold(0.1)


def test_a_large_picture_is_learnt_and_found_in_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(timm_detection.RECIPES, "head", SHORT)
    data = tiny.box_data(tmp_path / "data", 2, (1700, 1300))
    content = json.loads((data / "annotations.json").read_text())
    rng = np.random.default_rng(1)
    for image in content["images"]:
        file = data / "images" / image["file_name"]
        pixels = np.array(Image.open(file))
        for _ in range(120):
            x, y = (int(rng.integers(0, side - 26)) for side in (1700, 1300))
            pixels[y : y + 26, x : x + 26] = 250
            content["annotations"].append(
                {
                    "id": 1000 + len(content["annotations"]),
                    "image_id": image["id"],
                    "category_id": 1,
                    "bbox": [x, y, 26, 26],
                }
            )
        Image.fromarray(pixels).save(file)
    (data / "annotations.json").write_text(json.dumps(content))
    found = headstart.fit(
        data, model=tiny.image_model(tmp_path / "model"), budget=80, depth="head", out=tmp_path / "run"
    )
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["tile"] == 416
    assert any("tiles of 416 pixels" in note for note in found.details["data"]["notes"])
    large = str(data / "images" / "000.png")
    boxes = next(headstart.load(tmp_path / "run").stream([large])).boxes or ()
    assert max(box.corners[2] for box in boxes) > 1000  # beyond the first tile


def test_prove_trains_the_same_detector_from_random_weights(run: Made) -> None:
    proof = headstart.prove(run[0], budget=60)
    assert proof["metric"] == "map"
    assert 0 <= proof["scores"]["scratch"]["map"]["value"] <= 1
    assert "multiplier" not in proof


@pytest.mark.parametrize("architecture", ["resnet18", "vgg11_bn", "convnext_atto", "mobilenetv3_small_050"])
def test_every_family_gives_its_maps_and_cuts(architecture: str, tmp_path: Path) -> None:
    from headstart.backbones.timm_detection import TimmDetection
    from headstart.types import Framing, ModelSource

    torchvision_ops.ensure()
    import timm

    torch.manual_seed(0)
    model = timm.create_model(architecture)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": architecture}))
    source = ModelSource("x", tmp_path, "timm", architecture, "image", "", "", "local")
    backbone = TimmDetection(source, model, "key", Framing(128))
    image = {"image": np.random.default_rng(0).normal(size=(3, 128, 128)).astype(np.float32)}
    whole = backbone.suffix(None)(*backbone.batch_state(None, [image, image]))
    assert list(whole) == ["stride8", "stride16", "stride32"]
    cuts = [depth.cut for depth in backbone.depths if depth.cut is not None]
    prefix = backbone.prefix(cuts)
    with torch.inference_mode():
        outputs = dict(zip(prefix.output_names, prefix.module(torch.from_numpy(backbone.collate([image])["image"]))))
    for cut in cuts:
        record = {name: outputs[name][0].numpy() for name in prefix.states[cut]}
        maps = backbone.suffix(cut)(*backbone.batch_state(cut, [record, record]))
        for name, values in whole.items():
            torch.testing.assert_close(maps[name], values, rtol=1e-3, atol=1e-3)


def test_a_detr_checkpoint_is_tuned_and_saved_as_stock_transformers_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchvision_ops.ensure()
    from transformers import pipeline

    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    data = tiny.box_data(tmp_path / "data", 24)
    model = tiny.detection_model(tmp_path / "model")
    found = headstart.fit(data, model=model, budget=90, depth="block", out=tmp_path / "run")
    names = [rung["name"] for rung in found.details["depth"]["rungs"]]
    assert names == ["untuned", "block"]
    assert found.details["artifact"]["layout"] == "native"
    right, total = (int(found.details["artifact"]["check"].split()[n]) for n in (0, 2))
    assert right >= 0.97 * total
    stock = pipeline("object-detection", str(tmp_path / "run" / "model"))
    assert set(stock.model.config.id2label.values()) == {"bar", "square"}
    picture = str(next((data / "images").iterdir()))
    assert next(headstart.load(tmp_path / "run").stream([picture])).error is None
