"""The README.md of a saved model: what it is, what it was trained on, how good it is, how to load it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart.run_dir import write_atomically
from headstart.stock import windows

# tasks whose name on model hubs is another
PIPELINE_TAGS = {"speech-recognition": "automatic-speech-recognition"}
_LOADERS = {
    "transformers_detector.py:native": """\
import transformers_detector  # a file of this folder; needs transformers and torchvision

model = transformers_detector.load(".")  # transformers.pipeline("object-detection", model=".") reads it as well
for box in next(transformers_detector.predict(model, ["photo.jpg"]))["boxes"]:
    if box["score"] >= 0.5:
        print(box["label"], box["score"], box["box"])  # left, top, right, bottom in pixels""",
    "timm_detector.py": """\
import timm_detector  # a file of this folder; needs timm and torchvision

model = timm_detector.load(".")
for box in next(timm_detector.predict(model, ["photo.jpg"]))["boxes"]:
    if box["score"] >= 0.5:
        print(box["label"], box["score"], box["box"])  # left, top, right, bottom in pixels""",
    "timm_images.py": """\
import json, timm, torch
from PIL import Image

model = timm.create_model("local-dir:.", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
labels = json.load(open("config.json"))["label_names"]
with torch.inference_mode():
    chances = model(transform(Image.open("photo.jpg").convert("RGB")).unsqueeze(0)).softmax(-1)[0]
print(labels[int(chances.argmax())], float(chances.max()))""",
    "transformers_texts.py:native": """\
from transformers import pipeline

print(pipeline("text-classification", model=".")("a text"))""",
    "transformers_texts.py:portable": """\
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, {architecture}

tokenizer, encoder = AutoTokenizer.from_pretrained("."), {architecture}.from_pretrained(".").eval()
dense = load_file("{dense}/model.safetensors")
tokens = tokenizer(["a text"], padding=True, truncation=True, return_tensors="pt")
keep = tokens["attention_mask"].unsqueeze(-1)
with torch.inference_mode():
    pooled = (encoder(**tokens).last_hidden_state * keep).sum(1) / keep.sum(1){normalise}
chances = (pooled @ dense["linear.weight"].T + dense["linear.bias"]).softmax(-1)[0]
print(encoder.config.id2label[int(chances.argmax())], float(chances.max()))""",
    "transformers_texts.py:windows": """\
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, {architecture}

tokenizer, encoder = AutoTokenizer.from_pretrained("."), {architecture}.from_pretrained(".").eval()
dense = load_file("{dense}/model.safetensors")
text = "a text"  # however long: it is read in windows, {windows} at most
rows = tokenizer(text, padding=True, truncation=True, return_overflowing_tokens=True, return_tensors="pt")
tokens = {name: rows[name][:{windows}] for name in tokenizer.model_input_names}
keep = tokens["attention_mask"].unsqueeze(-1)
with torch.inference_mode():
    pooled = ((encoder(**tokens).last_hidden_state * keep).sum((0, 1)) / keep.sum())[None]{normalise}
chances = (pooled @ dense["linear.weight"].T + dense["linear.bias"]).softmax(-1)[0]
print(encoder.config.id2label[int(chances.argmax())], float(chances.max()))""",
    "transformers_recordings.py": """\
import soundfile, soxr
from transformers import pipeline

samples, rate = soundfile.read("call.wav", dtype="float32", always_2d=True)
classify = pipeline("audio-classification", model=".")
wanted = classify.feature_extractor.sampling_rate
samples = soxr.resample(samples[: 30 * rate].mean(1), rate, wanted)  # the first 30 s, as in training
print(classify({"raw": samples, "sampling_rate": wanted})[0])""",
    "text_to_text.py": """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("."), AutoModelForSeq2SeqLM.from_pretrained(".").eval()
text = (model.config.prefix or "") + "a text"
answer = model.generate(**tokenizer(text, truncation=True, return_tensors="pt"))
print(tokenizer.decode(answer[0], skip_special_tokens=True))""",
    "text_to_text.py:decoder": """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("."), AutoModelForCausalLM.from_pretrained(".").eval()
text, chat = model.config.prefix + "a text" + model.config.suffix, bool(tokenizer.chat_template)
if chat:
    message = {"role": "user", "content": text}
    text = tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
given = tokenizer(text, add_special_tokens=not chat, return_tensors="pt")
answer = model.generate(given["input_ids"], attention_mask=given["attention_mask"])
print(tokenizer.decode(answer[0, given["input_ids"].shape[1] :], skip_special_tokens=True))""",
    "transcripts.py": """\
import soundfile, soxr
from transformers import pipeline

samples, rate = soundfile.read("call.wav", dtype="float32", always_2d=True)
samples = soxr.resample(samples.mean(1), rate, 16_000)
print(pipeline("automatic-speech-recognition", model=".")({"raw": samples, "sampling_rate": 16_000})["text"])""",
}


def _sets(names: str) -> str:
    """Python that prints the labels whose chances reach their thresholds."""
    return (
        'limits = json.load(open("thresholds.json"))\n'
        f"print([name for name, p in zip({names}, chances.tolist()) if p >= limits[name]])"
    )


def _rows(call: str) -> str:
    """The same for a pipeline's rows."""
    return (
        'import json\n\nlimits = json.load(open("thresholds.json"))\n'
        f'print([row["label"] for row in {call} if row["score"] >= limits[row["label"]]])'
    )


