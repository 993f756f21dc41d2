"""Results, answers and records that once made a command crash, and requests that once broke the web page's server."""

import json

import pytest
from commands import is_one_sentence, run

from bench.fuzz import web
from bench.fuzz.results import HEADER, METRICS
from bench.fuzz.trial import check_sentence
from unsynth import batch
from unsynth.base import Budget
from unsynth.benchmark import ratings
from unsynth.synths import synth

pytest.importorskip("librosa", reason="needs the extra [eval]")
SPEC = synth("drum").spec
ROW = {
    "arm": "chain",
    "target": "id-1000",
    "family": "held-out",
    "metrics": METRICS,
    "seconds": 1.0,
    "renders": 5,
    "noise": 0,
}
HEAD = {**HEADER, "spec": SPEC.hash}


@pytest.mark.parametrize(
    ("head", "row"),
    [
        (None, ROW),
        ([], ROW),
        ({}, ROW),
        ({**HEAD, "budget": {"seconds": "x", "renders": None}}, ROW),
        ({**HEAD, "budget": []}, ROW),
        (HEAD, []),
        (HEAD, {**ROW, "metrics": {}}),
        (HEAD, {**ROW, "metrics": {**METRICS, "MSS": "x"}}),
        (HEAD, {**ROW, "metrics": {**METRICS, "MSS": 10**400}}),
        (HEAD, {**ROW, "metrics": {**METRICS, "MSS": float("inf")}}),
        (HEAD, {**ROW, "seconds": None}),
        (HEAD, {**ROW, "renders": 10**400}),
        (HEAD, {**ROW, "arm": 3}),
        (HEAD, {**ROW, "params": ["x"]}),
        (HEAD, {**ROW, "params": [0.5]}),
        (HEAD, {**ROW, "params": [1e300] * len(SPEC)}),
        (HEAD, {**ROW, "params": [0.5] * len(SPEC), "noise": 10**30}),
        (HEAD, {**ROW, "params": [0.5] * len(SPEC), "target": "id-" + "9" * 40}),
        ({**HEAD, "synth": "plugin:/tmp/x.vst3"}, {**ROW, "params": [0.5] * len(SPEC)}),
    ],
    ids=lambda told: json.dumps(told)[:40],
)
def test_results_that_cannot_be(capsys, tmp_path, head, row):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in (head, row)))
    code, out, err = run(capsys, "report", path, "--out", tmp_path / "a.html")
    assert (code, out) == (2, "")
    assert is_one_sentence(err)


def test_results_that_nest_too_deep_and_names_without_letters(capsys, tmp_path):
    (tmp_path / "a.jsonl").write_text("[" * 100_000)
    code, _, err = run(capsys, "report", tmp_path / "a.jsonl", "--out", tmp_path / "a.html")
    assert code == 2
    assert is_one_sentence(err)
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line) for line in (HEAD, {**ROW, "target": "\ud800"})))
    assert run(capsys, "report", tmp_path / "a.jsonl", "--out", tmp_path / "a.html")[0] == 0


def test_a_metric_that_is_not_defined_is_left_out(capsys, tmp_path):
    lines = [HEAD]
    for number in range(12):
        for arm, value in (("chain", 1.0 + number), ("random", 9.0)):
            metrics = {**METRICS, "MSS": value, "SOT": float("nan")}
            metrics |= {"MSS": float("nan")} if number in (3, 5) else {}
            lines.append({**ROW, "arm": arm, "target": f"id-{number}", "metrics": metrics})
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(capsys, "report", tmp_path / "a.jsonl", "--out", tmp_path / "a.html")[0] == 0
    mean = sum(1.0 + number for number in range(12) if number not in (3, 5)) / 10
    assert f"{mean:.2f}" in (tmp_path / "a.html").read_text()


def test_answers_that_cannot_be(capsys, tmp_path):
    scores = {"reference": 10, "anchor": 10}
    strange = {"target": "t", "scores": {**scores, "\x1b[2J": 3}}
    for text in (
        json.dumps({"listener": "a", "page": "b", "items": [strange]}),
        "[" * 100_000,
        " " * (ratings.LARGEST + 1),
        json.dumps({"listener": "a", "page": "b", "items": [{}]}),
    ):
        (tmp_path / "a.json").write_text(text)
        code, _, err = run(capsys, "ratings", tmp_path / "a.json")
        assert code == 2
        assert is_one_sentence(err)
    told = {"listener": "\x1b[2Jann\n", "page": "b", "items": [{"target": "t", "scores": scores}]}
    (tmp_path / "bad.json").write_text(json.dumps(told))
    told["items"][0]["scores"]["reference"] = 100
    (tmp_path / "good.json").write_text(json.dumps({**told, "listener": "bob"}))
    code, out, _ = run(capsys, "ratings", tmp_path / "bad.json", tmp_path / "good.json")
    assert code == 0
    assert "left out: [2Jann\n" in out


