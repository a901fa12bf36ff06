"""The settings: one small class a stage, each value with its source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Role = Literal["seeker", "supporter", "strategist", "judge"]
Objective = Literal["sft", "dpo", "ipo", "simpo", "orpo", "kto", "plackett_luce", "q_margin"]
Tuning = Literal["full", "lora"]
Executor = Literal["local", "ray"]
ROLES: tuple[Role, ...] = ("seeker", "supporter", "strategist", "judge")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RewardSettings(_Settings):
    """Eq. 2."""

    alpha: float = 7  # weight of the strategy's mark, Appendix F.1
    bias: float = -3  # b, Appendix F.1


class SearchSettings(_Settings):
    """How a tree grows (section 3.1)."""

    iterations: Count = 100  # n_iter; the paper gives no number
    ends: Positive = 25  # n_finish: stop once so many Ends are found; the paper gives no number
    exploration: Annotated[float, Field(ge=0)] = 1.0  # c in Eq. 1, Appendix F.1
    temperature: Above0 = 5.0  # of the softmax that turns scores into priors; authors' release
    rollout_rounds: Count = 4  # n in 3.1.4; authors' release
    reward: RewardSettings = RewardSettings()
    gold_value: float = 1.0  # Q of the seed dialogue's nodes at first, the highest reward; authors' release
    gold_visits: Count = 100  # N of the seed dialogue's nodes at first; authors' release
    first_play: Literal["zero", "judged"] = (
        "zero"  # Q of a node never visited; ours: judged, its strategy's mean reward
    )
    settled: Positive | None = None  # ours: stop once so many iterations in a row found no End
    judge_selected: bool = False  # ours: a reply just made joins the mean, so that it is credited for itself
    revisit_ends: bool = False  # as in the release: judge known Ends again and again
    fresh_rollouts: bool = False  # as in the release: rollouts never reuse answers
    speculate: Annotated[int, Field(ge=0, le=64)] = 0  # selections asked ahead of time; the tree stays the same
    executor: Executor = "local"  # where trees grow: in this process, or by the actors of a Ray cluster; same trees


class RoleSettings(_Settings):
    """Who plays a role; what is None is taken from `cast.default`."""

    model: str | None = None
    base_url: str | tuple[str, ...] | None = None  # several: each dialogue asks one; vllm: in this process
    api_key_env: Variable | None = None  # the variable that holds the key; the key itself never is here
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Positive | None = None
    price: tuple[float, float] | None = None  # USD for a million tokens in, and out

    @field_validator("base_url")
    @classmethod
    def _no_secret(cls, given: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if given is None or isinstance(given, str):
            return None if given is None else checked_address(given)
        if not given:
            raise ValueError("expected an address, or several, found an empty list")
        return tuple(map(checked_address, given))

    @property
    def addresses(self) -> tuple[str | None, ...]:
        """Where the model is served; None: at OpenAI."""
        return self.base_url if isinstance(self.base_url, tuple) else (self.base_url,)


def checked_address(address: str) -> str:
    """The address of an endpoint. Raises ValueError for one that is none, or seems to hold a password or a key."""
    if re.search(r"@|(key|token|secret|password)=", address, re.IGNORECASE):
        raise ValueError("expected an address without password or key, for it is written to disk")
    if address != "vllm" and not re.fullmatch(r"https?://\S+", address):
        raise ValueError(f"expected an address such as http://localhost:8000/v1, or vllm, found {address!r}")
    return address


class PolicySettings(_Settings):
    """A model that cso has trained, in this process, in the place of the cast's strategist and supporter."""

    model: str | None = None  # a folder or a name on the hub; None: the cast plays all roles
    plays: Annotated[tuple[Literal["strategist", "supporter"], ...], Field(min_length=1)] = ("strategist", "supporter")


class CastSettings(_Settings):
    """The four roles: played from the bundled corpus (a stand-in for trying things out), or by chat models."""

    kind: Literal["corpus", "llm"] = "corpus"
    default: RoleSettings = RoleSettings(
        api_key_env="OPENAI_API_KEY",
        temperature=0.7,
        max_tokens=1024,
    )
    seeker: RoleSettings = RoleSettings()
    supporter: RoleSettings = RoleSettings()
    strategist: RoleSettings = RoleSettings(temperature=0.0)
    judge: RoleSettings = RoleSettings(temperature=0.0)
    policy: PolicySettings = PolicySettings()
    prompts: Path | None = None  # a folder with a user's own prompts, any of seeker.md, supporter.md, ...

    def player(self, role: Role) -> RoleSettings:
        """The settings of a role, with what it leaves open taken from `default`."""
        own: RoleSettings = {
            "seeker": self.seeker,
            "supporter": self.supporter,
            "strategist": self.strategist,
            "judge": self.judge,
        }[role]
        inherited = self.default.model_dump()
        if None not in (own.model, self.default.model) and own.model != self.default.model:
            inherited["price"] = None  # of another model
        return RoleSettings(**inherited | own.model_dump(exclude_none=True))

    def players(self) -> dict[Role, RoleSettings]:
        return {role: self.player(role) for role in ROLES}


