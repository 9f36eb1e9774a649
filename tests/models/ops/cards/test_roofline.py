"""What is asked of a card's driver gives the figures of the table, and cards of other makers are not estimated."""

from types import SimpleNamespace

import pytest
import torch

from models.ops import roofline

GPU = torch.device("cuda", 0)
# what drivers tell: multiprocessors, kHz, kHz of the memory and its bits, L2 in MiB, capability
TOLD = {
    "RTX 4090": (128, 2_520_000, 10_501_000, 384, 72, 8, 9),
    "RTX 3090": (82, 1_695_000, 9_751_000, 384, 6, 8, 6),
    "RTX 3060": (28, 1_777_000, 7_501_000, 192, 3, 8, 6),
    "H100 (SXM)": (132, 1_980_000, 2_619_000, 5120, 50, 9, 0),
    "A100 (40 GB)": (108, 1_410_000, 1_215_000, 5120, 40, 8, 0),
}
NAMES = ("name", "multi_processor_count", "clock_rate", "memory_clock_rate", "memory_bus_width", "L2_cache_size")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch):
    """Makes the driver tell of a card."""

    def tell(name: str, figures: tuple[int, ...], **others: object) -> roofline.Specs | None:
        *own, cache, major, minor = figures
        told = dict(zip(NAMES, (name, *own, cache * 2**20), strict=True)) | {"major": major, "minor": minor} | others
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(**told))
        return roofline.specs_of.__wrapped__(GPU)

    return tell


@pytest.mark.parametrize("name", TOLD)
def test_figures_of_the_driver_are_those_of_the_table(driver, name):
    known = next(card for card in roofline.CARDS if card.name == name)
    asked = driver("NVIDIA, a card of another name", TOLD[name])
    assert (asked.name, asked.multiprocessors) == ("NVIDIA, a card of another name", known.multiprocessors)
    assert asked.ghz == pytest.approx(known.ghz, rel=0.01)
    assert asked.gb_per_s == pytest.approx(known.gb_per_s, rel=0.05)
    assert (asked.cache_mib, asked.lanes, asked.capability) == (known.cache_mib, known.lanes, known.capability)


def test_a_card_is_known_by_its_whole_name_and_its_multiprocessors(driver):
    known = roofline.CARDS[-2]
    assert driver("NVIDIA GeForce RTX 3060", TOLD["RTX 3060"]) is known
    assert driver("NVIDIA GeForce RTX 3060 Ti", (38, *TOLD["RTX 3060"][1:])).multiprocessors == 38
    assert driver("NVIDIA GeForce RTX 3060", (30, *TOLD["RTX 3060"][1:])).multiprocessors == 30
    assert driver("NVIDIA GeForce RTX 3060 Laptop GPU", TOLD["RTX 3060"]) is not known


def test_what_is_not_told_is_not_estimated(driver, monkeypatch):
    assert driver("NVIDIA X", TOLD["RTX 3060"], clock_rate=0) is None
    assert roofline.specs_of.__wrapped__(torch.device("cpu")) is None
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert driver("Radeon", TOLD["RTX 3060"]) is None
