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
        url = _data_url(source, None, where)
    elif source.get("type") == "url" and isinstance(source.get("url"), str):
        url = source["url"]
    else:
        raise Untranslatable(f"{where}.source", "An image uploaded to Anthropic can't be read by this target.")
    return {"type": "image_url", "image_url": {"url": url}}


def _data_url(source: Mapping[str, Any], media_type: str | None, where: str) -> str:
    """`media_type` is the one that counts where the source names none."""
    named, data = source.get("media_type") or media_type, source.get("data")
    if not isinstance(named, str) or not isinstance(data, str):
        raise InvalidRequest(
            f"'{where}.source' must have the strings 'media_type' and 'data'.", param=f"{where}.source"
        )
    return f"data:{named};base64,{data}"


def document_parts(block: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """An Anthropic document block as OpenAI's parts: a PDF as a file, text as text under its title and context."""
    source = _source(block, where)
    kind, about = source.get("type"), _about(block)
    if kind == "base64":
        file = {"filename": _file_name(block.get("title")), "file_data": _data_url(source, PDF, where)}
        context = block.get("context")
        told = [{"type": "text", "text": context}] if isinstance(context, str) and context else []
        return [*told, {"type": "file", "file": file}]
    if kind == "text":
        data = source.get("data")
        if not isinstance(data, str):
            raise InvalidRequest(f"'{where}.source.data' must be a text.", param=f"{where}.source.data")
        return [{"type": "text", "text": "\n\n".join([*about, data])}]
    if kind == "content":
        return _content_parts(source.get("content"), about, f"{where}.source.content")
    raise Untranslatable(f"{where}.source", "This target reads documents only when they are sent along.")


def _about(block: Mapping[str, Any]) -> list[str]:
    """The title and the context that Anthropic shows to the model beside the document."""
    return [text for text in (block.get("title"), block.get("context")) if isinstance(text, str) and text]


def _file_name(title: Any) -> str:
    """OpenAI tells files by the ending of their names."""
    if not isinstance(title, str) or not title:
        return "document.pdf"
    return title if title.lower().endswith(".pdf") else f"{title}.pdf"


def _content_parts(content: Any, about: list[str], where: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": "\n\n".join([*about, content])}]
    if not isinstance(content, list):
        raise InvalidRequest(f"'{where}' must be a text or a list of blocks.", param=where)
    parts = [{"type": "text", "text": "\n\n".join(about)}] if about else []
    return parts + [_content_part(inner, f"{where}[{at}]") for at, inner in enumerate(content)]


def _content_part(block: Any, where: str) -> dict[str, Any]:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "image":
        return image_part(block, where)
    if kind == "text" and isinstance(block.get("text"), str):
        return {"type": "text", "text": block["text"]}
    raise InvalidRequest(f"'{where}' must be a text or an image block.", param=where)


def _source(block: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    source = block.get("source")
    if not isinstance(source, dict):
        raise InvalidRequest(f"'{where}.source' must be an object.", param=f"{where}.source")
    return source
