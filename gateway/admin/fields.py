"""Form fields for lists and mappings, as people write them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget  # type: ignore[import-untyped]


class LinesField(forms.Field):
    """A list of text, one item a line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "widget": UnfoldAdminTextareaWidget(attrs={"rows": 4})} | kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        return [line.strip() for line in (value or "").splitlines() if line.strip()]


class HeadersField(forms.Field):
    """A mapping, one `Name: value` a line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "widget": UnfoldAdminTextareaWidget(attrs={"rows": 4})} | kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name}: {text}" for name, text in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in filter(None, map(str.strip, (value or "").splitlines())):
            name, colon, text = line.partition(":")
            if not colon or name.strip() in found:
                raise ValidationError("Write one header a line, each once, as Name: value.")
            found[name.strip()] = text.strip()
        return found


class PercentsField(forms.Field):
    """A list of whole numbers, separated by commas."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False} | kwargs)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[int]:
        parts = [part.strip() for part in (value or "").split(",") if part.strip()]
        if not all(part.isascii() and part.isdecimal() and len(part) <= 4 for part in parts):
            raise ValidationError("Write whole numbers separated by commas, such as 50, 80, 100.")
        return [int(part) for part in parts]


class SecretField(forms.CharField):
    """Something that is entered and never shown again. Empty: leave it as it is."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminTextInputWidget(attrs={"type": "password", "autocomplete": "new-password"})
        super().__init__(**{"required": False, "widget": widget, "max_length": 2000} | kwargs)

    def prepare_value(self, value: Any) -> str:
        return ""
