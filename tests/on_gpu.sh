#!/usr/bin/env bash
# Run what needs a GPU, on a machine with one, with a log for each part:
#
#   tests/on_gpu.sh OUT [tests] [demo] [tools] [profile] [compare] [suite]
#
# OUT gets the logs, summary.txt, gpu.md and gpu.json. "demo" comes before "tools", which take its data and its network.
# Without names, all parts run one after another. Names joined by "+" run at the same time. PYTHON names the interpreter,
# WORKERS the test processes, ROUNDS the turns of the table, STEPS the iterations of each training, SUITE the tests of
# "suite"; DEVICE and ONLY are options of benchmarks/compare.py; COMPARE_SECONDS, PROFILE_SECONDS and SUITE_SECONDS limit
# these parts.
set -uo pipefail
out=$(mkdir -p "${1:?the folder for the logs is missing}" && cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
export PYTHON=${PYTHON:-python} PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
export STEPS=${STEPS:-40} work=$out/work
mkdir -p "$work"
export demo=configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py

# Run a program or a function and note how it ended: log NAME SECONDS COMMAND...
log() {
    local name=$1 limit=$2 start=$SECONDS status
    shift 2
    timeout "$limit" bash -c '"$@"' "$name" "$@" >"$out/$name.log" 2>&1
    status=$?
    printf '%-28s exit %3d  %4d s\n' "$name" "$status" $((SECONDS - start)) | tee -a "$out/summary.txt"
    return $status
}

run_pytest() {
    OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 "$PYTHON" -m pytest -q -n "${WORKERS:-8}" -p no:cacheprovider --durations 8 "$@"
}

train() {
    local folder=$1
    shift
    "$PYTHON" tools/train.py "$demo" --no-validate --work-dir "$work/$folder" "$@" --cfg-options \
        train_cfg.max_iters="$STEPS" default_hooks.checkpoint.interval=$((STEPS / 2)) default_hooks.logger.interval=10 \
        default_hooks.checkpoint.max_keep_ckpts=5 randomness.deterministic=True
}

# The same weights, bit for bit: same FOLDER FOLDER
same() {
    "$PYTHON" - "$work/$1/iter_$STEPS.pth" "$work/$2/iter_$STEPS.pth" <<'PY'
import sys

import torch
first, second = (torch.load(path, map_location='cpu', weights_only=False)['state_dict'] for path in sys.argv[1:])
apart = {name: (first[name].double() - second[name]).abs().max().item() for name in first}
print('largest difference', max(apart.values()))
sys.exit(any(not torch.equal(first[name], second[name]) for name in first))
PY
}

# How far keypoints lie from those of the plain network: apart DTYPE...
apart() {
    "$PYTHON" - "$work" "$@" <<'PY'
import pickle
import sys

import numpy as np


def keypoints(name):
    with open(f'{sys.argv[1]}/test_{name}.pkl', 'rb') as file:
        return np.concatenate([person['pred_instances']['keypoints'] for person in pickle.load(file)])


for name in sys.argv[2:]:
    gaps = np.linalg.norm(keypoints(name) - keypoints(''), axis=-1)
    print(f'{name}: median {np.median(gaps):.4f}, 99 % {np.percentile(gaps, 99):.4f}, largest {gaps.max():.2f} image px, '
          f'{100 * (gaps > 1e-3).mean():.1f} % of {gaps.size} moved')
PY
}

# Train without and with an interruption: resumed NAME OPTIONS...
resumed() {
    local name=$1
    shift
    log "train_$name" 150 train "$name" "$@" &&
        log "resume_$name" 150 train "$name-resumed" "$@" --resume "$work/$name/iter_$((STEPS / 2)).pth" &&
        log "same_$name" 60 same "$name" "$name-resumed"
}

export -f run_pytest train same apart

part_tests() {
    log tests 400 run_pytest tests/test_cuda tests/test_codecs tests/test_models/test_losses \
        tests/test_models/test_backbones/test_mspn_parity.py -k 'cuda or test_cuda'
}

part_demo() {
    log demo 240 "$PYTHON" tools/demo.py --work-dir "$work/demo"
    cp "$work/demo/results.json" "$out/demo.json"
}

part_tools() {
    local network kind
    network=$(ls "$work"/demo/iter_*.pth | tail -1)
    resumed plain &
    resumed fast --fast &
    resumed amp --amp &
    resumed fast_amp --fast --amp &
    (
        for kind in '' float32 bfloat16 float16; do
            log "test_${kind:-plain}" 100 "$PYTHON" tools/test.py "$demo" "$network" --work-dir "$work/test_$kind" \
                --out "$out/test_${kind:-plain}.json" --dump "$work/test_$kind.pkl" ${kind:+--fast $kind}
        done
        log apart 60 apart float32 bfloat16 float16
    ) &
    (
        log infer 100 "$PYTHON" tools/infer.py data/synthetic/val2017 "$demo" "$network" --out "$work/infer" --fast bfloat16 \
            --boxes data/synthetic/annotations/person_keypoints_val2017.json
        log export 100 "$PYTHON" tools/export.py "$demo" "$network" --out "$work/model.onnx" &&
            log test_onnx 150 "$PYTHON" tools/test.py "$demo" "$work/model.onnx" --work-dir "$work/test_onnx" \
                --out "$out/test_onnx.json"
    ) &
    log dist_train 150 env PORT=29511 tools/dist_train.sh "$demo" 1 --no-validate --fast --work-dir "$work/dist" \
        --cfg-options train_cfg.max_iters="$STEPS"
    wait
}

part_compare() {
    log compare "${COMPARE_SECONDS:-420}" "$PYTHON" benchmarks/compare.py --device "${DEVICE:-cuda}" \
        --rounds "${ROUNDS:-5}" ${ONLY:+--only "$ONLY"} --out "$out/gpu.md" --json "$out/gpu.json"
}

part_profile() {
    log profile "${PROFILE_SECONDS:-600}" "$PYTHON" benchmarks/gpu_profile.py --out "$out/profile.json"
}

part_suite() {
    log suite "${SUITE_SECONDS:-600}" run_pytest --dist loadfile ${SUITE:-tests}
}

for group in ${@:-tests demo tools profile compare suite}; do
    for part in ${group//+/ }; do
        "part_$part" &
    done
    wait
done
