"""Names of slices."""

import pytest

from trainers.tpu_check import TOPOLOGIES, Topology


@pytest.mark.parametrize(
    ("name", "kind", "chips", "gib"),
    [("v5e:1x1", "v5e", 1, 16), ("v5e:2x4", "v5e", 8, 16), ("v6e:16x16", "v6e", 256, 32)],
)
def test_a_name_tells_kind_chips_and_memory(name, kind, chips, gib):
    topology = Topology(name)
    assert (topology.kind, topology.chips, topology.hbm) == (kind, chips, gib * 2**30)


@pytest.mark.parametrize("name", ["v5e:3x3", "v5e", "v9:2x2", "", "v5e:2x2 "])
def test_a_name_that_is_none_is_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=r"no TPU topology '.*one of: v5e:1x1, .*v6e:16x16\.$"):
        Topology(name)


@pytest.mark.slow
def test_libtpu_knows_every_one_of_them():
    pytest.importorskip("libtpu", reason='needs libtpu: pip install ".[tpu-check]"')
    from tests.conftest import run_python

    names = run_python(
        "-c",
        "from trainers.tpu_check import TOPOLOGIES, Topology\n"
        "for name in TOPOLOGIES:\n"
        "    devices = Topology(name).devices()\n"
        "    assert len(devices) == Topology(name).chips, name\n"
        "    assert devices[0].device_kind == f'TPU {name[:2]} lite', devices[0].device_kind\n"
        "    print(name)",
        KERAS_BACKEND="jax",
    )
    assert tuple(names.split()) == TOPOLOGIES
