"""Every topic has what the command needs; one of them runs end to end."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

from benchmarks import ROOT, layer_cases, networks, topic
from benchmarks.runner import run_cell
from benchmarks.topics import layers, verdicts
from simulated import NOISES
from zoo.networks import NETWORKS


@pytest.mark.parametrize("name", topic.names())
def test_a_topic_has_the_interface(name: str) -> None:
    module = topic.load(name)
    assert module.TITLE
    assert list(inspect.signature(module.measure).parameters) == ["cell"]
    keys = module.cells()
    assert keys
    assert len(set(keys)) == len(keys)
    failed = module.table({keys[0]: {"error": "it crashed"}})
    assert isinstance(failed, str), "a cell that failed is left out, or said to have failed"
    assert isinstance(module.table({}), str)


def test_the_topics_and_their_cells_need_no_keras() -> None:
    code = """
import sys
from benchmarks import cli, topic
for name in topic.names():
    topic.load(name).cells()
sys.exit("keras" in sys.modules or "tensorflow" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_names_that_are_written_again_to_need_no_keras_are_in_step() -> None:
    assert tuple(x.name for x in NETWORKS) == networks.KITO
    assert tuple(layer_cases.GROUPS) == layers.GROUPS
    assert tuple(NOISES) == verdicts.NOISES


def test_repvgg_has_three_branches_that_become_one() -> None:
    import kito

    reduction = kito.reduce(networks.build(networks.REPVGG, size=32))
    assert reduction.batchnorms == (61, 0)
    assert len([x for x in reduction.model.layers if "Conv" in type(x).__name__]) == 22


@pytest.mark.slow
def test_a_cell_runs_end_to_end() -> None:
    record = run_cell("layers", "resizing/tensorflow", limit_s=300, quick=True)
    assert "error" not in record
    table = layers.table({"resizing/tensorflow": json.loads(json.dumps(record["result"]))})
    assert "UpSampling2D(2) -> Resizing, 56 x 56 x 64 | tensorflow, cpu |" in table
