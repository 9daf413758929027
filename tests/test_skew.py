"""What training saw is what inference sees: the same raw rows, row by row, in every spelling a file may come in."""

import json

import numpy as np
import pandas as pd
import pytest

from mammo_mlops import data_split
from mammo_mlops.steps import preprocess, preprocess_batch
from mammo_mlops.steps.schema import FEATURES, correct, read_raw, validate_training

ROWS = 400


def raw_rows(seed: int) -> pd.DataFrame:
    """Packaged rows, some incomplete, some with the known typing error."""
    chance = np.random.default_rng(seed)
    rows = data_split.packaged_data().frame.sample(ROWS, random_state=seed).reset_index(drop=True)
    blank = chance.random((ROWS, len(FEATURES))) < 0.15
    rows[list(FEATURES)] = rows[list(FEATURES)].mask(blank)
    rows.loc[chance.integers(0, ROWS, 8), "bi_rads"] = 55
    return rows


def as_trained(rows: pd.DataFrame, state: dict) -> list[list[str]]:
    """The features of each row, as the Train step gets them."""
    frame = validate_training(correct(read_raw(data_split.raw_csv(rows, header=False), "training"))[0])
    return [line.split(",")[1:] for line in preprocess.for_xgboost(frame, state).splitlines()]


SPELLINGS = {
    "as the data split writes it": lambda text: text,
    "without a header": lambda text: text.partition("\n")[2],
    "a question mark where nothing is known": lambda text: "\n".join(",".join(cell or "?" for cell in line.split(",")) for line in text.splitlines()),
    "with Windows line ends and a byte order mark": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    "with decimal points": lambda text: "\n".join(",".join(f"{cell}.0" if cell.isdigit() else cell for cell in line.split(",")) for line in text.splitlines()),
    "with blanks around the cells": lambda text: text.replace(",", " , "),
    "without a final line end": lambda text: text.rstrip("\n"),
}


@pytest.fixture(scope="module")
def state() -> dict:
    """What one training fitted and saved."""
    return json.loads(json.dumps(preprocess.fit(preprocess.split(raw_rows(1), seed=7)["train"])))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_batch_gives_the_features_that_training_made(tmp_path, state, spelling):
    rows = raw_rows(2)
    text = rows[list(FEATURES)].astype("Int64").to_csv(index=False, lineterminator="\n")
    (tmp_path / "batch.csv").write_text(SPELLINGS[spelling](text), newline="")
    lines = preprocess_batch.features_csv(preprocess_batch.read_batch(tmp_path), state).splitlines()
    assert lines[0].split(",") == ["row", *FEATURES]
    found = [line.split(",") for line in lines[1:]]
    assert [int(cells[0]) for cells in found] == list(range(ROWS))
    assert [cells[1:] for cells in found] == as_trained(rows, state)


def test_the_order_of_the_rows_changes_no_row(tmp_path, state):
    rows = raw_rows(3)
    order = np.random.default_rng(7).permutation(ROWS)
    texts = {}
    for name, frame in {"straight": rows, "shuffled": rows.iloc[order]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "batch.csv").write_bytes(data_split.raw_csv(frame[list(FEATURES)], header=True))
        texts[name] = preprocess_batch.features_csv(preprocess_batch.read_batch(tmp_path / name), state).splitlines()[1:]
    plain = {name: [line.partition(",")[2] for line in lines] for name, lines in texts.items()}
    assert plain["shuffled"] == [plain["straight"][number] for number in order]


def test_a_row_alone_is_imputed_as_in_its_batch(tmp_path, state):
    rows = raw_rows(4)
    expected = as_trained(rows, state)
    for number in np.flatnonzero(rows[list(FEATURES)].isna().any(axis=1))[:10]:
        (tmp_path / "batch.csv").write_bytes(data_split.raw_csv(rows[list(FEATURES)].iloc[[number]], header=True))
        line = preprocess_batch.features_csv(preprocess_batch.read_batch(tmp_path), state).splitlines()[1]
        assert line.split(",")[1:] == expected[number]