class LimitSettings(_Settings):
    """What a run may take. None of it changes a tree."""

    concurrency: Positive = 32  # requests in flight, over all trees
    timeout: Above0 = 60  # seconds until a request without an answer is given up and repeated
    patience: Above0 = 180  # seconds over which a failing request is repeated
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    max_calls: Count | None = None
    max_tokens: Count | None = None
    max_cost: Annotated[float, Field(ge=0)] | None = None  # USD


class RaySettings(_Settings):
    """The actors of a Ray cluster, for `search.executor` and `evaluate.executor`. None of it changes a result."""

    address: str | None = None  # of the cluster, such as auto; None: one is started on this machine
    actors: Positive | None = None  # at most so many; None: as many as the cluster has room for
    cpus: Above0 = 1.0  # of an actor
    gpus: Annotated[float, Field(ge=0)] = 0.0  # of an actor
    at_once: Positive = 32  # dialogues that an actor grows at the same time


class ExtractSettings(_Settings):
    """From trees to preferences (section 3.2)."""

    threshold: float = 0.5  # θ in Eq. 5 and 6, Appendix F.1
    min_visits: Count = 1  # N that an End must have
    min_margin: float | None = None  # drop pairs whose own-turn rewards differ by less (chosen - rejected); None: keep
    balance: Literal["none", "weights", "drop"] = "none"  # even out how often each strategy is chosen and rejected
    seed: int = 0  # of what is drawn: ESC-Pro-Random's strategies, the pairs that balance drops


class ModelSettings(_Settings):
    """The causal language model that is trained."""

    name: str = "tiny"  # the embedded backbone, a folder, or a name on the Hugging Face hub
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where the device computes in it
    attention: Literal["auto", "paths", "sdpa", "eager", "flex_attention"] = "auto"  # auto: by device and model
    trust_remote_code: bool = False  # run code that comes with the model


class LoraSettings(_Settings):
    """Low-rank adapters on all linear modules but the output head (Appendix F.2)."""

    rank: Positive = 8  # the paper gives none
    alpha: Above0 = 8.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class PackingSettings(_Settings):
    """How examples are laid out as tries of tokens. The budget changes speed and memory, and what `tokens` come to."""

    token_budget: Positive | None = None  # tokens of a pack; None: 4,096 on a CPU, 8,192 on a GPU
    trees_per_step: Positive = 4  # trees that share a step: fewer share more tokens, more mix better
    max_length: Positive = 2048  # tokens of prompt and reply; longer histories lose their oldest turns
    max_target_length: Positive = 512  # tokens of a reply, Appendix F.2; what is longer is left out


class TrainSettings(_Settings):
    """Preference optimization (section 3.3). A recipe is a part of these."""

    model: ModelSettings = ModelSettings()
    objective: Objective = "dpo"
    target: Literal["reply", "strategy"] = "reply"  # trained on: whole replies, or the strategies they open with (ours)
    parameters: dict[str, float] = {}  # of the objective, such as beta; what is left out has the objective's default
    tuning: Tuning = "lora"
    lora: LoraSettings = LoraSettings()
    packing: PackingSettings = PackingSettings()
    epochs: Positive = 3  # this and the next two: Table 13, CSO by LoRA on LLaMA-3.1-8B-Instruct
    batch_size: Positive = 32  # examples of an optimizer step, over all devices
    learning_rate: Above0 = 1e-6
    tokens: Positive | None = None  # train on so many tokens of packs, whatever epochs says
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of the trees that is held out and measured
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    arguments: dict[str, Any] = {}  # any other of transformers.TrainingArguments, such as report_to


class EvaluateSettings(_Settings):
    """Strategy scores on held-out dialogues (section 5.1)."""

    choose: Literal["free", "score"] = "free"  # read the strategy from the reply, or take the tag that is likeliest
    write: bool = True  # write the replies as well; False needs choose=score
    baseline: Literal["plain", "direct-refine", "self-refine", "example"] = "plain"
    per_stage: Positive | None = None  # turns drawn from each of the six stages; None: all turns
    max_tokens: Positive = 128  # of a reply
    max_length: Positive = 2048  # tokens of a history; longer ones lose their oldest turns
    token_budget: Positive | None = None  # tokens of a local model's batch; None: 16,384 on a CPU, 131,072 on a GPU
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0  # 0: the likeliest token each time
    draws: Annotated[int, Field(ge=1, le=100_000)] = 1000  # of the bootstrap and of the randomization test
    seed: Count = 0  # of everything drawn
    executor: Executor = "local"  # who answers with a model that is not an endpoint's: this process, or Ray's actors


class Settings(_Settings):
    """Everything that the commands can be told."""

    taxonomy: str = "esc8"  # a bundled one, or a path
    rubric: str = "esc"  # a bundled one, or a path
    drop_unlabelled: bool = False  # drop dialogues with any unlabelled exchange whole, rather than trim both ends
    search: SearchSettings = SearchSettings()
    cast: CastSettings = CastSettings()
    limits: LimitSettings = LimitSettings()
    ray: RaySettings = RaySettings()
    extract: ExtractSettings = ExtractSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
