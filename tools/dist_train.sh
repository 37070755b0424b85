#!/usr/bin/env bash
# Train on several GPUs, or in several processes on the CPU if there is no GPU.
#
#   tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
#
# For several machines, run it on each of them with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
config=$1 processes=$2
shift 2
tools=$(cd "$(dirname "$0")" && pwd)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "${PYTHON:-python}" "$tools/launch.py" \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
