"""Chat models in this process, by vLLM's engine: one a model, so that each actor of a cluster has its own."""

from __future__ import annotations

import asyncio
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from jinja2 import TemplateError

from cso.errors import InputError, RequestError
from cso.llm.chat import Completion, Request
from cso.llm.limits import Limiter

ADDRESS = "vllm"  # what `base_url` says for it


class VLLMChat:
    """A `Chat` of any model that vLLM can load, which happens at the first request for it.

    A schema is enforced while the answer is drawn. `sample` is the seed of what is drawn.
    """

    def __init__(self, limiter: Limiter) -> None:
        """Raises InputError where vLLM is not installed."""
        if find_spec("vllm") is None:
            raise InputError("base_url=vllm: expected vLLM in this environment, found none: pip install vllm")
        self._limiter = limiter
        self._engines: dict[str, Any] = {}
        self._loading = asyncio.Lock()

    async def __call__(self, request: Request) -> Completion:
        """Raises InputError for a model that cannot be loaded, RequestError for a request that the engine refuses."""
        engine = await self._engine(request.model)
        vllm: Any = import_module("vllm")
        sampling: Any = import_module("vllm.sampling_params")
        structured = None if request.schema is None else sampling.StructuredOutputsParams(json=dict(request.schema))
        told = vllm.SamplingParams(
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            seed=request.sample,
            structured_outputs=structured,
        )
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        tokenizer = await engine.get_tokenizer()
        try:
            tokens = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        except (ValueError, TemplateError) as error:
            raise InputError(f"model {request.model}: its chat template refuses the conversation: {error}") from error
        async with self._limiter.slot(len(tokens)):
            try:
                asked = engine.generate({"prompt_token_ids": tokens}, told, request_id=uuid4().hex)
                *_, last = [output async for output in asked]
            except ValueError as error:  # too long a prompt, for one
                raise RequestError(f"vLLM refuses a request to {request.model}: {error}") from error
        said = last.outputs[0]
        finish = "length" if said.finish_reason == "length" else "stop"
        return Completion(said.text, finish, len(tokens), len(said.token_ids))

    async def _engine(self, model: str) -> Any:
        async with self._loading:
            if model not in self._engines:
                vllm: Any = import_module("vllm")
                told = vllm.AsyncEngineArgs(model=model, enable_prefix_caching=True)
                try:
                    self._engines[model] = vllm.AsyncLLMEngine.from_engine_args(told)
                except (OSError, RuntimeError, ValueError) as error:
                    raise InputError(f"model {model}: expected one that vLLM can load: {error}") from error
            return self._engines[model]