def write_model_card(result: dict[str, Any], folder: Path, script: str) -> None:
    """Write README.md with the YAML header that model hubs read."""
    model, data, artifact = result["model"], result["data"], result["artifact"]
    split = result["headline_split"]
    metric = result["headline_metric"]
    score = result["metrics"][split][metric]
    header = {
        "license": str(model["licence"]).lower(),
        "library_name": artifact["format"],
        "pipeline_tag": PIPELINE_TAGS.get(result["task"], result["task"].removeprefix("multi-label-")),
        "base_model": model["id"],
        "metrics": [metric],
        "tags": ["headstart", "transfer-learning"],
    }
    yaml = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in header.items())
    classes = ", ".join(f"{name} ({count})" for name, count in list(data["classes"].items())[:30])
    lines = [
        f"# {result['task']} model, tuned from {model['id']}",
        "",
        f"Tuned by headstart {result['headstart_version']} on {result['created'][:10]}; depth: "
        f"{result['depth']['chosen']} ({result['depth']['why']}).",
        "",
        "## How good it is",
        "",
        f"{metric} {score['value']:.4f} (95% interval {score['low']:.4f} to {score['high']:.4f}, "
        f"{score['n']} independent groups of rows, {split.replace('_', '-')}). {result['headline_note'].capitalize()}.",
        "",
        *_doubt(result, split),
        "## What it was trained on",
        "",
        f"- {data['used']} rows (fingerprint `{data['fingerprint']}`); {data['split']['train']} for training, "
        f"{data['split']['test']} for testing; {data['quarantined']} not used.",
        *([f"- Classes: {classes}."] if classes else []),
        f"- Starting point: {model['id']} ({model['architecture']}), pretrained on {model['source_domain']}, licence "
        f"{model['licence']}. The licence of your data may bind this model too.",
        "",
        "## How to load it, in this folder",
        "",
        f"```python\n{_loader(folder, script, artifact['layout'])}\n```",
        "",
    ]
    write_atomically(folder / "README.md", f"---\n{yaml}---\n\n" + "\n".join(lines))


def _doubt(result: dict[str, Any], split: str) -> list[str]:
    """How far to trust probabilities, sets and flags; nothing for tasks without them."""
    conformal, ood = result.get("conformal"), result.get("ood") or {}
    if not conformal:
        return []
    measured = result["metrics"][split]
    lines = [
        "## How far to trust its probabilities",
        "",
        f"- Log-loss {measured['log_loss']['value']:.4f}, Brier score {measured['brier']['value']:.4f}, calibration "
        f"error {100 * measured['ece']['value']:.1f}%; one temperature is folded into the weights.",
    ]
    where = "test rows" if conformal["measured_on"] == "test" else "each fold, by the scores of the others"
    for level in conformal["levels"]:
        if level["coverage"]:
            covered, size = level["coverage"], level["mean_set_size"]
            lines.append(
                f"- Conformal sets at {100 * level['promised']:g}%: held the true class for "
                f"{100 * covered['value']:.1f}% ({100 * covered['low']:.1f}% to {100 * covered['high']:.1f}%, "
                f"{where}), {size:.2f} classes on average, {100 * level['undecided']:.1f}% left undecided."
            )
    lines.append(
        f"- `uncertainty/conformal.json` holds the {conformal['rows']} scores behind these sets, which "
        "`headstart predict --abstain` uses. They come from networks of the same kind, one for each fold, that had not "
        "seen the row; this one was trained after them, on all rows."
    )
    if "level" in ood:
        lines.append(
            f"- `uncertainty/ood.safetensors` holds where features of {ood['rows']} development rows lie "
            f"({ood['method']}). It finds inputs that look unlike them, not every input that the model gets wrong."
        )
    return [*lines, ""]


# what an answer of one class is printed by -> what a set of labels is
_SEVERAL = {
    "import torch\nfrom safetensors": "import json, torch\nfrom safetensors",
    ".softmax(-1)": ".sigmoid()",
    "print(labels[int(chances.argmax())], float(chances.max()))": _sets("labels"),
    "print(encoder.config.id2label[int(chances.argmax())], float(chances.max()))": _sets(
        "encoder.config.id2label.values()"
    ),
    'print(pipeline("text-classification", model=".")("a text"))': _rows(
        'pipeline("text-classification", model=".", top_k=None)("a text")'
    ),
    'print(classify({"raw": samples, "sampling_rate": wanted})[0])': _rows(
        'classify({"raw": samples, "sampling_rate": wanted}, top_k=None, function_to_apply="sigmoid")'
    ),
}


def _loader(folder: Path, script: str, layout: str) -> str:
    if script == "text_to_text.py" and "suffix" in json.loads((folder / "config.json").read_text()):
        script, layout = f"{script}:decoder", ""  # its prompt goes around the text
    if (folder / windows.FILE).is_file():
        layout = "windows"
    text = _LOADERS.get(script) or _LOADERS[f"{script}:{layout}"]
    if (folder / "thresholds.json").is_file():
        for one, several in _SEVERAL.items():
            text = text.replace(one, several)
    if "{dense}" not in text:
        return text
    modules = json.loads((folder / "modules.json").read_text())
    unit_length = any(m["type"].endswith("Normalize") for m in modules)
    normalise = "\n    pooled = torch.nn.functional.normalize(pooled)" if unit_length else ""
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    filled = {"{dense}": modules[-1]["path"], "{normalise}": normalise, "{architecture}": architecture}
    filled["{windows}"] = str(windows.windows_of(folder))
    for placeholder, value in filled.items():
        text = text.replace(placeholder, value)
    return text
