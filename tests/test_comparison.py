"""Paired statistics against closed forms; families; what the tables say."""

import math

import numpy as np
import pytest
from evaluated import row
from scipy import stats

from unsynth.base import UsageError
from unsynth.benchmark.comparison import family_cells, first_arm, interval, paired, paired_cells
from unsynth.scores import markdown


def rows(difference, count=20):
    """Targets of very different difficulty, on which `other` is worse than `ours` by the difference of each."""
    return [
        row(arm, f"t{i}", 50 * (i % 7) + (arm == "other") * difference(i))
        for arm in ("ours", "other")
        for i in range(count)
    ]


def test_pairing_removes_how_hard_a_target_is():
    (found,) = paired(rows(lambda i: 1 + 0.1 * (i % 2)))
    mean, (low, high) = found.differences["MSS"]
    assert mean == pytest.approx(-1.05)
    assert -1.1 < low < -1.05 < high < -1
    assert found.targets == 20
    assert found.won == {"MSS": 1, "wMFCC": 1, "SOT": 1, "RMS": 1}


def test_higher_is_better_for_rms_alone_and_ties_count_half():
    (found,) = paired([row("a", "t", 1, RMS=0.9), row("b", "t", 1, RMS=0.8), row("a", "u", 2), row("b", "u", 1)])
    assert found.won["RMS"] == 0.5
    assert found.differences["RMS"][0] == pytest.approx((0.1 - 0.01) / 2)
    assert found.won["MSS"] == 0.25


def test_only_targets_that_both_have_count_and_families_keep_names_apart():
    some = [row("a", "t", 1), row("a", "t", 5, family="g"), row("b", "t", 3, family="g"), row("b", "u", 1)]
    (found,) = paired(some)
    assert (found.targets, found.differences["MSS"][0]) == (1, 2)
    assert paired([row("a", "t", 1), row("b", "u", 1)]) == []


def test_interval_is_students_for_normal_values():
    values = np.random.default_rng(1).normal(3, 2, 200)
    expected = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    assert interval(list(values)) == pytest.approx(expected, abs=0.03)
    assert interval(list(values)) == interval(list(values))


def test_interval_of_few_or_equal_values():
    assert all(map(math.isnan, interval([1.0, 2.0, 3.0, 4.0])))
    assert interval([2.0] * 9) == (2.0, 2.0)


def test_first_arm_is_the_first_that_searches_or_the_named_one():
    some = [row(arm, "t", 1) for arm in ("oracle", "mean", "chain", "random")]
    assert first_arm(some) == "chain"
    assert first_arm(some, "random") == "random"
    assert {pair.other for pair in paired(some, "random")} == {"oracle", "mean", "chain"}
    with pytest.raises(UsageError, match="no arm 'magic'; choose one of: oracle, mean, chain, random"):
        first_arm(some, "magic")
    with pytest.raises(UsageError, match="empty"):
        first_arm([])


def test_table_has_one_line_for_each_other_arm_and_marks_what_is_sure():
    sure, unsure = rows(lambda i: 2), rows(lambda i: (-1) ** i)
    assert "| other | 20 | **-2.00 (-2.00 to -2.00)**, 100 % |" in markdown(paired_cells(paired(sure)))
    line = markdown(paired_cells(paired(unsure))).splitlines()[-1]
    assert line.count("|") == 7
    assert "**" not in line
    assert ", 50 % |" in line


def test_many_arms_make_a_difference_less_sure():
    normal = stats.norm.ppf((np.arange(30) + 0.5) / 30)

    def arm(name, differences):
        return [row(name, f"t{i}", 9 + difference) for i, difference in enumerate(differences)]

    ours, worse = arm("ours", np.zeros(30)), arm("worse", normal + 0.5)
    (alone,) = paired(ours + worse)
    p = stats.wilcoxon([a.metrics["MSS"] - b.metrics["MSS"] for a, b in zip(ours, worse, strict=True)]).pvalue
    assert p < alone.q["MSS"] < 0.05
    many = paired(ours + worse + [r for n in range(40) for r in arm(f"same {n}", normal)])
    assert many[0].q["MSS"] > 0.05
    assert many[0].differences["MSS"][1][1] < 0
    assert "**" not in paired_cells(many)[1][2]
    assert "**" in paired_cells([alone])[1][2]


def test_families_are_means_of_their_targets_the_hardest_first():
    some = [row("a", "t", 1, family="easy"), row("b", "t", 9, family="easy")]
    some += [row("a", f"u{i}", 4 + i, family="hard") for i in range(5)]
    heading, hard, easy = family_cells(some)
    assert heading == ["family", "targets", "a", "b"]
    assert hard[:2] == ["hard", "5"]
    assert hard[2].startswith("6.00 (")
    assert hard[3] == "–"
    assert easy == ["easy", "1", "1.00", "9.00"]
