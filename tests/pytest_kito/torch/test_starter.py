"""``kito init`` in a repository of PyTorch modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import yaml

from pytest_kito.config.starter.write import write_starter


def test_what_was_written_passes_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        dedent("""
            import torch
            from torch import nn


            class Block(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

                def forward(self, x):
                    return torch.relu(self.norm(self.conv(x)))


            class Segmenter(nn.Module):
                def __init__(self, classes=2):
                    super().__init__()
                    self.block, self.head = Block(), nn.Conv2d(4, classes, 1)

                def forward(self, image, scale=1.0):
                    return self.head(self.block(image)) * scale
            """)
    )
    made = write_starter(tmp_path, with_test=True)
    assert made.models == ("segmenter",)
    declared = yaml.safe_load((tmp_path / "kito.yaml").read_text("utf-8"))["models"]
    assert declared == {
        "segmenter": {"source": "nets:Segmenter", "framework": "torch", "weights": "random"}
    }
    options = ["-q", "-p", "no:cacheprovider", "--kito-check", "kito.yaml", "tests/test_kito.py"]
    command = [sys.executable, "-m", "pytest", *options]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "5 passed" in ran.stdout  # four checks of the module, and the test
