"""Pretrain small networks of several families on emoji for minutes; what that is worth on other emoji.

A folder for each in timm's own layout, as from the hub. No pip package carries a ResNet or a VGG, so that these stand
for them. headstart then fits ten classes that were not among those of pretraining, and measures the same network from
random weights beside.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import emoji
from common import HERE, Records, Said, machine_line, parser, table
from headstart.sources.cache_dir import cache_dir
from headstart.stock import torchvision_ops
from pretraining import pretrain_for
from runs import fit, fresh_cache

FAMILIES = ("resnet10t", "vgg11_bn", "mobilenetv3_small_100", "convnext_atto")
SIZE, BATCH = 64, 32


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--families", nargs="+", default=list(FAMILIES), help="architectures of timm")
    made.add_argument("--minutes", type=float, default=4.0, help="of pretraining each, where there is none yet")
    made.add_argument("--budget", default="2m", help="budget of each headstart fit")
    arguments = made.parse_args()
    records = Records("pretrain_images", arguments.results, small=False)
    records.open(arguments)
    data, rows = emoji.prepare(cache_dir() / "demo", Said()), []
    source, target = (emoji.rows_of(data, targets) for targets in (False, True))
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        pictures = _folder_of(target, Path(scratch) / "target")
        for name in arguments.families:
            folder = HERE / "out" / "timm" / name
            if not (folder / "config.json").is_file():
                pretrain(name, source, folder, arguments.minutes)
            place = Path(scratch) / name
            done = fit([pictures, "--model", folder, "--budget", arguments.budget], place / "run",
                       fresh_cache(place / "cache"))  # fmt: skip
            result = done.result
            (split,) = result["metrics"].values() if len(result["metrics"]) == 1 else [result["metrics"]["test"]]
            evidence, scratch_run = result["evidence"], result["scratch"]
            records.write("run", architecture=name, wall_s=done.process.wall_s, depth=done.depth, metrics=split,
                          evidence=evidence, scratch=scratch_run)  # fmt: skip
            gain = evidence["control"]["gain"]
            told = f"{100 * gain['value']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
            rows.append((name, f"{100 * split['accuracy']['value']:.1f}", done.depth["chosen"], told,
                         f"{done.process.wall_s:.0f}"))  # fmt: skip
    header = ("network", "accuracy, %", "depth", "over random weights, points", "s")
    title = "### pretrain_images: ten classes of emoji, after minutes of pretraining on others"
    print("\n\n".join([title, table(header, rows), machine_line()]))


def pretrain(name: str, rows: list[tuple[Path, str]], folder: Path, minutes: float) -> None:
    """Train the network on the rows' labels and write it in timm's layout."""
    torchvision_ops.ensure()
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    rng, classes = np.random.default_rng(0), sorted({label for _, label in rows})
    pictures = torch.from_numpy(np.stack([np.asarray(Image.open(p).resize((72, 72))) for p, _ in rows]))
    labels = torch.tensor([classes.index(label) for _, label in rows])
    model = timm.create_model(name, num_classes=len(classes))
    settings: Any = {**model.pretrained_cfg, "input_size": (3, SIZE, SIZE), "crop_pct": SIZE / 72, "mean": (0.5,) * 3,
                     "std": (0.5,) * 3, "interpolation": "bilinear", "fixed_input_size": False}  # fmt: skip

    def loss_of() -> torch.Tensor:
        picked = torch.from_numpy(rng.integers(len(rows), size=BATCH))
        top, left = rng.integers(9, size=2)
        images = pictures[picked][:, top : top + SIZE, left : left + SIZE].permute(0, 3, 1, 2).float() / 127.5 - 1
        images = images.flip(3) if rng.random() < 0.5 else images
        return torch.nn.functional.cross_entropy(model(images), labels[picked], label_smoothing=0.1)

    pretrain_for(model, minutes, loss_of, rate=1e-3, warmup=50, decay=0.05, what=name)
    folder.mkdir(parents=True, exist_ok=True)
    model.pretrained_cfg = settings
    save_for_hf(model, folder, model_config={"label_names": classes}, safe_serialization=True)


def _folder_of(rows: list[tuple[Path, str]], folder: Path) -> Path:
    """One folder of links for each class."""
    for path, label in rows:
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / path.name).symlink_to(path)
    return folder


if __name__ == "__main__":
    main()
