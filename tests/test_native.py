"""Threads: torch's setting is respected, kept from torch's own threads for a while, and given back."""

import threading

import torch

from unsynth.native import threads, torch_on_one_thread


def test_torch_rests_while_the_kernels_keep_their_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        kernels = threads()
        with torch_on_one_thread():
            with torch_on_one_thread():
                assert (torch.get_num_threads(), threads()) == (1, kernels)
            assert (torch.get_num_threads(), threads()) == (1, kernels)
        assert (torch.get_num_threads(), threads()) == (2, kernels)
    finally:
        torch.set_num_threads(before)


def test_many_users_give_the_setting_back():
    before = torch.get_num_threads()

    def use():
        for _ in range(200):
            with torch_on_one_thread():
                pass

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert torch.get_num_threads() == before


def test_an_error_gives_the_setting_back():
    before = torch.get_num_threads()
    try:
        with torch_on_one_thread():
            raise RuntimeError
    except RuntimeError:
        pass
    assert torch.get_num_threads() == before
