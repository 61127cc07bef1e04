"""The cases that make_cases wrote, and how an answer of another tool is compared with them."""
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


class Case:
    def __init__(self, folder: Path, family: str, name: str):
        self.family, self.name, self.folder = family, name, folder / family / name
        self.backbone = folder / family / "backbone"
        answers = load_file(self.folder / "answers.safetensors")
        self.ids = [int(i) for i in answers["ids"]]
        self.plain, self.adapted = answers["plain"], answers["adapted"]  # (T, V)
        self.greedy = [int(i) for i in answers["greedy"]]


def read_cases(folder: Path, family: str) -> list[Case]:
    listed = json.loads((folder / "cases.json").read_text())
    return [Case(folder, family, case["name"]) for case in listed if case["family"] == family]


def families(folder: Path) -> list[str]:
    return sorted({case["family"] for case in json.loads((folder / "cases.json").read_text())})


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


class Comparison:
    """Counts what was compared and keeps what differs."""

    def __init__(self, tool: str, limit: float):
        self.tool, self.limit = tool, limit
        self.compared, self.largest, self.faults = 0, 0.0, []

    def logits(self, case: Case, what: str, found: np.ndarray, expected: np.ndarray, limit: float = 0.0) -> None:
        """limit: one of its own, which does not count in the largest error"""
        error = relative_error(found, expected)
        self.compared += 1
        if not limit:
            self.largest = max(self.largest, error)
        if not error <= (limit or self.limit):
            self.faults.append(f"{case.family}/{case.name}, {what}: relative error {error:.2e}, "
                               f"limit {limit or self.limit:.0e}")

    def tokens(self, case: Case, what: str, found: list[int], expected: list[int]) -> None:
        self.compared += 1
        if found != expected:
            self.faults.append(f"{case.family}/{case.name}, {what}: tokens {found}, expected {expected}")

    def true(self, case: Case, what: str, holds: bool) -> None:
        self.compared += 1
        if not holds:
            self.faults.append(f"{case.family}/{case.name}: not so: {what}")

    def adapter_matters(self, case: Case) -> None:
        """A comparison with an adapter that changes nothing would show nothing."""
        self.true(case, "the adapter changes the logits by a tenth at least",
                  relative_error(case.plain, case.adapted) > 0.1)

    def finish(self) -> int:
        for fault in self.faults:
            print(f"{self.tool}: {fault}")
        print(f"{self.tool}: {self.compared} comparisons, {len(self.faults)} failed, "
              f"largest relative error {self.largest:.1e} (limit {self.limit:.0e})")
        return 1 if self.faults or self.compared == 0 else 0
