#!/usr/bin/env bash
# Creates the virtual environment for `make demo` and `make test`.
#
#   tools/setup_env.sh [DIR]     DIR defaults to .venv; PYTHON=python3.11 selects the interpreter,
#                                PINS=requirements/lowest.txt other versions than those of requirements/pinned.txt
#
# Calls after a successful one return immediately, unless setup.py, this file or a requirements file has changed.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:-$root/.venv}
python=${PYTHON:-python3}
pins=${PINS:-$root/requirements/pinned.txt}
needed_gb=8   # for the CUDA build of torch with its libraries; the CPU build takes about 2

say() { printf '[setup] %s\n' "$*"; }
fail() { printf '[setup] %s\n' "$*" >&2; exit 1; }

[ -r "$pins" ] || fail "PINS=$pins is not a file: name one with the versions to install, such as requirements/pinned.txt."
stamp=$venv/.ready-$(cat "$pins" "$root"/requirements/*.txt "$root"/setup.py "$0" | cksum | cut -d' ' -f1)
[ -e "$stamp" ] && exit 0

check_machine() {
    command -v "$python" >/dev/null ||
        fail "$python was not found: install Python 3.10, 3.11 or 3.12, or name one with PYTHON=/path/to/python3.11."
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    case $version in
        3.10 | 3.11 | 3.12) ;;
        *) fail "Python $version is outside 3.10-3.12, which the pinned torch and numpy support: name another with PYTHON=/path/to/python3.11." ;;
    esac
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$python has no venv module: install it (Debian and Ubuntu: apt install python$version-venv)."
    "$python" -c 'import os, sysconfig as s; raise SystemExit(not os.path.exists(s.get_path("include") + "/Python.h"))' ||
        fail "Python.h is missing, mmcv cannot be compiled: install the headers (Debian and Ubuntu: apt install python$version-dev)."
    command -v "${CXX:-c++}" >/dev/null ||
        fail "no C++ compiler was found, mmcv cannot be compiled: install one (Debian and Ubuntu: apt install g++) or name it with CXX."
    mkdir -p "$(dirname "$venv")"
    local free_gb
    free_gb=$(df -Pk "$(dirname "$venv")" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free_gb" -ge "$needed_gb" ] ||
        fail "$free_gb GB are free for $venv and $needed_gb GB are needed: free disk space, or use another disk with VENV=/other/disk/venv."
}

pin() { grep "^$1==" "$pins" || fail "$pins has no line $1==VERSION"; }

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

# PyPI has mmcv as source only. Compiling with -O1 and without debug symbols is three times faster than its default, and
# MSPN does not depend on the speed of mmcv's ops. They are built for the CPU, because a CUDA build needs an nvcc that
# matches torch. MMCV_FLAGS sets other flags, MMCV_CUDA=1 builds for CUDA.
install_mmcv() {
    local gpus=
    [ "${MMCV_CUDA:-0}" = 1 ] && gpus=${CUDA_VISIBLE_DEVICES-all}
    say "mmcv: compiling its ops, unless pip has cached them (about 8 minutes on two cores)"
    local log=$venv/mmcv-build.log
    set +e
    (
        if [ "$gpus" != all ]; then export CUDA_VISIBLE_DEVICES=$gpus; fi
        export CFLAGS="${MMCV_FLAGS:--g0 -O1}" CXXFLAGS="${MMCV_FLAGS:--g0 -O1}" MAX_JOBS="${MAX_JOBS:-$(nproc)}"
        export PATH="$venv/bin:$PATH" MMCV_WITH_OPS=1
        pip install -v --no-build-isolation --no-deps "$@" "$(pin mmcv)"
    ) 2>&1 | tee "$log" | grep --line-buffered -oE '\[[0-9]+/[0-9]+\] ' | sed -u 's/^/[setup] mmcv: file /'
    local status=${PIPESTATUS[0]}
    set -e
    [ "$status" = 0 ] || { tail -n 20 "$log" >&2; fail "mmcv did not compile: see the log in $log"; }
}

check_machine
start=$SECONDS
say "virtual environment in $venv"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
say "1/5 torch and build tools"
pip install -q -r "$root/requirements/build.txt" "$(pin numpy)" "$(pin torch)"
say "2/5 libraries"
# xtcocotools has no wheel for Python 3.12, and its build needs the numpy that it will run with.
grep -vE '^(torchvision|mmcv|mmpose)==' "$pins" >"$venv/libraries.txt"
pip install -q --no-build-isolation -r "$venv/libraries.txt"
# --no-deps: its wheel requires the CUDA build of torch. With the CPU build, mmpose_mspn.compat makes it importable.
pip install -q --no-deps "$(pin torchvision)"
say "3/5 mmcv"
if ! "$venv/bin/python" -c 'import mmcv.ops' 2>/dev/null; then
    install_mmcv
    # A cached wheel that was built with another torch cannot be imported: build it again.
    "$venv/bin/python" -c 'import mmcv.ops' 2>/dev/null || install_mmcv --no-cache-dir --force-reinstall
fi
say "4/5 mmpose"
# --no-deps: it requires chumpy, which 2D code does not use and which does not build with current versions of pip.
pip install -q --no-deps "$(pin mmpose)"
say "5/5 mmpose_mspn"
pip install -q --no-deps --no-build-isolation -e "$root"
"$venv/bin/python" -c 'import mmpose_mspn'
touch "$stamp"
say "ready after $((SECONDS - start)) s"
