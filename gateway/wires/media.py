"""Images and documents, from one wire's parts to the other's.

Sources: OpenAI, "Images and vision", "File inputs"; Anthropic, "Vision" (URLs by https only), "PDF support", "Messages
API".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from gateway.engine.errors import InvalidRequest
from gateway.wires.words import Untranslatable

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,", re.IGNORECASE)
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
PDF = "application/pdf"
MAX_TITLE_CHARACTERS = 500  # Anthropic, "API reference: Create a Message", document blocks


def split_data_url(url: str, where: str) -> tuple[str, str]:
    """The media type and the base64 data. Raises InvalidRequest."""
    match = _DATA_URL.match(url)
    if match is None or not match.group(3):
        raise InvalidRequest(f"{where!r} must be an http(s) URL or a data URL with base64 data.", param=where)
    media_type = (match.group(1) or "").lower()
    return "image/jpeg" if media_type == "image/jpg" else media_type, url[match.end() :]


def image_block(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An OpenAI `image_url` part as Anthropic's image block; `detail` has no counterpart."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"'{where}.image_url.url' must be a URL or a data URL.", param=f"{where}.image_url.url")
    scheme = url[:8].lower()
    if scheme == "https://":
        return {"type": "image", "source": {"type": "url", "url": url}}
    if scheme.startswith("http://"):
        raise Untranslatable(f"{where}.image_url", "This target reads images by URL only from https:// addresses.")
    media_type, data = split_data_url(url, f"{where}.image_url.url")
    if media_type not in IMAGE_TYPES:
        raise Untranslatable(f"{where}.image_url", f"This target takes no images of type {media_type or 'unknown'}.")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def document_block(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An OpenAI `file` part as Anthropic's document block: PDF or plain text, sent along."""
    file = part.get("file")
    if not isinstance(file, dict):
        raise InvalidRequest(f"'{where}.file' must be an object.", param=f"{where}.file")
    data = file.get("file_data")
    if not isinstance(data, str):
        raise Untranslatable(f"{where}.file.file_id", "A file uploaded to OpenAI can't be read by this target.")
    name = file.get("filename")
    media_type, data = split_data_url(data, f"{where}.file.file_data") if data.startswith("data:") else (PDF, data)
    block: dict[str, Any] = {"type": "document", "source": _document_source(media_type, data, where)}
    if isinstance(name, str) and name:
        block["title"] = name[:MAX_TITLE_CHARACTERS]
    return block


def _document_source(media_type: str, data: str, where: str) -> dict[str, Any]:
    if media_type == PDF:
        return {"type": "base64", "media_type": PDF, "data": data}
    if media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _decoded(data, where)}
    raise Untranslatable(f"{where}.file", f"This target takes no files of type {media_type or 'unknown'}.")


def _decoded(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidRequest(f"'{where}.file.file_data' is not base64 of UTF-8 text.", param=where) from error


def image_part(block: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An Anthropic image block as OpenAI's `image_url` part."""
    source = _source(block, where)
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    elif source.get("type") == "url" and isinstance(source.get("url"), str):
        url = source["url"]
    else:
        raise Untranslatable(f"{where}.source", "An image uploaded to Anthropic can't be read by this target.")
    return {"type": "image_url", "image_url": {"url": url}}


def document_parts(block: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """An Anthropic document block as OpenAI's parts: a PDF as a file, text as text under its title."""
    source = _source(block, where)
    kind, title = source.get("type"), block.get("title")
    if kind == "base64":
        media_type = source.get("media_type") or PDF
        name = title if isinstance(title, str) and title else "document.pdf"
        data = f"data:{media_type};base64,{source.get('data')}"
        return [{"type": "file", "file": {"filename": name, "file_data": data}}]
    if kind == "text":
        return [{"type": "text", "text": _titled(title, str(source.get("data", "")))}]
    if kind == "content":
        return _content_parts(source.get("content"), title, where)
    raise Untranslatable(f"{where}.source", "This target reads documents only when they are sent along.")


def _content_parts(content: Any, title: Any, where: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": _titled(title, content)}]
    parts: list[dict[str, Any]] = []
    for inner in content if isinstance(content, list) else []:
        if inner.get("type") == "image":
            parts.append(image_part(inner, where))
        else:
            parts.append({"type": "text", "text": str(inner.get("text", ""))})
    return parts


def _titled(title: Any, text: str) -> str:
    return f"{title}\n\n{text}" if isinstance(title, str) and title else text


def _source(block: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    source = block.get("source")
    if not isinstance(source, dict):
        raise InvalidRequest(f"'{where}.source' must be an object.", param=f"{where}.source")
    return source
