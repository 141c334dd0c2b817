#!/bin/sh
# Run every benchmark with its defaults; tables go to benchmarks/out/tables.md as well. PYTHON=... chooses the interpreter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python}
mkdir -p "$here/out"
tables="$here/out/tables.md"
failed=""
: >"$tables"
for name in cli_startup extraction elpv_head text_head speech_decoder; do
    echo "== $name" >&2
    if "$python" "$here/$name.py" >"$here/out/$name.md"; then
        { cat "$here/out/$name.md"; echo; } | tee -a "$tables"
    else
        failed="$failed $name"
    fi
done
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
