#!/usr/bin/env bash
# The stages of benchmarks/gpu_drill.py, within nine minutes: benchmarks/gpu_drill.sh PACK OUT [--rehearse]
# DRILL_STAGES="distill speed" runs other stages, DRILL_TRAIN and DRILL_ALL set the seconds of the training and of everything.
# Needs torch, transformers, safetensors, pandas and pyarrow. Other packages: as wheels beside PACK. No network is asked.
set -uo pipefail
shopt -s nullglob
[[ $# -ge 2 ]] || { sed -n 2,4p "$0"; exit 2; }
pack=$(realpath "$1"); mkdir -p "$2"; out=$(realpath "$2"); shift 2
work=${DRILL_WORK:-build/gpu-drill}
cd "$(dirname "$0")/.." && mkdir -p "$work" && work=$(realpath "$work")
python=$(command -v python || command -v python3)

wheels=("$(dirname "$pack")"/*.whl)
if (( ${#wheels[@]} )); then
  "$python" -m pip install -q --no-index --no-deps --disable-pip-version-check --target "$work/packages" --upgrade "${wheels[@]}"
fi
export PYTHONPATH=$PWD:$work/packages${PYTHONPATH:+:$PYTHONPATH}

train=${DRILL_TRAIN:-330} speed=90 all=${DRILL_ALL:-530} stages=${DRILL_STAGES:-train finish speed} compiles=
[[ " $stages " == *" speed "* ]] && compiles=yes
[[ " $* " == *" --rehearse "* ]] && train=1800 speed=600 all=3600 compiles=  # a CPU encodes slowly, and compiles nothing

stage() { # LIMIT NAME OPTION...: it is asked to end after LIMIT seconds, and made to 15 s later
  local limit=$1 name=$2; shift 2
  (( limit > 0 )) || { echo "no time left for the stage $name"; return; }
  timeout --kill-after=15 "$limit" "$python" -m benchmarks.gpu_drill "$name" "$pack" "$out" --work "$work" "$@" ||
    echo "the stage $name ended with $?; what it has written is kept"
}

{
  left=$((all - speed))
  [[ " $stages " == *" speed "* ]] || left=$all
  for name in $stages; do
    [[ $name == train || -e $out/generator ]] || break
    case $name in
      train)
        stage $((train + 15)) train --seconds "$train" "$@" & training=$!
        # What the stage speed measures is compiled beside the training, as soon as there are weights.
        while [[ $compiles && ! -e $out/generator ]] && kill -0 $training 2> /dev/null; do sleep 1; done
        [[ $compiles && -e $out/generator ]] && stage $((train - SECONDS)) compile "$@"
        wait $training ;;
      distill) stage $((left - SECONDS)) distill --seconds $((left - SECONDS - 30)) "$@" ;;  # 30 for its finisher
      finish) stage $((left - SECONDS)) finish "$@" ;;
      speed) stage $((all - SECONDS)) speed "$@" ;;
    esac
  done
  echo "the whole took $SECONDS s"
} 2>&1 | tee -a "$out/log"
[[ -e $out/generator ]]
