"""What benchmarks put into pages of the documentation: tables, and the name of the machine."""
import platform
import re
from pathlib import Path


def cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


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
