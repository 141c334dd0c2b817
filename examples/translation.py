"""Texts into another language with an encoder-decoder of your choice.

python examples/translation.py TABLE MODEL
TABLE: columns source and target, or a folder with train.en and train.de. MODEL: a hub id such as
Helsinki-NLP/opus-mt-en-de, or a local folder.
"""

from __future__ import annotations

import sys

import headstart


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    table, model = sys.argv[1:]
    result = headstart.fit(table, task="translation", model=model, budget="20m")
    metric = result.details["headline_metric"]
    score = result.metrics[metric]
    print(f"{metric}: {score['value']:.3f} (95% interval {score['low']:.3f} to {score['high']:.3f})")
    print(result.details["evidence"]["sentence"])
    for example in result.details["examples"][:3]:
        print(f"\n{example['note']}\n  wanted: {example['target']}\n  got:    {example['output']}")
    print("report:", result.run / "report.html")


if __name__ == "__main__":
    main()
