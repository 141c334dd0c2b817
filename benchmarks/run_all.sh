#!/bin/sh
# Run benchmarks with their defaults: those named, or all. Tables go to benchmarks/out/NAME.md; those of this call,
# together, to benchmarks/out/tables.md. PYTHON=... chooses the interpreter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python}
# the long ones last: ladder takes hours, budgets and memory most of an hour
all="cli_startup extraction elpv_head text_head few_shot_texts few_shot_images tags pretrain_images calibration ood label_errors speech_decoder speech_french speech_epochs second_fit busy_machine summaries translations writing_lora detection autogluon_texts autogluon_images memory many_texts budgets ladder"
mkdir -p "$here/out"
tables="$here/out/tables.md"
failed=""
for name in ${*:-$all}; do
    if [ ! -f "$here/$name.py" ]; then
        echo "there is no benchmark $name; choose from: $all" >&2
        exit 2
    fi
done
: >"$tables"
for name in ${*:-$all}; do
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
