"""The rule scorer as operations edit it: each change is a new version, since decisions name the one they came from."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from gateway import bounds
from gateway.engine.tier import BUILT_IN_RULES, DEFAULT_WEIGHTS, Feature
from gateway.models.base import inside, within

_FEATURES = frozenset(feature.value for feature in Feature)


def _default_weights() -> dict[str, float]:
    return dict(DEFAULT_WEIGHTS)


class SimpleRules(models.Model):
    """One version; its id is the version. The newest is in force; before the first, those that come with llmops are."""

    threshold = models.FloatField(
        default=BUILT_IN_RULES.threshold,
        validators=inside(bounds.SCORE),
        help_text="A query with a score below this is simple.",
    )
    long_input_characters = models.PositiveIntegerField(
        default=BUILT_IN_RULES.long_input_characters,
        validators=inside(bounds.LONG_INPUT_CHARACTERS),
        help_text="Longer input goes to the strong model without a score.",
    )
    least_words = models.PositiveIntegerField(
        default=BUILT_IN_RULES.least_words,
        validators=inside(bounds.LEAST_WORDS),
        help_text="A last message of fewer words is too little to judge: it goes to the strong model.",
    )
    weights = models.JSONField(default=_default_weights)
    note = models.CharField(max_length=300, default="", blank=True, help_text="Why, for those who come after you.")
    made_by = models.CharField("by", max_length=150)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "llmops_simple_rules"
        ordering = ["-pk"]
        verbose_name = "scorer rules"
        verbose_name_plural = "scorer rules"
        constraints = [
            within(
                "simple_rules_numbers",
                threshold=bounds.SCORE,
                long_input_characters=bounds.LONG_INPUT_CHARACTERS,
                least_words=bounds.LEAST_WORDS,
            )
        ]

    def __str__(self) -> str:
        return f"version {self.pk}"

    def clean(self) -> None:
        problem = weights_problem(self.weights)
        if problem:
            raise ValidationError(problem)


def weights_problem(weights: Any) -> str | None:
    """What is wrong with a scorer's weights, as a sentence, or None."""
    if not isinstance(weights, dict) or not _FEATURES.issuperset(weights):
        return f"Weights belong to these features: {', '.join(sorted(_FEATURES))}."
    for name, weight in weights.items():
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not bounds.SCORE_WEIGHT.holds(weight):
            return f"The weight of {name} must be {bounds.SCORE_WEIGHT}."
    return None
