"""Exact money. Amounts are `Decimal` US dollars in Python and whole pico-dollars (10⁻¹² USD) in the database.

Whole numbers because SQLite has no decimal type and would add floats; pico because a price of six decimals per million
tokens is then a whole number per token. A row holds up to 9.2 million dollars (docs/decisions/0003-money.md).
"""

from decimal import ROUND_HALF_UP, Decimal

PICO_PER_USD = 10**12
_PICO = Decimal(PICO_PER_USD)
MAX_USD = Decimal(2**63 - 1) / _PICO


def usd_to_pico(amount_usd: Decimal) -> int:
    """Whole pico-dollars, half a pico-dollar rounded up.

    Raises ValueError for amounts that no row can hold.
    """
    if not amount_usd.is_finite() or abs(amount_usd) > MAX_USD:
        raise ValueError(f"an amount must lie within ±{MAX_USD:.2f} USD, not {amount_usd}")
    return int((amount_usd * _PICO).to_integral_value(ROUND_HALF_UP))


def pico_to_usd(pico: int) -> Decimal:
    return Decimal(pico).scaleb(-12)


def usd_text(amount_usd: Decimal) -> str:
    """Plain digits for headers and JSON: no exponent, no trailing zeros, at least two decimals (`0.0125`, `3.00`)."""
    text = f"{amount_usd:f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction:0<2}"


def extra_words(amount_usd: Decimal) -> str:
    """What a detour cost beyond the straight way, or less than it: `extra cost $0.0125`, `saved $0.0015`."""
    return f"{'saved' if amount_usd < 0 else 'extra cost'} ${usd_text(abs(amount_usd))}"


def usd_signed(amount_usd: Decimal) -> str:
    """Every digit with the dollar sign, for people (`$0.0125`, `-$0.0015`)."""
    return f"{'-' if amount_usd < 0 else ''}${usd_text(abs(amount_usd))}"