RESULT = {
    "folder": "f", "synth": "drum", "distance": 1.0, "metrics": {"MSS": None}, "gain_db": 0.0, "candidates": 1,
    "seconds": 1.0, "renders": 5, "seed": 0, "interrupted": False, "unheard": "",
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        {"more": float("nan")},
        {"metrics": {"MSS": "x"}},
        {"distance": 10**400},
        {"folder": 3},
        {"unheard": "no engine", "distance": [1]},
    ],
    ids=str,
)
def test_records_that_cannot_be_are_matched_again(tmp_path, wrong):
    sound, task = tmp_path / "kick.wav", batch.Task("drum", "random", Budget(None, 1), 1, 0, "cpu")
    sound.touch()
    (tmp_path / "out" / "kick").mkdir(parents=True)
    record = tmp_path / "out" / "kick" / batch.RECORD
    result = {**RESULT, **wrong} if wrong is not None else json.loads("[" * 90 + "]" * 90)
    record.write_text(json.dumps({"job": batch._job(sound, task), "result": result if wrong != {} else {}}))
    for name in (*batch.PROMISED, batch.HEARD):
        (record.parent / name).touch()
    (outcome,) = batch.run({str(sound): None}, tmp_path / "out", task, lambda name, at: None)
    assert outcome.error  # it was tried again, and is no sound
    record.write_text(json.dumps({"job": batch._job(sound, task), "result": RESULT}))
    (outcome,) = batch.run({str(sound): None}, tmp_path / "out", task, lambda name, at: None)
    assert outcome.resumed
    record.write_text("[" * 100_000)
    assert [one.resumed for one in batch.run({str(sound): None}, tmp_path / "out", task, lambda n, at: None)] == [False]


@pytest.fixture(scope="module")
def visitor():
    return web.Visitor()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"origin", b"http://["), 403),
        ((b"content-length", b"\xb2"), 413),
        ((b"content-length", b"9" * 5000), 413),
        ((b"content-length", b"-1"), 413),
        ((b"host", b"[::1"), 403),
    ],
)
def test_headers_that_cannot_be(visitor, header, status):
    answer = visitor.ask(web.Request("POST", b"/api/sessions", headers=(header,)))
    assert answer.status == status
    check_sentence(json.loads(answer.body)["error"])


@pytest.mark.parametrize("path", [b"/api/settings/", b"/api/sessions/", b"//evil.example/api/settings/"])
def test_nobody_is_sent_elsewhere(visitor, path):
    answer = visitor.ask(web.Request("GET", path))
    assert answer.status == 404
    check_sentence(json.loads(answer.body)["error"])


def test_whoever_leaves_while_sending_breaks_nothing(visitor):
    own = visitor.sessions.open[visitor.id.decode()]
    before = sorted(own.folder.iterdir())
    answer = visitor.ask(web.Request("PUT", b"/api/sessions/%s/sound" % visitor.id, body=(b"a", b"b"), gone=True))
    assert answer.status == 400
    assert sorted(own.folder.iterdir()) == before
    assert not own.receiving


def test_no_visitor_makes_the_server_load_a_plugin(visitor, tmp_path, monkeypatch):
    monkeypatch.setattr("unsynth.synths.plugin.find", pytest.fail)
    (tmp_path / "a.vst3").touch()
    name = f"plugin:{tmp_path / 'a.vst3'}"
    session = b"/api/sessions/" + visitor.id
    asked = json.dumps({"kind": "match", "seconds": 1, "synth": name}).encode()
    for request in (
        web.Request("GET", b"/api/synths/" + name.replace("/", "%2f").encode()),
        web.Request("POST", session + b"/search", body=(asked,)),
        web.Request("PUT", session + b"/sound", b"synth=" + name.encode(), body=(visitor.good,)),
    ):
        answer = visitor.ask(request)
        assert answer.status == 422
        assert "There is no synth" in json.loads(answer.body)["error"]
