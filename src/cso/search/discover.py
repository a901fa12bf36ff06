"""One iteration's questions: what lies below a leaf (sections 3.1.3 and 3.1.4)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from cso.dialogue import Dialogue, Speaker, Turn
from cso.rating import Rating, mean_reward, reward
from cso.search.cast import Cast
from cso.search.mcts import Discovery, Expansion, likeliest, priors
from cso.settings import SearchSettings
from cso.taxonomy import Taxonomy
from cso.tree import End, Expanded, Node, Root, Tree, Unexpanded, said


@dataclass(frozen=True, slots=True)
class Explorer:
    """Asks a cast what lies below a leaf. The answer depends on the leaf alone, never on the rest of the tree."""

    cast: Cast
    taxonomy: Taxonomy
    settings: SearchSettings

    async def expand(self, tree: Tree, leaf: int) -> Expansion:
        """Extend `leaf`, a node without children, expand it, and extend the child that is to be simulated."""
        node = tree.nodes[leaf]
        before = tree.history(_parent(node))
        state = node.state
        if isinstance(state, Unexpanded):
            state = await self._extend(before, state)
        assert not isinstance(state, Root), "the root always has children"
        if isinstance(state, End):
            return Expansion(state)
        history = _after(before, state)
        children = await self._rated(history)
        simulated = await self._extend(history, children[likeliest(children)])
        return Expansion(state, children, simulated)

    async def evaluate(self, tree: Tree, leaf: int, found: Expansion) -> Discovery:
        """The reward of an expansion of `leaf`: of its own turn where it is an End, else of a simulation below it.

        Errors of the roles come as they are or, where several were asked at once, in an ExceptionGroup.
        """
        node = tree.nodes[leaf]
        before = tree.history(_parent(node))
        if isinstance(found.leaf, End):
            return await self._judge_end(before, node, found.leaf)
        own_too = self.settings.judge_selected and isinstance(node.state, Unexpanded)
        return await self._simulate(before, found, own_too=own_too)

    async def _judge_end(self, before: Dialogue, node: Node, end: End) -> Discovery:
        """An End found before is judged again only where Ends are revisited, each time as a further sample."""
        judged_before = node.visits - (self.settings.gold_visits if node.gold else 0)
        rating = await self._rate(before, end, sample=judged_before)
        if judged_before == 0:
            end = replace(end, rating=rating)
        return Discovery(Expansion(end), self._reward(rating))

    async def _simulate(self, before: Dialogue, found: Expansion, *, own_too: bool) -> Discovery:
        """Eq. 3 over the simulated child and a rollout from there; the judge works beside the rollout."""
        leaf, child = found.leaf, found.simulated
        assert isinstance(leaf, Expanded)
        assert child is not None
        history = _after(before, leaf)
        async with asyncio.TaskGroup() as beside:
            own = beside.create_task(self._rate(before, leaf)) if own_too else None
            judged = [beside.create_task(self._rate(history, child))]
            if isinstance(child, Expanded):
                await self._roll_out(_after(history, child), beside, judged)
        ratings = [task.result() for task in judged]
        child = replace(child, rating=ratings[0])
        if own is not None:
            ratings.insert(0, own.result())
            leaf = replace(leaf, rating=own.result())
        reward = mean_reward([self._reward(rating) for rating in ratings])
        return Discovery(Expansion(leaf, found.children, child), reward)

    async def _roll_out(self, history: Dialogue, beside: asyncio.TaskGroup, judged: list[asyncio.Task[Rating]]) -> None:
        """Greedy rounds by the strategist's best; after the last one the seeker is not asked, for nobody would hear."""
        sample = int(self.settings.fresh_rollouts)
        for left in reversed(range(self.settings.rollout_rounds)):
            children = await self._rated(history, sample=sample)
            best = children[likeliest(children)]
            reply = await self._reply(history, best, sample=sample)
            judged.append(beside.create_task(self._rate(history, reply, sample=sample)))
            if left == 0:
                break
            state = await self._answer(history, reply, sample=sample)
            if isinstance(state, End):
                break
            history = _after(history, state)

    async def _rated(self, history: Dialogue, *, sample: int = 0) -> tuple[Unexpanded, ...]:
        scores = await self.cast.strategist(history, sample=sample)
        shares = priors(scores, self.taxonomy, temperature=self.settings.temperature)
        return tuple(Unexpanded(name, prior) for name, prior in shares.items())

    async def _extend(self, history: Dialogue, child: Unexpanded) -> Expanded | End:
        return await self._answer(history, await self._reply(history, child))

    async def _reply(self, history: Dialogue, child: Unexpanded, *, sample: int = 0) -> End:
        """The supporter's reply; an End for as long as the seeker has not answered."""
        strategy = self.taxonomy.strategy(child.strategy)
        return End(child.strategy, child.prior, await self.cast.supporter(history, strategy, sample=sample))

    async def _answer(self, history: Dialogue, reply: End, *, sample: int = 0) -> Expanded | End:
        answer = await self.cast.seeker(_after(history, reply), sample=sample)
        if answer.ends:
            return replace(reply, farewell=answer.text or None)
        return Expanded(reply.strategy, reply.prior, reply.supporter, answer.text)

    async def _rate(self, before: Dialogue, state: Expanded | End, *, sample: int = 0) -> Rating:
        """The judge's rating of the state's own turn, the seeker's answer not yet heard."""
        turn = Turn(Speaker.SUPPORTER, state.supporter, state.strategy)
        return await self.cast.judge(before.with_turns((*before.turns, turn)), sample=sample)

    def _reward(self, rating: Rating) -> float:
        return reward(rating, alpha=self.settings.reward.alpha, bias=self.settings.reward.bias)


def _parent(node: Node) -> int:
    assert node.parent is not None, "the root always has children"
    return node.parent


def _after(history: Dialogue, state: Expanded | End) -> Dialogue:
    return history.with_turns((*history.turns, *said(state)))
