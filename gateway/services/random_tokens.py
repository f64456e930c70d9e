"""Unguessable parts of names, from the system's random numbers.

Asking the system for a few bytes costs little, but whoever asks lets go of the interpreter meanwhile, and the ledger's
thread takes it: for a request the wait is longer than everything else that naming it takes. So they are fetched in
stock, a few hundred names at a time.
"""

from __future__ import annotations

import os

TOKEN_CHARACTERS = 24
_TOKENS_FETCHED = 256
_stock: list[str] = []  # taken from and added to by any thread: both are one step


def random_token() -> str:
    """24 hexadecimal digits (96 bits), each handed out once."""
    try:
        return _stock.pop()
    except IndexError:
        fetched = os.urandom(_TOKENS_FETCHED * TOKEN_CHARACTERS // 2).hex()
        tokens = [fetched[start : start + TOKEN_CHARACTERS] for start in range(0, len(fetched), TOKEN_CHARACTERS)]
        token = tokens.pop()
        _stock.extend(tokens)
        return token


os.register_at_fork(after_in_child=_stock.clear)  # parent and child must not hand out the same ones
