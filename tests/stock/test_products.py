"""Products by oneDNN are taken where they are faster and as exact, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from headstart.stock import products
from headstart.stock_process import StockProcess
from headstart.types import Example, Silent
from stock_folder import driven

SLOW, FAST = {"highest": 2.0, "medium": 1.0}, {"highest": 1.0, "medium": 2.0}


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new process without a GPU; what is set is put back."""
    before = setting()
    for name in ("_measured", "_current"):
        monkeypatch.setattr(products, name, None)
    monkeypatch.delenv(products.SETTLED, raising=False)
    monkeypatch.setattr(products.torch.cuda, "is_available", lambda: False)
    yield
    torch.set_float32_matmul_precision(before)


def setting() -> str:
    return torch.get_float32_matmul_precision()


def paced(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], few: float = 1.0, exact: bool = True
) -> SimpleNamespace:
    """A clock on which a product takes so long, with few rows so many times, and every fifth run is disturbed."""
    clock = SimpleNamespace(now=0.0, runs=0)
    mm = torch.mm

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        clock.runs += 1
        slower = few if setting() == "medium" and len(a) < 100 else 1.0
        clock.now += slower * seconds[setting()] * (1 if clock.runs % 5 else 20)
        return mm(a, b)

    monkeypatch.setattr(products, "_is_exact", lambda: exact)
    monkeypatch.setattr(products.torch, "mm", product)
    monkeypatch.setattr(products, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_the_faster_one_is_taken_and_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = paced(monkeypatch, SLOW)
    assert (products.current(), setting()) == ("onednn", "medium")
    runs = clock.runs
    assert (products.settle(), products.current(), clock.runs) == ("onednn", "onednn", runs)


@pytest.mark.parametrize(
    ("seconds", "few", "exact"),
    [
        ({"highest": 1.0, "medium": 0.9}, 1.0, True),
        (FAST, 1.0, True),
        (SLOW, 1.0, False),
        (SLOW, 2.6, True),  # what texts are written by would take longer
    ],
)
def test_nothing_changes_where_it_does_not_pay_or_is_not_exact(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], few: float, exact: bool
) -> None:
    paced(monkeypatch, seconds, few, exact)
    assert (products.settle(), setting()) == ("default", "highest")


def test_what_was_settled_before_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a plan, or by the process that started this one; but never what is not exact here."""
    paced(monkeypatch, FAST)
    monkeypatch.setattr(products, "_faster", lambda: pytest.fail("measured"))
    assert (products.settle("onednn"), setting()) == ("onednn", "medium")
    assert (products.settle("default"), setting(), products.current()) == ("default", "highest", "default")
    monkeypatch.setenv(products.SETTLED, "onednn")
    assert (products.settle(), setting()) == ("onednn", "medium")
    monkeypatch.setattr(products, "_is_exact", lambda: False)
    assert (products.settle("onednn"), setting()) == ("default", "highest")


def test_another_plan_does_not_bind_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, SLOW)
    assert [products.settle(), products.settle("default"), products.settle()] == ["onednn", "default", "onednn"]


def test_with_a_gpu_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products.torch.cuda, "is_available", lambda: True)
    assert [products.settle(), products.settle("onednn")] == ["default", "default"]
    monkeypatch.setenv(products.SETTLED, "onednn")
    assert (products.settle(), setting()) == ("default", "highest")


def test_the_stock_loader_s_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = (
        "import json, os, sys\nfrom driver import main\n"
        f"main(lambda: None, str, lambda loaded, values: iter([{{'told': os.environ['{products.SETTLED}']}}]))\n"
    )
    script = driven(tmp_path / "stock", monkeypatch, loader)
    monkeypatch.setattr(products, "_current", "onednn")
    process = StockProcess(script)
    monkeypatch.setattr("headstart.stock_process.prediction_of", lambda *a: None)
    process.predict(tmp_path, [Example("a", "a", "x", "a", "a")], Silent())
    assert process.rows == [{"told": "onednn"}]


def test_rounded_factors_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert products._is_exact()
    mm = torch.mm

    def rounding(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return mm(a, b) if a.dtype == torch.float64 else mm(a.bfloat16(), b.bfloat16()).float()

    monkeypatch.setattr(products.torch, "mm", rounding)
    assert not products._is_exact()


def test_whatever_is_taken_answers_in_float32() -> None:
    """Forward and backward, on shapes that were not looked at, by what this machine took."""
    products.settle()
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
