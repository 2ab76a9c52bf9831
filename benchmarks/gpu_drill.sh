#!/usr/bin/env bash
# The stages of benchmarks/gpu_drill.py, within nine minutes: benchmarks/gpu_drill.sh PACK OUT [--rehearse]
# Needs torch, transformers, safetensors, pandas and pyarrow. Other packages: as wheels beside PACK. No network is asked.
set -uo pipefail
shopt -s nullglob
[[ $# -ge 2 ]] || { sed -n 2,3p "$0"; exit 2; }
pack=$(realpath "$1"); mkdir -p "$2"; out=$(realpath "$2"); shift 2
work=${DRILL_WORK:-build/gpu-drill}
cd "$(dirname "$0")/.." && mkdir -p "$work" && work=$(realpath "$work")
python=$(command -v python || command -v python3)

wheels=("$(dirname "$pack")"/*.whl)
if (( ${#wheels[@]} )); then
  "$python" -m pip install -q --no-index --no-deps --disable-pip-version-check --target "$work/packages" --upgrade "${wheels[@]}"
fi
export PYTHONPATH=$PWD:$work/packages${PYTHONPATH:+:$PYTHONPATH}

train=330 speed=90 all=530
[[ " $* " == *" --rehearse "* ]] && train=1800 speed=600 all=3600  # a CPU encodes captions slowly

stage() { # LIMIT NAME OPTION...: it is asked to end after LIMIT seconds, and made to 15 s later
  local limit=$1 name=$2; shift 2
  (( limit > 0 )) || { echo "no time left for the stage $name"; return; }
  timeout --kill-after=15 "$limit" "$python" -m benchmarks.gpu_drill "$name" "$pack" "$out" --work "$work" "$@" ||
    echo "the stage $name ended with $?; what it has written is kept"
}

{
  stage $((train + 15)) train --seconds "$train" "$@"
  if [[ -e $out/generator ]]; then
    stage $((all - speed - SECONDS)) finish "$@"
    stage $((all - SECONDS)) speed "$@"
  fi
  echo "the whole took $SECONDS s"
} 2>&1 | tee -a "$out/log"
[[ -e $out/generator ]]
