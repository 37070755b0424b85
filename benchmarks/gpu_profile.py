#!/usr/bin/env python3
"""Show where the time of the 4-stage network goes on a GPU: kernels, their number, and how long the GPU has none.

    python benchmarks/gpu_profile.py [--out FILE]

For training steps and predictions of our side of ``compare.py``, as ``--fast`` makes them. "Busy" is the share of the
time in which a kernel runs; the rest is waiting for the host, which starts the kernels.
"""
import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Dict, Optional

import torch
from mmengine.registry import init_default_scope
from peers import INPUT, our_labels, our_model, samples
from rows import step
from timing import Work, seconds
from torch.profiler import ProfilerActivity, profile

from mmpose_mspn import accelerate

WARM_UP = 4
NAMES = 8
"""Number of kinds of kernels that are shown."""


def measure(work: Work) -> Dict[str, object]:
    """Return the ms of a call, the ms and the number of its kernels, and the ms by kernel."""
    for _ in range(WARM_UP):
        work()
    taken = 1000 * seconds(work, 'cuda', 5)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        work()
        torch.cuda.synchronize()
    by_name: Counter = Counter()
    count = 0
    for event in profiled.events():
        # The profiler also projects the annotation of the optimizer onto the device.
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.name.startswith('Optimizer.'):
            count += 1
            by_name[event.name] += event.time_range.elapsed_us() / 1000
    return dict(ms=round(taken, 2), kernel_ms=round(sum(by_name.values()), 2), kernels=count,
                busy=round(sum(by_name.values()) / taken, 3),
                most={name[:100]: round(ms, 2) for name, ms in by_name.most_common(NAMES)})


def training(batch: int, amp: bool) -> Work:
    model = our_model(4).cuda().to(memory_format=torch.channels_last)
    return step(model, torch.randn(batch, 3, *INPUT[::-1], device='cuda'), our_labels(batch, 'cuda'), amp, fused=True)


def prediction(batch: int, dtype: Optional[torch.dtype]) -> Work:
    model = accelerate(our_model(4).cuda().eval(), dtype)
    images = torch.randn(batch, 3, *INPUT[::-1], device='cuda')

    def work() -> None:
        with torch.no_grad():
            model.predict(images, samples(batch))
    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', metavar='FILE', help='JSON file for the figures')
    args = parser.parse_args()
    init_default_scope('mmpose')
    found = dict(machine=torch.cuda.get_device_name(), torch=torch.__version__)
    for benchmark in (False, True):
        torch.backends.cudnn.benchmark = benchmark
        for name, amp in (('float32 (TF32)', False), ('bf16 autocast', True)):
            found[f'training step, batch 32, {name}, cudnn_benchmark={benchmark}'] = measure(training(32, amp))
    torch.backends.cudnn.benchmark = False
    for batch in (8, 64):
        for name, dtype in (('float32 (TF32)', None), ('bf16', torch.bfloat16)):
            found[f'prediction, batch {batch}, {name}'] = measure(prediction(batch, dtype))
    print(json.dumps(found, indent=1))
    if args.out:
        Path(args.out).write_text(json.dumps(found, indent=1))


if __name__ == '__main__':
    main()
