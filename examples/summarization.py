"""Long texts to short ones with an encoder-decoder of your choice.

python examples/summarization.py TABLE MODEL
TABLE: columns document and summary (or source and target for translations). MODEL: a hub id such as
google-t5/t5-small, or a local folder.
"""

from __future__ import annotations

import sys

import headstart


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    table, model = sys.argv[1:]
    result = headstart.fit(table, model=model, budget="20m")
    metric = result.details["headline_metric"]
    score = result.metrics[metric]
    print(f"{metric}: {score['value']:.3f} (95% interval {score['low']:.3f} to {score['high']:.3f})")
    print(result.details["evidence"]["sentence"])
    for example in result.details["examples"][:3]:
        print(f"\n{example['note']}\n  wanted: {example['target']}\n  got:    {example['output']}")
    print("report:", result.run / "report.html")


if __name__ == "__main__":
    main()
