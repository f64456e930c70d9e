"""Names out of the system's random numbers: each handed out once, whoever asks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from gateway.services.random_tokens import TOKEN_CHARACTERS, random_token


def test_a_token_is_24_hexadecimal_digits() -> None:
    token = random_token()
    assert len(token) == TOKEN_CHARACTERS == len(f"{int(token, 16):024x}")


def test_no_token_is_handed_out_twice_by_threads_that_ask_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda _: random_token(), range(5000)))
    assert len(set(tokens)) == 5000


def test_a_forked_process_draws_from_a_stock_of_its_own() -> None:
    random_token()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, random_token().encode())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        os.close(writing)
        told = pipe.read()
    assert told not in {random_token() for _ in range(300)}
