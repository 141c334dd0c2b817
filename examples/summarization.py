"""Long texts to short ones: package descriptions to one line, or a table of your own.

python examples/summarization.py [TABLE [MODEL]]
TABLE: columns document and summary; without it the demo's descriptions are fetched. MODEL: a hub id such as
google-t5/t5-small, or a local folder; without it SmolLM2, which comes through pip.
"""

from __future__ import annotations

import sys
from pathlib import Path

import headstart
from headstart.demo_data import synopses
from headstart.sources.cache_dir import cache_dir
from headstart.types import Silent


def main() -> None:
    table = Path(sys.argv[1]) if len(sys.argv) > 1 else synopses.prepare(cache_dir() / "demo", Silent())
    model = sys.argv[2] if len(sys.argv) > 2 else "pip:smollm2-135m-instruct"
    result = headstart.fit(table, task="summarization", model=model, budget="15m")
    metric = result.details["headline_metric"]
    score = result.metrics[metric]
    print(f"{metric}: {score['value']:.3f} (95% interval {score['low']:.3f} to {score['high']:.3f})")
    print(result.details["evidence"]["sentence"])
    for example in result.details["examples"][:3]:
        print(f"\n{example['note']}\n  wanted: {example['target']}\n  got:    {example['output']}")
    print("report:", result.run / "report.html")


if __name__ == "__main__":
    main()
