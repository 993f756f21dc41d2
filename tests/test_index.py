"""The index: finds sounds by themselves, holds training sounds only, resumes, refuses what is not one."""

from dataclasses import replace

import pytest
import torch

from unsynth.base import NotFoundError, PatchError
from unsynth.checkpoint import SHIPPED
from unsynth.search import index as ix
from unsynth.search.embedding import feature_of
from unsynth.sounds.ids import is_train, params_of, train_ids
from unsynth.synths import synth

VOICE = synth("voice")
SMALL = {"dim": 16, "fitted_on": 96, "chunk": 32}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "small.safetensors"
    return path, ix.build(path, VOICE, 160, **SMALL)


def test_finds_its_own_sounds(small):
    _, index = small
    ids = train_ids(0, 160)
    chosen = ids[::13]
    sounds = VOICE.render(params_of(chosen, VOICE.spec), chosen + 7)  # other noise rows
    found = torch.stack([index.nearest(sound[None], 3) for sound in sounds])
    assert (found[:, :1] == chosen[:, None]).float().mean() > 0.9


def test_what_is_read_is_what_was_built(small):
    path, index = small
    read = ix.Index.load(path, VOICE)
    assert torch.equal(read.codes, index.codes)
    assert read.spec_hash == VOICE.spec.hash


def test_a_build_that_stopped_goes_on_to_the_same_index(small, tmp_path):
    class Stop(Exception):
        pass

    def stop(done):
        if done >= 64:
            raise Stop

    path = tmp_path / "again.safetensors"
    with pytest.raises(Stop):
        ix.build(path, VOICE, 160, **SMALL, on_progress=stop)
    assert not path.exists()
    done = []
    again = ix.build(path, VOICE, 160, **SMALL, on_progress=done.append)
    assert done[0] == 96
    assert torch.equal(again.codes, small[1].codes)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["cut", "text", "other synth"])
def test_what_is_not_an_index_is_refused(small, tmp_path, damage):
    path = tmp_path / "bad.safetensors"
    content = small[0].read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("no index")
    else:
        path.write_bytes(content.replace(VOICE.spec.hash.encode(), b"0" * 12))
    with pytest.raises(PatchError, match="index build"):
        ix.Index.load(path, VOICE)
    with pytest.raises(NotFoundError, match="index build"):
        ix.Index.load(tmp_path / "none", VOICE)


def test_the_shipped_index_keeps_its_promises():
    assert (SHIPPED / f"voice-{feature_of(VOICE).name}.safetensors").stat().st_size <= 8 << 20
    index = ix.best_index(VOICE, feature_of(VOICE))
    assert len(index.codes) >= 100_000
    target = torch.tensor([123])
    near = index.nearest(VOICE.render(params_of(target, VOICE.spec), target), 64)
    assert 123 in near.tolist()
    assert torch.all(is_train(near))


def synthetic(count, seed, dim=64, rank=12):
    """Codes like those of sounds: on a curved surface of few dimensions, with less spread in the later ones."""
    fixed, drawn = torch.Generator().manual_seed(9), torch.Generator().manual_seed(seed)
    inner, outer = torch.randn(rank, 2 * dim, generator=fixed), torch.randn(2 * dim, dim, generator=fixed)
    points = torch.sin((2 * torch.rand(count, rank, generator=drawn) - 1) @ inner) @ outer / (2 * dim) ** 0.5
    return (45 * points * 0.94 ** torch.arange(dim)).round().clamp(-127, 127).to(torch.int8)


@pytest.fixture
def large(tmp_path):
    """An index of points, which are their own features, in a file."""
    unit = ix.Projection(torch.zeros(64), torch.eye(64), torch.ones(64))
    made = ix.Index(unit, synthetic(20_000, 0), VOICE.spec.hash, ix.Feature("points", lambda points: points))
    return tmp_path / "large.safetensors", made


def test_exact_search_is_that_of_all_distances(large):
    _, index = large
    for query in synthetic(5, 1).float():
        expected = (index.codes.double() - query.double()).square().sum(1)
        found = expected[index.exact(query, 20)]
        assert torch.equal(found, expected.sort().values[:20])


def test_a_large_index_is_searched_through_lists_that_miss_little(large):
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    path, index = large
    index.save(path, exact_up_to=1000)
    read = ix.Index.load(path, VOICE, index.feature)
    assert read.lists
    queries = synthetic(40, 1).float()
    shares = []
    for query in queries:
        exact, found = index.exact(query, 50).tolist(), read.lists.nearest(query, 50).tolist()
        shares.append(len({*exact} & {*found}) / 50)
    assert sum(shares) / len(shares) > 0.9
    assert torch.equal(read.nearest(index.codes[7:8].float(), 1), train_ids(7, 1))
    assert len(read.lists.nearest(queries[0], 30_000)) <= 20_000


def test_without_faiss_or_with_few_sounds_search_stays_exact(large, monkeypatch):
    path, index = large
    index.save(path)
    assert not ix.lists_of(path).exists()
    monkeypatch.setattr(ix.ivf, "find_spec", lambda name: None)
    index.save(path, exact_up_to=1000)
    assert not ix.lists_of(path).exists()
    ix.lists_of(path).write_bytes(b"of a machine with FAISS")
    read = ix.Index.load(path, VOICE, index.feature)
    assert read.lists is None
    query = synthetic(1, 1).float()
    assert torch.equal(read.nearest(query, 9), train_ids(0, 20_000)[index.exact(query[0], 9)])


def test_lists_that_are_damaged_or_of_another_index_are_refused(large):
    pytest.importorskip("faiss", reason="needs faiss-cpu")
    path, index = large
    index.save(path, exact_up_to=1000)
    replace(index, codes=index.codes[:5000]).save(path.with_name("other.safetensors"), exact_up_to=1000)
    for content in (path.with_name("other.ivf").read_bytes(), b"no lists"):
        ix.lists_of(path).write_bytes(content)
        with pytest.raises(PatchError, match="index build"):
            ix.Index.load(path, VOICE, index.feature)
