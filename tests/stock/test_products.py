"""Products by oneDNN are taken where they are faster and as exact, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from headstart.stock import products


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new process; what is set is put back."""
    before = setting()
    monkeypatch.setattr(products, "_gain", None)
    monkeypatch.delenv(products.SETTLED, raising=False)
    yield
    products._set(before)


def setting() -> str:
    return str(torch.backends.mkldnn.matmul.fp32_precision)  # type: ignore[attr-defined]


def paced(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> None:
    """A clock on which a product takes so long; other processes may take the machine meanwhile."""
    clock = SimpleNamespace(now=0.0, runs=0)
    mm = torch.mm

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        clock.runs += 1
        clock.now += seconds[setting()] * (1 if clock.runs % 3 else 20)
        return mm(a, b)

    monkeypatch.setattr(products.torch, "mm", product)
    monkeypatch.setattr(products, "time", SimpleNamespace(perf_counter=lambda: clock.now))


def test_the_faster_one_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_is_exact", lambda a, b: True)
    paced(monkeypatch, {"ieee": 2.0, "bf16": 1.0})
    assert products.take_faster() == pytest.approx(2.0)
    assert setting() == "bf16"
    paced(monkeypatch, {"ieee": 1.0, "bf16": 9.0})
    assert products.take_faster() == pytest.approx(2.0)


@pytest.mark.parametrize(("seconds", "exact"), [(0.9, True), (2.0, True), (0.1, False)])
def test_nothing_changes_where_it_is_no_faster_or_not_exact(
    monkeypatch: pytest.MonkeyPatch, seconds: float, exact: bool
) -> None:
    before = setting()
    monkeypatch.setattr(products, "_is_exact", lambda a, b: exact)
    paced(monkeypatch, {"ieee": 1.0, "bf16": seconds})
    assert products.take_faster() == 1.0
    assert setting() == before


def test_what_another_process_has_settled_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_measured", lambda: pytest.fail("measured"))
    for told, how in (("1.0", setting()), ("2.5", "bf16")):
        monkeypatch.setattr(products, "_gain", None)
        monkeypatch.setenv(products.SETTLED, told)
        assert products.take_faster() == float(told) and setting() == how


def test_rounded_factors_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    assert products._is_exact(a, b)
    mm = torch.mm

    def rounding(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return mm(a, b) if a.dtype == torch.float64 else mm(a.bfloat16(), b.bfloat16()).float()

    monkeypatch.setattr(products.torch, "mm", rounding)
    assert not products._is_exact(a, b)


def test_whatever_is_taken_answers_in_float32() -> None:
    """Forward and backward, on shapes that were not looked at, by what this machine took."""
    products.take_faster()
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(384, 1536), torch.randn(3, 77, 384)
    twin = torch.nn.Linear(384, 1536, dtype=torch.float64)
    twin.load_state_dict(layer.state_dict())
    found, wanted = layer(x), twin(x.double())
    found.square().mean().backward()
    wanted.square().mean().backward()
    assert layer.weight.grad is not None and twin.weight.grad is not None
    for ours, exact in ((found, wanted), (layer.weight.grad, twin.weight.grad)):
        assert float((ours - exact).detach().norm() / exact.detach().norm()) < 1e-5
