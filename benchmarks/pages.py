"""What benchmarks put into pages of the documentation: tables, and what they were measured with."""
import platform
import re
from pathlib import Path
from typing import Dict


def cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def machine(device: str) -> Dict[str, object]:
    """The machine and the versions of a measurement on a device."""
    import mmcv
    import mmpose
    import torch
    name = torch.cuda.get_device_name() if device != 'cpu' else cpu_name()
    return dict(machine=name, threads=torch.get_num_threads(), torch=torch.__version__, mmpose=mmpose.__version__,
                mmcv=mmcv.__version__, python=platform.python_version())


def listed(about: Dict[str, object]) -> str:
    """Names and values in a line, such as ``threads 2, torch 2.13.0``."""
    return ', '.join(f'{name} {value}' for name, value in about.items())


def fill(page: Path, name: str, text: str) -> None:
    """Put a text between a page's two lines ``<!-- name -->``.

    Raises:
        ValueError: The page does not have two such lines.
    """
    mark = f'<!-- {name} -->'
    content = page.read_text(encoding='utf-8')
    filled, count = re.subn(rf'({mark}\n).*?({mark})', lambda match: f'{match[1]}{text}\n{match[2]}', content,
                            flags=re.S)
    if count != 1:
        raise ValueError(f'{page} needs two lines {mark}, between which the table is put')
    page.write_text(filled, encoding='utf-8')
