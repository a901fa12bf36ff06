"""A request as an OpenAI-compatible server reads it, a completion as it writes it, and how servers differ. All pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from cso.llm.chat import Completion, Message, Request

MOST_TOKENS = 10**9  # of a call: a server that counts more is not believed


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server takes for a model. Nobody can be asked: it is found out by what is refused."""

    form: Literal["json_schema", "json_object", "prompt"] = "json_schema"  # how a schema is enforced
    length: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True
    seed: bool = True
    system: bool = True


def body_of(request: Request, dialect: Dialect) -> dict[str, Any]:
    """The JSON body of POST /chat/completions."""
    messages = request.messages if dialect.system else _without_system(request.messages)
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        dialect.length: request.max_tokens,
    }
    if dialect.temperature:
        body["temperature"] = request.temperature
    if dialect.seed and request.sample:
        body["seed"] = request.sample
    if request.schema is not None:
        match dialect.form:
            case "json_schema":
                answer = {"name": "answer", "strict": True, "schema": request.schema}
                body["response_format"] = {"type": "json_schema", "json_schema": answer}
            case "json_object":
                body["response_format"] = {"type": "json_object"}
            case "prompt":
                pass
    return body


def humbler(dialect: Dialect, request: Request, status: int, complaint: str) -> Dialect | None:
    """The dialect to try next after a server refused a request; None where nothing is left to give up.

    A schema is given up after any refusal, for servers name the culprit in many ways, or not at all.
    """
    if status not in (400, 422, 501) and not (status == 500 and re.search(r"response_format|json_schema", complaint)):
        return None
    if dialect.length == "max_tokens" and "max_completion_tokens" in complaint:
        return replace(dialect, length="max_completion_tokens")
    if dialect.temperature and re.search(r"\btemperature\b", complaint):
        return replace(dialect, temperature=False)
    if dialect.seed and request.sample and re.search(r"\bseed\b", complaint):
        return replace(dialect, seed=False)
    if dialect.system and re.search(r"system\W+role\W+not supported|roles must alternate", complaint, re.IGNORECASE):
        return replace(dialect, system=False)
    if request.schema is None or dialect.form == "prompt":
        return None
    return replace(dialect, form="json_object" if dialect.form == "json_schema" else "prompt")


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The system message put in front of the first user message, for models that know no system role."""
    match messages:
        case (Message("system", rules), Message("user", first), *rest):
            return (Message("user", f"{rules}\n\n{first}"), *rest)
        case _:
            return messages


class MalformedError(Exception):
    """A server's answer is not a completion; `status` is what it says of itself, if anything."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def completion_of(text: str) -> Completion:
    """The completion in a response's body. Raises MalformedError."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"expected a JSON object, found {text[:200]!r}") from error
    match content:
        case {"choices": [{"message": {} as message, **choice}, *_], **rest}:
            refusal = _words(message.get("refusal") or None)
            return Completion(
                _words(message.get("content")) or refusal,
                _finish(choice.get("finish_reason"), refused=bool(refusal)),
                *_tokens(rest.get("usage")),
            )
        case {"error": {"code": int(status), **problem}}:
            raise MalformedError(str(problem.get("message", problem)), status=status)
        case _:
            raise MalformedError(f"expected `choices` with a message, found {text[:200]!r}")


def moderation_of(text: str) -> Completion:
    """The scores of POST /moderations, a JSON object as a completion's text. Raises MalformedError."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"expected a JSON object, found {text[:200]!r}") from error
    match content:
        case {"results": [{"category_scores": {} as scores}, *_]}:
            return Completion(json.dumps(scores))
        case _:
            raise MalformedError(f"expected `results` with category_scores, found {text[:200]!r}")


def _words(content: object) -> str:
    """The text of a message's content, which may be null, a text, or a list of parts. Raises MalformedError."""
    match content:
        case None:
            return ""
        case str(text):
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half emoji cannot be stored
        case list():
            return "".join(_part(part) for part in cast(list[object], content))
        case _:
            raise MalformedError(f"expected the text of a message, found {str(content)[:200]}")


def _part(part: object) -> str:
    return _words(cast(dict[str, object], part).get("text")) if isinstance(part, dict) else ""


def _finish(reason: object, *, refused: bool) -> Literal["stop", "length", "refusal"]:
    match reason:
        case "content_filter":
            return "refusal"
        case "length" | "max_tokens":
            return "length"
        case _:
            return "refusal" if refused else "stop"


def _tokens(usage: object) -> tuple[int, int]:
    """Of the prompt and of what was said; 0 where a server tells nothing that can be."""
    match usage:
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion)} if all(
            0 <= count <= MOST_TOKENS and not isinstance(count, bool) for count in (prompt, completion)
        ):
            return prompt, completion
        case _:
            return 0, 0


def complaint_of(text: str) -> str:
    """What an error response complains of: its message where it has one, else all of it."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    match content:
        case {"error": {"message": str(message), **rest}}:
            details = [str(rest[key]) for key in ("code", "param") if rest.get(key)]
            return f"{message} ({', '.join(details)})" if details else message
        case {"error": str(message)} | {"message": str(message)} | {"detail": str(message)}:
            return message
        case {"detail": [*problems]}:
            return json.dumps([_without_input(problem) for problem in problems], ensure_ascii=False)
        case _:
            return text


def _without_input(problem: object) -> object:
    """A complaint without the request that it repeats."""
    if not isinstance(problem, dict):
        return problem
    fields = cast(dict[str, object], problem)
    return {key: value for key, value in fields.items() if key in ("loc", "msg", "type")}
