"""Which language is spoken? Recordings in class folders.

python examples/audio_classification.py [FOLDER]
FOLDER: your own recordings, one sub-folder for each class; without it the demo's telephone prompts are fetched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import headstart
from headstart.demo_data import languages
from headstart.sources.cache_dir import cache_dir
from headstart.types import Silent


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else languages.prepare(cache_dir() / "demo", Silent())
    result = headstart.fit(data, task="audio-classification", budget="3m")
    print(f"right: {result.score:.1%}")
    for name, found in result.details["findings"].items():
        if found.get("count"):
            print(f"look at {name}: {found['count']}")
    print(*result.details["warnings"], sep="\n")
    print("report:", result.run / "report.html")


if __name__ == "__main__":
    main()
