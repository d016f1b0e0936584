"""Keeps the situations: takes evidence in, asks three scans for roots, and tells what changed."""

from __future__ import annotations

import io
import json
import math
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from meterops.practices.events.correlation.columns import Floats, each_once
from meterops.practices.events.correlation.evidence import NEVER, EvidenceBook, Standing
from meterops.practices.events.correlation.phases import PhaseWatch
from meterops.practices.events.correlation.scan import RootScan
from meterops.practices.events.correlation.settings import CorrelationSettings
from meterops.practices.events.correlation.situations import (
    PHASE_WORDS,
    Change,
    Evidence,
    Ids,
    MemberIds,
    SituationChange,
    SituationKind,
    TreeName,
)
from meterops.practices.events.correlation.topology import Places, Topology

SURE_LINK: Final = 0.8
"""A link below this confidence contradicts nothing: it is too likely to be wrong."""
_NAMES: Final = uuid.UUID("6a0f7c9e-6c1b-5b59-9d52-0f5e7c1d4a11")
_TEMPER: Final = 4.0
"""Scores are a logistic function of the difference of costs over this: the costs rest on figures that are themselves guesses."""
_STORM_WINDOW_S: Final = 30.0
_FORGET_EVERY_S: Final = 60.0
AFTER_PLANNED_S: Final = 300.0
"""What was heard during planned work is remembered for this long after it, so that what is left can be told."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A root as the scans see it now."""

    tree: TreeName
    place: int
    kind: SituationKind
    power_score: float
    confidence: float


@dataclass(slots=True)
class _Situation:
    """An open situation."""

    id: str
    kind: SituationKind
    tree: TreeName
    place: int
    started_at: float
    power_score: float
    confidence: float
    told_at: float
    told: tuple[int, ...] = ()
    returned_at: float = NEVER
    first_return_at: float = NEVER
    seen_answer_at: float = NEVER
    counted_at: int = 0
    """The step at which its figures were last counted; what is stored begins anew."""


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """Work on a node that the control room knows of, during [starts_at, ends_at)."""

    node_id: int
    starts_at: float
    ends_at: float


