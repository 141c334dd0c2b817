"""Pretrain small networks of several families on printed letters for minutes; what that is worth on handwritten digits.

A folder for each in timm's own layout, as from the hub. No pip package carries a ResNet or a VGG, so that these stand
for them. headstart then fits the digits with few labels a class, and `headstart prove` trains the same network from
random weights on the same labels to the end.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import letters
from common import HERE, Records, Said, machine_line, parser, run_process, table
from headstart.sources.cache_dir import cache_dir
from headstart.stock import torchvision_ops
from pretraining import pretrain_for
from runs import fit, fresh_cache

FAMILIES = ("resnet10t", "vgg11_bn", "mobilenetv3_small_100", "convnext_atto")
ARGUMENTS: dict[str, dict[str, Any]] = {"vgg11_bn": {"mlp_ratio": 0.125}}  # else 120 of 130 million weights are in two
RATES = {"vgg11_bn": 2e-4}  # at 1e-3, which suits the others, its loss stays where it begins
SIZE, BATCH = 32, 64


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--families", nargs="+", default=list(FAMILIES), help="architectures of timm")
    made.add_argument("--minutes", type=float, default=3.0, help="of pretraining each, where there is none yet")
    made.add_argument("--per-class", type=int, default=20, help="digits of each kind to learn from")
    made.add_argument("--budget", default="2m", help="budget of each headstart fit")
    made.add_argument("--prove-budget", default="5m", help="budget of each headstart prove")
    arguments = made.parse_args()
    records = Records("pretrain_images", arguments.results, small=False)
    records.open(arguments)
    data, rows = letters.prepare(cache_dir() / "demo", Said()), []
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        digits = letters.write_digits(Path(scratch) / "digits", SIZE, arguments.per_class, 0)
        for name in arguments.families:
            folder = HERE / "out" / "letters" / name
            if not (folder / "config.json").is_file():
                pretrain(name, data, folder, arguments.minutes)
            place = Path(scratch) / name
            cache = fresh_cache(place / "cache")
            done = fit([digits, "--model", folder, "--budget", arguments.budget], place / "run", cache)
            proving = ["prove", place / "run", "--budget", arguments.prove_budget, "--json"]
            process = run_process([sys.executable, "-m", "headstart", *proving], {"HEADSTART_CACHE": str(cache)})
            proof = json.loads(process.output)
            result = done.result
            records.write("run", architecture=name, wall_s=done.process.wall_s, depth=done.depth,
                          metrics=result["metrics"], evidence=result["evidence"], proof=proof)  # fmt: skip
            accuracy = result["metrics"][result["headline_split"]]["accuracy"]
            beside = [result["evidence"]["naive"], result["evidence"]["control"], proof]
            gains = [_points(one["gain"]) if one else "did not fit the budget" for one in beside]
            rows.append((name, _points(accuracy), done.depth["chosen"], *gains,
                         f"{done.process.wall_s:.0f}", f"{proof['seconds']:.0f}"))  # fmt: skip
    header = ("network", "accuracy, %", "depth", "over the naive baseline, points", "over random weights, same head",
              "over training from scratch", "fit, s", "scratch, s")  # fmt: skip
    title = f"### pretrain_images: handwritten digits, {arguments.per_class} of each, after minutes of printed letters"
    print("\n\n".join([title, table(header, rows), machine_line()]))


def pretrain(name: str, data: Path, folder: Path, minutes: float) -> None:
    """Train the network to tell letters and write it in timm's layout."""
    torchvision_ops.ensure()
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    pictures, classes = letters.read(data)
    given = ARGUMENTS.get(name, {})
    model = timm.create_model(name, num_classes=len(letters.LETTERS), **given)
    generator = torch.Generator().manual_seed(0)

    def loss_of() -> torch.Tensor:
        picked = torch.randint(len(pictures), (BATCH,), generator=generator)
        images = letters.as_if_written(pictures[picked], SIZE, generator)
        return torch.nn.functional.cross_entropy(model(2 * images - 1), classes[picked], label_smoothing=0.1)

    pretrain_for(model, minutes, loss_of, rate=RATES.get(name, 1e-3), warmup=50, decay=0.05, what=name)
    folder.mkdir(parents=True, exist_ok=True)
    model.pretrained_cfg = {**model.pretrained_cfg, "input_size": (3, SIZE, SIZE), "crop_pct": 1.0, "mean": (0.5,) * 3,
                            "std": (0.5,) * 3, "interpolation": "bilinear", "fixed_input_size": False}  # fmt: skip
    content = {"label_names": list(letters.LETTERS)} | ({"model_args": given} if given else {})
    save_for_hf(model, folder, model_config=content, safe_serialization=True)


def _points(value: dict[str, float]) -> str:
    return f"{100 * value['value']:.1f} ({100 * value['low']:.1f} to {100 * value['high']:.1f})"


if __name__ == "__main__":
    main()
