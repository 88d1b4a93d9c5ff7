"""The figures that KITO publishes: the comparison table in the README of KITO 1.0.5.

Source: https://pypi.org/project/kito/1.0.5/, the description. Measured by its author on an NVIDIA
GTX 1080 with TensorFlow 1.4 and CUDA 8.0. It has no row for RetinaNet, which KITO names as tested.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "https://pypi.org/project/kito/1.0.5/"
IMAGES = 10_000
"""For as many images its times are."""


@dataclass(frozen=True)
class Published:
    """One row; pairs are before and after."""

    layers: tuple[int, int]
    parameters: tuple[int, int]
    seconds: tuple[float, float]
    """For ``IMAGES`` images."""
    conversion_s: float
    max_difference: float
    """On the final layer, absolute."""
    mean_difference: float


KITO: dict[str, Published] = {
    "mobilenet": Published(
        (102, 75), (4_253_864, 4_221_032), (32.38, 22.13), 12.45, 2.80e-06, 4.41e-09
    ),
    "mobilenet_v2": Published(
        (152, 100), (6_156_712, 6_084_808), (52.53, 37.71), 87.0, 3.99e-06, 6.88e-09
    ),
    "resnet50": Published(
        (177, 124), (25_636_712, 25_530_472), (58.87, 35.81), 45.28, 5.06e-07, 1.24e-09
    ),
    "inception_v3": Published(
        (313, 219), (23_851_784, 23_817_352), (79.15, 59.55), 126.02, 7.74e-07, 1.26e-09
    ),
    "inception_resnet_v2": Published(
        (782, 578), (55_873_736, 55_813_192), (131.16, 102.38), 766.14, 8.04e-07, 9.26e-10
    ),
    "xception": Published(
        (134, 94), (22_910_480, 22_828_688), (115.56, 76.17), 28.15, 3.65e-07, 9.69e-10
    ),
    "densenet121": Published(
        (428, 369), (8_062_504, 8_040_040), (68.25, 57.57), 392.24, 4.61e-07, 8.69e-09
    ),
    "densenet169": Published(
        (596, 513), (14_307_880, 14_276_200), (80.56, 68.74), 772.54, 2.14e-06, 1.79e-09
    ),
    "densenet201": Published(
        (708, 609), (20_242_984, 20_205_160), (98.99, 87.04), 1120.88, 7.00e-07, 1.27e-09
    ),
    "nasnet_mobile": Published(
        (751, 563), (5_326_716, 5_272_599), (46.05, 31.76), 728.96, 1.10e-06, 1.60e-09
    ),
    "nasnet_large": Published(
        (1021, 761), (88_949_818, 88_658_596), (445.58, 328.16), 1402.61, 1.43e-07, 5.88e-10
    ),
    "zf_unet_224": Published(
        (85, 63), (31_466_753, 31_442_689), (96.76, 69.17), 9.93, 4.72e-05, 7.54e-09
    ),
    "deeplab_mobile": Published(
        (162, 108), (2_146_645, 2_097_013), (583.63, 432.71), 48.0, 4.72e-05, 1.00e-05
    ),
    "deeplab_xception": Published(
        (409, 263), (41_258_213, 40_954_013), (1000.36, 699.24), 333.1, 8.63e-05, 5.22e-06
    ),
    "resnet152": Published(
        (566, 411), (60_344_232, 60_117_096), (107.92, 68.53), 357.65, 8.94e-07, 1.27e-09
    ),
}
"""By the names of ``tests/zoo/networks.py``."""