class Correlator:
    """Feed evidence, then advance. Not thread-safe; all times are epoch seconds of one clock."""

    def __init__(
        self, topology: Topology, settings: CorrelationSettings | None = None, state: bytes | None = None
    ) -> None:
        """Begin with nothing known, or where `checkpoint` left off."""
        self.settings = settings or CorrelationSettings()
        self.is_storm = False
        self._situations: dict[str, _Situation] = {}
        self._pending: dict[tuple[TreeName, int], float] = {}
        self._planned: list[PlannedWork] = []
        self._arrivals: deque[tuple[float, int]] = deque()
        self._fed = 0
        self._forgotten_at = NEVER
        self._step = 0
        self._use(topology)
        if state is not None:
            self._restore(state)

    # Taking in.

    def feed(self, meter_ids: Ids, evidence: NDArray[np.int8], occurred_at: NDArray[np.float64]) -> None:
        """Take evidence of n meters in: unsorted, repeated and late rows are fine, unknown meters are passed over."""
        places = self.topology.places(np.asarray(meter_ids, np.int64))
        known = (places >= 0) & np.isfinite(occurred_at)
        self._fed += len(places)
        self._take(places[known], np.asarray(evidence, np.int8)[known], np.asarray(occurred_at, np.float64)[known])

    def set_planned(self, node_ids: Iterable[int], starts_at: float, ends_at: float) -> None:
        """Know of planned work: nothing is opened below its nodes until it ends; what is left then is looked at."""
        self._planned += [PlannedWork(int(node), starts_at, ends_at) for node in node_ids]

    def replace_planned(self, planned: Iterable[PlannedWork]) -> None:
        """Know of exactly this planned work."""
        self._planned = list(planned)

    def replace_topology(self, topology: Topology) -> None:
        """Go on with other trees; what is known of meters and situations that are in them stays."""
        kept = {one.id: int(self.topology.node_id[one.place]) for one in self._situations.values()}
        pending = {(tree, int(self.topology.node_id[place])): at for (tree, place), at in self._pending.items()}
        ids, book, phases = self.topology.node_id, self._book, self._said_of_phases()
        self._use(topology)
        self._carry(ids, book, phases)
        for one_id, node_id in kept.items():
            place = topology.place_of(node_id)
            if place is None:
                del self._situations[one_id]
            else:
                self._situations[one_id].place = place
        self._pending = {
            (tree, place): at for (tree, node), at in pending.items() if (place := topology.place_of(node)) is not None
        }

    # Telling.

    def advance(self, now: float) -> list[SituationChange]:
        """Bring the situations up to `now` and tell what changed."""
        self._step += 1
        self._weigh_storm(now)
        self._forget(now)
        candidates = self._candidates()
        changes: list[SituationChange] = []
        for one in list(self._situations.values()):
            self._watch_return(one, now)
        candidates = self._without_settling(candidates, now)
        taken = self._match(candidates, now, changes)
        self._open(candidates, taken, now, changes)
        self._tell_figures(now, changes)
        return changes

    @property
    def is_waiting(self) -> bool:
        """Whether a situation is about to be opened or to end: the next steps say more though nothing new comes in."""
        return bool(self._pending) or any(one.returned_at > NEVER for one in self._situations.values())

    def members(self, situation_id: str) -> MemberIds | None:
        """The meters below a situation's root; None when it is not open."""
        one = self._situations.get(situation_id)
        if one is None:
            return None
        leaves = self.topology.tree(one.tree).leaves(one.place)
        heard, silent, answered, _ = self._masks(one, leaves)
        ids = self.topology.node_id[leaves]
        return MemberIds(ids[heard], ids[silent], ids[answered], ids[~(heard | silent | answered)])

    def unexplained(self, now: float, hold_s: float, evidence: Evidence = Evidence.DOWN) -> tuple[Ids, Floats]:
        """Meters that no situation or planned work explains and whose last word is that they are dark (silent, miss a phase).

        Returns the ids of those that said so at least `hold_s` seconds ago, and when they did (epoch seconds).
        """
        book = self._book
        if evidence is Evidence.DOWN:
            said_at, alone = book.down_at, book.standing == Standing.DARK
        elif evidence is Evidence.SILENT:
            said_at, alone = book.silent_at, book.standing == Standing.SILENT
        else:
            said_at = self._phases.since(np.arange(len(self.topology), dtype=np.int32), evidence - Evidence.L1_LOST)
            alone = (book.standing != Standing.DARK) & (said_at > NEVER)
        places = np.flatnonzero(alone & (said_at < now - hold_s) & ~self._accounted_for(now))
        return self.topology.node_id[places], said_at[places]

    def is_over(
        self, meter_ids: Ids, since: Floats, now: float, evidence: Evidence = Evidence.DOWN
    ) -> NDArray[np.bool_]:
        """Which meters have shown since a time that they have supply (or a phase), are explained by something, or are gone.

        That evidence was forgotten is no sign of supply.
        """
        places = self.topology.places(meter_ids)
        is_phase = evidence in PHASE_WORDS
        shown = self._phases.back_at(places, evidence - Evidence.L1_LOST) if is_phase else self._book.lit_at[places]
        return (places < 0) | (shown > since) | self._accounted_for(now)[places]

    def _accounted_for(self, now: float, after_s: float = 0.0) -> NDArray[np.bool_]:
        """Whatever stands below an open situation, or planned work that goes on or ended within `after_s`, by place."""
        below = np.zeros(len(self.topology), bool)
        for one in self._situations.values():
            below[self.topology.tree(one.tree).leaves(one.place)] = True
        for work in self._planned:
            place = self.topology.place_of(work.node_id)
            if place is not None and work.starts_at <= now < work.ends_at + after_s:
                for tree in ("ELECTRICAL", "COMMUNICATION"):
                    below[self.topology.tree(tree).leaves(place)] = True
        return below

    def open_roots(self) -> dict[str, tuple[TreeName, int]]:
        """Tree and node id of every open situation."""
        return {one.id: (one.tree, int(self.topology.node_id[one.place])) for one in self._situations.values()}

    # State.

    def checkpoint(self) -> bytes:
        """Everything that cannot be computed again. A correlator made from it goes on as this one would."""
        book = self._book
        recent = float(np.max(np.r_[book.down_at, book.silent_at, book.lit_at, NEVER])) - self.settings.memory_s
        known = np.flatnonzero(
            (book.down_at > NEVER) | (book.silent_at > NEVER) | (book.tried_at > NEVER) | (book.lit_at > recent)
        )
        phase_ids, phase_words, phase_times = self._said_of_phases()
        file = io.BytesIO()
        np.savez_compressed(
            file,
            node_id=self.topology.node_id[known],
            down_at=book.down_at[known],
            lit_at=book.lit_at[known],
            silent_at=book.silent_at[known],
            tried_at=book.tried_at[known],
            phase_node_id=phase_ids,
            phase_word=phase_words,
            phase_at=phase_times,
            told=np.frombuffer(self.outline().encode(), np.uint8),
        )
        return file.getvalue()

    def outline(self) -> str:
        """What `checkpoint` holds besides the evidence of meters: small enough to be stored at every step."""
        return json.dumps(
            {
                "situations": [self._plain(one) for one in self._situations.values()],
                "pending": [
                    [tree, int(self.topology.node_id[place]), at] for (tree, place), at in self._pending.items()
                ],
                "planned": [asdict(one) for one in self._planned],
                "arrivals": list(self._arrivals),
                "noise": [self._gasps.noise, self._dark.noise, self._cut.noise],
                "mute": self._gasps.mute,
                "storm": self.is_storm,
                "forgotten_at": self._forgotten_at,
                "fed": self._fed,
            }
        )

    def take_outline(self, outline: str) -> None:
        """Go on with the situations of an outline, the evidence being fed already."""
        self._situations, self._pending = {}, {}
        self._arrivals.clear()
        self._take_told(json.loads(outline))

    def _plain(self, one: _Situation) -> dict[str, Any]:
        return {**asdict(one), "place": int(self.topology.node_id[one.place]), "counted_at": 0}

    def _restore(self, state: bytes) -> None:
        with np.load(io.BytesIO(state), allow_pickle=False) as saved:
            book = EvidenceBook(len(saved["node_id"]))
            book.down_at, book.lit_at = saved["down_at"], saved["lit_at"]
            book.silent_at, book.tried_at = saved["silent_at"], saved["tried_at"]
            ids, told = saved["node_id"], json.loads(saved["told"].tobytes())
            phases = self._said_of_phases()
            if "phase_node_id" in saved:  # a state from before phases were watched says nothing of them
                phases = saved["phase_node_id"], saved["phase_word"], saved["phase_at"]
        self._take_told(told)
        self._carry(ids, book, phases)

    def _take_told(self, told: dict[str, Any]) -> None:
        self._gasps.noise, self._dark.noise, self._cut.noise = told["noise"]
        self._gasps.mute = told.get("mute", self.settings.least_mute)
        self.is_storm, self._forgotten_at, self._fed = told["storm"], told["forgotten_at"], told["fed"]
        self._arrivals.extend((at, count) for at, count in told["arrivals"])
        self._planned = [PlannedWork(**one) for one in told["planned"]]
        for tree, node, at in told["pending"]:
            if (place := self.topology.place_of(node)) is not None:
                self._pending[TreeName(tree), place] = at
        for plain in told["situations"]:
            place = self.topology.place_of(plain["place"])
            if place is not None:
                words = {"place": place, "kind": SituationKind(plain["kind"]), "tree": TreeName(plain["tree"])}
                one = _Situation(**{**plain, **words, "told": tuple(plain["told"])})
                self._situations[one.id] = one

    def _said_of_phases(self) -> tuple[Ids, NDArray[np.int8], Floats]:
        places, evidence, times = self._phases.said()
        return self.topology.node_id[places], evidence, times

    # Evidence.

    def _use(self, topology: Topology) -> None:
        self.topology = topology
        n = len(topology)
        self._book = EvidenceBook(n)
        self._explained = np.zeros(n, bool)
        self._explained_by: frozenset[int] = frozenset()
        self._stirred = {tree: np.full(n, self._step, np.int64) for tree in TreeName}
        electrical, communication = topology.tree("ELECTRICAL"), topology.tree("COMMUNICATION")
        weight = np.ones(n, np.float64) if topology.delivery is None else topology.delivery.astype(np.float64)
        self._chance = weight * self.settings.delivery
        self._gasps = RootScan(electrical, self.settings, weight, communication.parent)
        self._dark = RootScan(electrical, self.settings)
        self._cut = RootScan(communication, self.settings)
        self._phases = PhaseWatch(electrical, self.settings)
        sure = np.ones(n, bool) if topology.confidence is None else topology.confidence >= SURE_LINK
        self._is_sure = sure

    def _carry(self, ids: Ids, book: EvidenceBook, phases: tuple[Ids, NDArray[np.int8], Floats]) -> None:
        """Take over what a book that speaks of `ids` knows, and words on phases."""
        ids_of_phases, words, at = phases
        self._phases.note(*_known(self.topology.places(ids_of_phases), words, at))
        places = self.topology.places(ids)
        known = places >= 0
        columns = ((Evidence.DOWN, book.down_at), (Evidence.UP, book.lit_at), (Evidence.SILENT, book.silent_at))
        for evidence, column in columns:
            said = known & (column > NEVER)
            self._take(places[said], np.full(int(said.sum()), evidence, np.int8), column[said])
        tried = places[known & (book.tried_at > NEVER)]
        fresh = tried[~self._book.is_tried(tried)]
        self._book.tried_at[tried] = book.tried_at[known & (book.tried_at > NEVER)]
        self._dark.expect(fresh)
        self._cut.expect(fresh)

    def _take(self, places: Places, evidence: NDArray[np.int8], times: NDArray[np.float64]) -> None:
        if not len(places):
            return
        self._stir(places)
        self._phases.note(places, evidence, times)
        # Who misses a phase runs, but may say so while it goes dark, so that contradicts nothing; who has it back runs for sure.
        evidence = np.where(evidence >= Evidence.L1_BACK, Evidence.ANSWERED, evidence).astype(np.int8)
        of_supply = evidence < Evidence.L1_LOST
        places, evidence, times = places[of_supply], evidence[of_supply], times[of_supply]
        book = self._book
        touched = each_once(places)
        down, silent, tried = book.is_down(touched), book.is_silent(touched), book.is_tried(touched)
        down_at, silent_at = book.down_at[touched], book.silent_at[touched]
        book.note(places, evidence, times)
        self._differ(touched, down, down_at, silent, silent_at, tried)
        if (evidence != Evidence.DOWN).any():
            is_lit = (evidence == Evidence.UP) | (evidence == Evidence.ANSWERED)
            lit = each_once(places[is_lit])
            sure = lit[self._is_sure[lit]]
            self._gasps.answer(sure, book.lit_at[sure])
            self._dark.answer(sure, book.lit_at[sure])
            self._cut.answer(lit, book.lit_at[lit])

    def _stir(self, places: Places) -> None:
        """Remember that figures of whatever stands above may be other than they were."""
        for name, stirred in self._stirred.items():
            above = self.topology.tree(name).parent
            nodes = places
            while len(nodes):
                stirred[nodes] = self._step
                nodes = above[nodes]
                nodes = nodes[nodes >= 0]

    def _differ(
        self,
        touched: Places,
        down: NDArray[np.bool_],
        down_at: NDArray[np.float64],
        silent: NDArray[np.bool_],
        silent_at: NDArray[np.float64],
        tried: NDArray[np.bool_],
    ) -> None:
        """Tell the scans what is other than it was."""
        book = self._book
        down_now, silent_now = book.is_down(touched), book.is_silent(touched)
        moved = down & down_now & (book.down_at[touched] != down_at)
        gone, came = (down & ~down_now) | moved, (down_now & ~down) | moved
        self._gasps.hear(touched[gone], down_at[gone], -1.0)
        self._gasps.hear(touched[came], book.down_at[touched[came]])
        free = ~self._explained[touched]
        moved = silent & silent_now & (book.silent_at[touched] != silent_at)
        gone, came = free & ((silent & ~silent_now) | moved), free & ((silent_now & ~silent) | moved)
        for scan in (self._dark, self._cut):
            scan.hear(touched[gone], silent_at[gone], -1.0)
            scan.hear(touched[came], book.silent_at[touched[came]])
            scan.expect(touched[~tried & book.is_tried(touched)])

    def _explain_silence(self, roots: Sequence[int]) -> None:
        """Silence below a root of gasps needs no other reason; below one that is gone it does again."""
        chosen = frozenset(roots)
        gone, new = self._explained_by - chosen, chosen - self._explained_by
        if not gone and not new:
            return
        self._explained_by = chosen
        tree, book = self.topology.tree("ELECTRICAL"), self._book
        touched = each_once(np.concatenate([tree.leaves(root) for root in gone | new]))
        before = self._explained[touched]
        for root in gone:
            self._explained[tree.leaves(root)] = False
        for root in chosen:
            if root in new or any(tree.overlaps(root, other) for other in gone):
                self._explained[tree.leaves(root)] = True
        now = self._explained[touched]
        for places, sign in ((touched[now & ~before], -1.0), (touched[before & ~now], 1.0)):
            silent = places[book.is_silent(places)]
            for scan in (self._dark, self._cut):
                scan.hear(silent, book.silent_at[silent], sign)

    def _forget(self, now: float) -> None:
        """Let go of old evidence that no situation rests on, and that is not looked at again when planned work ends."""
        if now - self._forgotten_at < _FORGET_EVERY_S:
            return
        self._forgotten_at = now
        book, before = self._book, now - self.settings.memory_s
        kept = self._accounted_for(now, AFTER_PLANNED_S)
        self._phases.forget(before, kept)
        latest = np.maximum(np.maximum(book.down_at, book.silent_at), book.tried_at)
        old = (latest > NEVER) & (latest < before) & ~kept
        places = np.flatnonzero(old).astype(np.int32)
        if not len(places):
            return
        down, silent, tried = book.is_down(places), book.is_silent(places), book.is_tried(places)
        down_at, silent_at = book.down_at[places], book.silent_at[places]
        book.forget(places)
        self._differ(places, down, down_at, silent, silent_at, tried)
        for scan in (self._dark, self._cut):
            scan.expect(places[tried], -1.0)

    def _weigh_storm(self, now: float) -> None:
        if not self._arrivals:
            self._arrivals.append((now - 1.0, 0))
        self._arrivals.append((now, self._fed))
        while len(self._arrivals) > 1 and self._arrivals[0][0] < now - _STORM_WINDOW_S:
            self._arrivals.popleft()
        since, before = self._arrivals[0]
        rate = (self._fed - before) / max(now - since, 1.0)
        limit = self.settings.storm_leave_per_s if self.is_storm else self.settings.storm_enter_per_s
        self.is_storm = bool(rate >= limit)

    # Roots.

    def _candidates(self) -> list[_Candidate]:
        gasped = self._gasps.roots().tolist()
        gasped, halved = self._without_phases(gasped) if not self._phases.is_quiet else (gasped, [])
        self._explain_silence([*gasped, *halved])
        dark = self._heard_candidates(
            gasped, SituationKind.OUTAGE, self._gasps.heard[gasped], self._gasps.margin[gasped]
        )
        if halved:
            leaves = [self.topology.tree("ELECTRICAL").leaves(place) for place in halved]
            heard = [int((self._book.is_down(each) | self._phases.is_missing(each)).sum()) for each in leaves]
            margin = np.maximum([self._phases.margin(place) for place in halved], self._gasps.margin[halved])
            dark += self._heard_candidates(halved, SituationKind.PHASE, np.array(heard, np.float64), margin)
        return dark + self._silent_candidates()

    def _heard_candidates(
        self, places: list[int], kind: SituationKind, heard: Floats, margin: Floats
    ) -> list[_Candidate]:
        scores = _score(0.0, heard * -math.log(self._gasps.noise) - self.settings.root_cost)
        confidences = self._confidence(TreeName.ELECTRICAL, places, margin)
        return [
            _Candidate(TreeName.ELECTRICAL, place, kind, score, confidence)
            for place, score, confidence in zip(places, scores.tolist(), confidences.tolist(), strict=True)
        ]

    def _without_phases(self, gasped: list[int]) -> tuple[list[int], list[int]]:
        """Which roots of gasps are dark, and at which nodes a phase is missing.

        Where a node's meters run and say that they miss a phase, those that are dark beside them hang on that phase alone. Where
        a node is dark, what a phase did shortly before is part of it.
        """
        tree, halved = self.topology.tree("ELECTRICAL"), self._phases.roots()
        dark = []
        for place in gasped:
            if not self._runs(tree.leaves(place)):
                dark.append(place)
            elif not any(tree.is_below(place, other) or tree.is_below(other, place) for other in halved):
                halved.append(place)
        return dark, [place for place in halved if not any(tree.is_below(place, other) for other in dark)]

    def _runs(self, leaves: Places) -> bool:
        down = self._book.is_down(leaves)
        running = int((self._phases.is_missing(leaves) & ~down).sum())
        return running >= max(self.settings.least_heard, self.settings.phase_share * int(down.sum()))

    def _silent_candidates(self) -> list[_Candidate]:
        """Silence alone: for each crowd of silent meters the tree that explains it better."""
        dark, cut = self._dark.roots().tolist(), self._cut.roots().tolist()
        if not dark and not cut:
            return []
        electrical, communication = self.topology.tree("ELECTRICAL"), self.topology.tree("COMMUNICATION")
        silent_below = {place: self._silent(communication.leaves(place)) for place in cut}
        found, lost = [], set()
        for place in cut:
            leaves = silent_below[place]
            rivals = [other for other in dark if np.isin(self._silent(electrical.leaves(other)), leaves).any()]
            quiet = float(-np.log1p(-self._chance[leaves].clip(0, 0.99)).sum())
            alone = len(leaves) - sum(self._covered(electrical.leaves(other), leaves) for other in rivals)
            power = self.settings.root_cost * len(rivals) + quiet + alone * -math.log(self._dark.noise)
            score = float(_score(power, self.settings.root_cost))
            if score > 0.5 and rivals:
                continue
            lost.update(rivals)
            confidence = float(self._confidence(TreeName.COMMUNICATION, place, self._cut.margin[place]))
            found.append(_Candidate(TreeName.COMMUNICATION, place, SituationKind.COMMUNICATION, score, confidence))
        for place in dark:
            if place in lost:
                continue
            leaves = self._silent(electrical.leaves(place))
            quiet = float(-np.log1p(-self._chance[leaves].clip(0, 0.99)).sum())
            cover = sum(self.settings.root_cost for other in cut if np.isin(leaves, silent_below[other]).all())
            other = cover or len(leaves) * -math.log(self._cut.noise)
            score = float(_score(self.settings.root_cost + quiet, other))
            confidence = float(self._confidence(TreeName.ELECTRICAL, place, self._dark.margin[place]))
            found.append(_Candidate(TreeName.ELECTRICAL, place, SituationKind.OUTAGE, score, confidence))
        return found

    def _silent(self, leaves: Places) -> Places:
        return leaves[self._book.is_silent(leaves) & ~self._explained[leaves]]

    def _covered(self, below: Places, leaves: Places) -> int:
        return int(np.isin(leaves, below).sum())

    def _confidence(self, tree: TreeName, places: int | list[int], margin: Floats) -> Floats:
        sure = -np.expm1(-np.maximum(0.0, margin) / self.settings.root_cost)
        return np.asarray(np.round(sure * self.topology.mean_confidence(tree, places), 3))

    # Situations.

    def _scan_of(self, one: _Situation) -> RootScan | PhaseWatch:
        if one.kind is SituationKind.PHASE:
            return self._phases
        return self._gasps if one.tree is TreeName.ELECTRICAL else self._cut

    def _watch_return(self, one: _Situation, now: float) -> None:
        answered = self._scan_of(one).answered_at(one.place)
        if answered > max(one.seen_answer_at, one.started_at):
            one.seen_answer_at = answered
            one.returned_at = now
            if one.first_return_at == NEVER:
                one.first_return_at = now

    def _is_settling(self, one: _Situation, now: float) -> bool:
        rules = self.settings
        return now - one.returned_at < rules.settle_s and now - one.first_return_at < rules.longest_settle_s

    def _without_settling(self, candidates: list[_Candidate], now: float) -> list[_Candidate]:
        """Below a root whose meters are just returning nothing is told: most of it is on its way back."""
        stood = {(one.tree, one.place) for one in candidates}
        settling = [
            one
            for one in self._situations.values()
            if (one.tree, one.place) not in stood and self._is_settling(one, now) and not self._all_back(one)
        ]
        kept = []
        for candidate in candidates:
            tree = self.topology.tree(candidate.tree)
            below = any(
                one.tree is candidate.tree
                and tree.is_below(candidate.place, one.place)
                and candidate.place != one.place
                for one in settling
            )
            if not below:
                kept.append(candidate)
        return kept + [
            _Candidate(one.tree, one.place, one.kind, one.power_score, one.confidence)
            for one in settling
            if not any(
                other.tree is one.tree and self.topology.tree(one.tree).is_below(one.place, other.place)
                for other in kept
            )
        ]

    def _all_back(self, one: _Situation) -> bool:
        leaves = self.topology.tree(one.tree).leaves(one.place)
        heard, silent, _, _ = self._masks(one, leaves)
        return not (heard.any() or silent.any())

    def _match(
        self, candidates: list[_Candidate], now: float, changes: list[SituationChange]
    ) -> dict[tuple[TreeName, int], str]:
        """Give every open situation its candidate: the same node, one above, the fullest below, or none any more."""
        by_place = {(one.tree, one.place): one for one in candidates}
        taken: dict[tuple[TreeName, int], str] = {}
        rest = []
        for one in sorted(self._situations.values(), key=lambda s: (s.started_at, s.id)):
            key = (one.tree, one.place)
            if key in by_place:
                taken[key] = one.id
                if one.kind is not by_place[key].kind:
                    one.counted_at = 0
                one.kind, one.power_score = by_place[key].kind, by_place[key].power_score
                one.confidence = by_place[key].confidence
            else:
                rest.append(one)
        for one in rest:
            target = self._target_of(one, candidates, taken)
            if target is None:
                self._clear(one, now, changes)
            elif (target.tree, target.place) in taken:
                into = taken[target.tree, target.place]
                del self._situations[one.id]
                changes.append(replace(self._change(Change.MERGED, one, now), into_id=into))
            else:
                taken[target.tree, target.place] = one.id
                self._move(one, target, now, changes)
        return taken

    def _target_of(
        self, one: _Situation, candidates: list[_Candidate], taken: dict[tuple[TreeName, int], str]
    ) -> _Candidate | None:
        tree = self.topology.tree(one.tree)
        same = [other for other in candidates if other.tree is one.tree]
        above = [other for other in same if tree.is_below(one.place, other.place)]
        if above:
            return above[0]
        below = [other for other in same if tree.is_below(other.place, one.place)]
        free = [other for other in below if (other.tree, other.place) not in taken]
        if free:
            return max(free, key=lambda other: (self._affected(other), -other.place))
        leaves = tree.leaves(one.place)
        for other in candidates:
            if other.tree is not one.tree:
                shared = self._silent(leaves)
                others = self.topology.tree(other.tree).leaves(other.place)
                if len(shared) and np.isin(shared, others).mean() > 0.5:
                    return other
        return None

    def _affected(self, candidate: _Candidate) -> int:
        leaves = self.topology.tree(candidate.tree).leaves(candidate.place)
        book = self._book
        return int((book.is_down(leaves) | book.is_silent(leaves) | self._phases.is_missing(leaves)).sum())

    def _open(
        self,
        candidates: list[_Candidate],
        taken: dict[tuple[TreeName, int], str],
        now: float,
        changes: list[SituationChange],
    ) -> None:
        """Open what has stood for the hold-down and is not planned; wait with the rest."""
        pending: dict[tuple[TreeName, int], float] = {}
        for one in candidates:
            key = (one.tree, one.place)
            if key in taken:
                continue
            pending[key] = since = self._stood_since(one, now)
            if now - since >= self.settings.hold_down_s and not self._is_planned(one, now):
                del pending[key]
                self._begin(one, now, changes)
        self._pending = pending

    def _stood_since(self, one: _Candidate, now: float) -> float:
        """Since when this root, or one below or above it, has been seen: a root that moves does not begin anew."""
        tree = self.topology.tree(one.tree)
        seen = [
            at
            for (name, place), at in self._pending.items()
            if name is one.tree and (tree.is_below(place, one.place) or tree.is_below(one.place, place))
        ]
        return min(seen, default=now)

    def _is_planned(self, one: _Candidate, now: float) -> bool:
        tree = self.topology.tree(one.tree)
        for work in self._planned:
            place = self.topology.place_of(work.node_id)
            if place is not None and work.starts_at <= now < work.ends_at and tree.is_below(one.place, place):
                return True
        return False

    def _begin(self, one: _Candidate, now: float, changes: list[SituationChange]) -> None:
        leaves = self.topology.tree(one.tree).leaves(one.place)
        down = leaves[self._book.is_down(leaves)]
        silent = leaves[self._book.is_silent(leaves)]
        times = self._book.down_at[down] if len(down) else self._book.silent_at[silent]
        if one.kind is SituationKind.PHASE:
            times = np.r_[self._book.down_at[down], self._phases.since(leaves[self._phases.is_missing(leaves)])]
        started_at = float(np.quantile(times, 0.1)) if len(times) else now
        node_id = int(self.topology.node_id[one.place])
        name = str(uuid.uuid5(_NAMES, f"{one.tree}/{node_id}/{started_at:.3f}"))
        situation = _Situation(name, one.kind, one.tree, one.place, started_at, one.power_score, one.confidence, now)
        self._situations[name] = situation
        changes.append(self._change(Change.OPENED, situation, now))

    def _move(self, one: _Situation, target: _Candidate, now: float, changes: list[SituationChange]) -> None:
        previous = int(self.topology.node_id[one.place])
        one.tree, one.place, one.kind = target.tree, target.place, target.kind
        one.power_score, one.confidence = target.power_score, target.confidence
        one.returned_at = one.first_return_at = NEVER
        changes.append(replace(self._change(Change.MOVED, one, now), previous_node_id=previous))

    def _clear(self, one: _Situation, now: float, changes: list[SituationChange]) -> None:
        del self._situations[one.id]
        back = one.seen_answer_at > one.started_at
        reason = "RESTORED" if back else "NO_LONGER_SUPPORTED"
        changes.append(replace(self._change(Change.CLEARED, one, now), reason=reason))

    def _tell_figures(self, now: float, changes: list[SituationChange]) -> None:
        told = {change.situation_id for change in changes}
        for one in self._situations.values():
            if one.id in told or now - one.told_at < self.settings.report_every_s:
                continue
            if self._stirred[one.tree][one.place] < one.counted_at:
                one.told_at = now
                continue
            before = one.told
            change = self._change(Change.CHANGED, one, now)
            if one.told != before:
                changes.append(change)

    def _masks(self, one: _Situation, leaves: Places) -> tuple[NDArray[np.bool_], ...]:
        """Which leaves are heard, silent, answered since, and restored: answered after they were heard."""
        book, standing = self._book, self._book.standing[leaves]
        heard, silent, answered = standing == Standing.DARK, standing == Standing.SILENT, standing == Standing.LIT
        if one.kind is SituationKind.PHASE:
            heard |= self._phases.is_missing(leaves)
        restored = answered.copy()
        if answered.any():
            answered &= (book.lit_at[leaves] > one.started_at) & ~heard
            was_heard = (book.down_at[leaves] > NEVER) | self._phases.has_missed(leaves)
            restored = answered & was_heard
        return heard, silent, answered, restored

    def _change(self, change: Change, one: _Situation, now: float) -> SituationChange:
        leaves = self.topology.tree(one.tree).leaves(one.place)
        heard, silent, answered, restored = (int(np.count_nonzero(mask)) for mask in self._masks(one, leaves))
        one.told, one.told_at, one.counted_at = (heard, silent, answered, restored), now, self._step
        return SituationChange(
            change=change,
            situation_id=one.id,
            kind=one.kind,
            tree=one.tree,
            node_id=int(self.topology.node_id[one.place]),
            started_at=one.started_at,
            at=now,
            expected=len(leaves),
            heard=heard,
            silent=silent,
            answered=answered,
            restored=restored,
            power_score=round(one.power_score, 3),
            communication_score=round(1.0 - one.power_score, 3),
            confidence=one.confidence,
            phases=self._phases.names(leaves) if one.kind is SituationKind.PHASE else "",
        )


def _score(power_cost: float, communication_cost: float | Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((power_cost - communication_cost) / _TEMPER, -60.0, 60.0))))


def _known(places: Places, words: NDArray[np.int8], times: Floats) -> tuple[Places, NDArray[np.int8], Floats]:
    known = places >= 0
    return places[known], words[known], times[known]
