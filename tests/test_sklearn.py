"""The scikit-learn estimator: labels of any kind, images in memory, pipelines, clones, pickles, clear refusals."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import tiny
from headstart.sklearn import TransferClassifier


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    """Bright blobs left (7) or right (-1), (60, 64, 64, 3)."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 90, (60, 64, 64, 3)), np.array([7, -1] * 30)
    for i, label in enumerate(y):
        row, column = rng.integers(8, 40), rng.integers(2, 14) + (32 if label < 0 else 0)
        x[i, row : row + 16, column : column + 14] += 140
    return x.astype(np.uint8), y


@pytest.fixture(scope="module")
def fitted(images: Any, tmp_path_factory: pytest.TempPathFactory) -> TransferClassifier:
    root = tmp_path_factory.mktemp("sklearn")
    model = TransferClassifier(
        model=str(tiny.image_model(root / "model")), budget="60s", depth="head", offline=True,
        cache_dir=str(root / "cache"), out=str(root / "run"),
    )  # fmt: skip
    return model.fit(*images)


def test_labels_come_back_as_they_were_given(fitted: TransferClassifier, images: Any) -> None:
    x, y = images
    assert fitted.classes_.tolist() == [-1, 7]
    assert fitted.predict(x[:6]).dtype == y.dtype
    assert fitted.score(x, y) > 0.9
    probabilities = fitted.predict_proba(x)
    assert probabilities.shape == (60, 2)
    assert (fitted.classes_[probabilities.argmax(1)] == fitted.predict(x)).all()
    assert (Path(fitted.run_) / "report.html").is_file()


def test_pictures_floats_and_file_names_are_the_same_images(
    fitted: TransferClassifier, images: Any, tmp_path: Path
) -> None:
    x = images[0][:4]
    expected = fitted.predict_proba(x)
    files = []
    for i, pixels in enumerate(x):
        files.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(pixels).save(files[-1])
    np.testing.assert_allclose(fitted.predict_proba([Image.fromarray(p) for p in x]), expected, atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba(x / 255), expected, atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba(files), expected, atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba([Path(f) for f in files]), expected, atol=1e-6)


def test_a_pickle_predicts_and_a_clone_knows_nothing(fitted: TransferClassifier, images: Any) -> None:
    x = images[0][:4]
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    np.testing.assert_allclose(again.predict_proba(x), fitted.predict_proba(x), atol=1e-9)
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(x)


@pytest.mark.slow
def test_texts_in_a_pipeline_with_groups_and_labels_that_look_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    texts, labels = [], []
    for i in range(60):
        words = [*rng.choice(tiny.WORDS[:6], size=8), ("cat", "house")[i % 2].upper()]
        texts.append(" ".join(rng.permutation(words)) + "\nsecond line")
        labels.append(("a/b", "ü, c")[i % 2])
    model = TransferClassifier(
        model=str(tiny.text_model(tmp_path / "model")), budget="60s", depth="head", offline=True,
        cache_dir=str(tmp_path / "cache"), out=str(tmp_path / "run"),
    )  # fmt: skip
    lower = FunctionTransformer(lambda x: [t.lower() for t in x])
    pipeline = make_pipeline(lower, model)
    pipeline.fit(texts, labels, transferclassifier__groups=np.arange(60) // 2)
    assert list(pipeline.classes_) == ["a/b", "ü, c"]
    assert pipeline.score(texts, labels) > 0.9
    groups = pipeline[-1].result_["data"]["duplicates_grouped"]
    assert groups == 30


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (np.zeros((4, 10)), [0, 1, 0, 1], "for a matrix of features take another classifier"),
        (np.zeros((4, 8, 8)), [0, 0, 0, 0], "holds one class"),
        (["a text"] * 4, [0, 1], r"y has shape \(2,\) for 4 inputs"),
        (np.full((2, 8, 8), 3.0), [0, 1], "outside 0 to 1"),
        ([1, 2], [0, 1], "X holds a int"),
        ([], [], "y holds|X is empty|one class|index"),
        (5, [0], "X is a int"),
    ],
)
def test_what_cannot_be_used_is_a_value_error(x: Any, y: Any, told: str) -> None:
    with pytest.raises((ValueError, IndexError), match=told):
        TransferClassifier(offline=True).fit(x, y)


def test_scikit_learn_s_own_checks_pass_where_they_apply() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(TransferClassifier(), on_fail=None, on_skip=None)
    assert results
    assert [r["check_name"] for r in results if r["status"] == "failed"] == []
