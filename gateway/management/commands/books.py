"""`manage.py books`: do the sums kept in advance agree with the rows?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.ledger.money import usd_text
from gateway.selectors.books import Books, books_audit


class Command(BaseCommand):
    help = "Compare conversations' totals, reservations and the sums by hour and day with the rows they are made of."

    def handle(self, *args: Any, **options: Any) -> None:
        books = books_audit()
        self.stdout.write(books_sentence(books))
        if books.faults:
            raise CommandError("The books disagree:\n" + "\n".join(books.faults))
        self.stdout.write("The books agree.")


def books_sentence(books: Books) -> str:
    return f"{books.completions} requests, {usd_text(books.cost_usd)} USD, {books.pending} of them under way."
