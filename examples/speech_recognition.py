"""Whisper on telephone prompts: untouched, tuned, and what it writes.

python examples/speech_recognition.py [FOLDER]
FOLDER: recordings with metadata.csv (file_name, transcription); without it the demo's prompts are fetched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import headstart
from headstart.demo_data import prompts
from headstart.sources.cache_dir import cache_dir
from headstart.types import Silent


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else prompts.prepare(cache_dir() / "demo", Silent())
    result = headstart.fit(data, task="speech-recognition", budget="10m")
    print(f"word error rate: {result.score:.1%}")
    print(result.details["evidence"]["sentence"])

    model = headstart.load(result.run)
    for path in sorted(data.rglob("*.wav"))[:3]:
        print(path.name, "→", model.predict(path)[0])
    print("report:", result.run / "report.html")


if __name__ == "__main__":
    main()
