"""Whether a CPU computes in bf16 is read from its flags."""
import pytest

from mmpose_mspn.engine.optim_wrappers import computes_in_bf16


@pytest.mark.parametrize('flags, expected', [
    ('fpu avx512f avx512_bf16 amx_tile', True),
    ('fpu amx_bf16', True),
    ('fpu avx2 avx512f avx512_vnni', False),
])
def test_flags(flags, expected, tmp_path):
    (tmp_path / 'cpuinfo').write_text(f'processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: spectre_v1\n')
    assert computes_in_bf16(tmp_path / 'cpuinfo') is expected


def test_an_unknown_cpu_does_not(tmp_path):
    assert computes_in_bf16(tmp_path / 'cpuinfo') is False
