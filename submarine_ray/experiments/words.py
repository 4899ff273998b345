"""All SQL that finds experiments by a part of their name or of a tag, without reading them all (decisions/0056).

Names share their words, so there are far fewer words than experiments. `experiment_word` has the words of each
experiment. `word_end` has the endings of each word: what a word contains is what one of its endings begins with, and
beginnings are found by an index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, Select, delete, insert, select, union_all
from sqlalchemy import func as sql
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from submarine_ray.experiments.tables import ExperimentRow, ExperimentWordRow, WordEndRow
from submarine_ray.spec.matching import MAX_WORDS, words

SHORTEST_PART = 3  # parts of words are found from so many characters on; shorter texts find beginnings
MAX_TERMS = 40  # words that one typed word may stand for
COUNTED = 2_000
OF_TAG, OF_NAME, AT_BEGINNING = range(3)


def put(session: Session, experiment_id: str, accepted_ms: int, name: str, tags: Iterable[str]) -> None:
    """Replace the words by which an experiment is found."""
    forget(session, experiment_id)
    found = weighted(name, tags)
    _learn(session, found)
    session.add_all(
        ExperimentWordRow(experiment_id=experiment_id, word=word, weight=weight, accepted_ms=accepted_ms)
        for word, weight in found.items()
    )


def forget(session: Session, experiment_id: str) -> None:
    session.execute(delete(ExperimentWordRow).where(ExperimentWordRow.experiment_id == experiment_id))


def weighted(name: str, tags: Iterable[str]) -> dict[str, int]:
    """The words of an experiment, and where each is: at the beginning of its name, in it, or in a tag."""
    found = dict.fromkeys((word for tag in tags for word in words(tag)), OF_TAG)
    for place, word in enumerate(words(name)):
        found[word] = OF_NAME if place else AT_BEGINNING
    return found


def endings(word: str) -> Iterable[tuple[bool, str]]:
    """What a word is found by, and whether that is only a part of it."""
    yield False, word
    yield from ((True, word[start:]) for start in range(1, len(word) - SHORTEST_PART + 1))


def _learn(session: Session, found: Collection[str]) -> None:
    query = select(WordEndRow.word).where(
        WordEndRow.is_part.is_(False), WordEndRow.ending.in_(found), WordEndRow.word.in_(found)
    )
    new = sorted(set(found) - set(session.scalars(query)))  # in one order, so that two services never wait in a ring
    rows = [{"is_part": part, "ending": ending, "word": word} for word in new for part, ending in endings(word)]
    if rows:  # another service may learn the same word at this moment
        adding = insert(WordEndRow).prefix_with("OR IGNORE", dialect="sqlite")
        for server in ("mysql", "mariadb"):
            adding = adding.prefix_with("IGNORE", dialect=server)
        session.execute(adding, rows)


def find(session: Session, text: str, limit: int) -> list[str]:
    """The ids of experiments that have all words of the text, each at the beginning of a word or within one: those
    whose name begins with it first, then the newest.
    """
    wanted = [_terms(session, word) for word in words(text)[:MAX_WORDS]]
    if not wanted or not all(wanted):
        return []
    if len(wanted) > 1:
        wanted.sort(key=lambda terms: _count(session, terms))
    rarest, *others = wanted
    parts = [_of_term(term, others, limit).subquery() for term in rarest]
    every = union_all(*(select(part) for part in parts)).subquery()
    best = sql.max(every.c.weight)
    query = select(every.c.experiment_id).group_by(every.c.experiment_id, every.c.accepted_ms)
    return list(session.scalars(query.order_by(best.desc(), every.c.accepted_ms.desc()).limit(limit)))


def find_ids(session: Session, text: str, limit: int) -> list[str]:
    """The experiments whose id begins with the text, the newest first."""
    query = select(ExperimentRow.id).where(*_begins(ExperimentRow.id, text))
    return list(session.scalars(query.order_by(ExperimentRow.id.desc()).limit(limit)))


def _terms(session: Session, word: str) -> list[str]:
    """The known words that begin with this one; then those that contain it."""
    found: dict[str, None] = {}
    for is_part in (False, True):
        begins = select(WordEndRow.word).where(WordEndRow.is_part.is_(is_part), *_begins(WordEndRow.ending, word))
        query = begins.order_by(WordEndRow.ending, WordEndRow.word).limit(MAX_TERMS)
        if len(found) < MAX_TERMS and not (is_part and len(word) < SHORTEST_PART):
            found |= dict.fromkeys(session.scalars(query))
    return list(found)[:MAX_TERMS]


def _count(session: Session, terms: Sequence[str]) -> int:
    """How many experiments have one of the words, as far as that is worth knowing."""
    some = select(ExperimentWordRow.word).where(ExperimentWordRow.word.in_(terms)).limit(COUNTED).subquery()
    return session.scalar(select(sql.count()).select_from(some)) or 0


def _of_term(term: str, others: Sequence[Sequence[str]], limit: int) -> Select[str, int, int]:
    row = ExperimentWordRow
    query = select(row.experiment_id, row.accepted_ms, row.weight).where(row.word == term)
    for terms in others:
        other = aliased(ExperimentWordRow)
        query = query.where(
            select(other.word).where(other.experiment_id == row.experiment_id, other.word.in_(terms)).exists()
        )
    return query.order_by(row.weight.desc(), row.accepted_ms.desc()).limit(limit)


def _begins(column: InstrumentedAttribute[str], text: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """As a range, which an index answers on every database; LIKE is a scan on some."""
    return column >= text, column < text + "\U0010ffff"
