"""Knows how cases get through the workflow whatever dies on the way: durable steps, any number of workers.

The database says which cases wait; DBOS remembers which steps of each are done. What it stores is JSON: its default is a
pickle, and whoever could write to the database would have run code in every worker.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from dbos import DBOS, SetWorkflowID
from dbos import Serializer as SerializerOfDbos
from sqlalchemy import delete, insert, select, update

from weighbridge.registry.records import tables
from weighbridge.registry.services.states import MOVING
from weighbridge.registry.services.workflow import STEPS
from weighbridge.schema import WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.workflow import Workflow
    from weighbridge.registry.services.workplace import Workplace

_QUEUE: Final = "cases"
_POLL: Final = 0.25
_BEAT: Final = 5.0
_LOST: Final = 30.0
_ATTEMPTS: Final = 4
_LOG: Final = logging.getLogger("weighbridge.registry")


class _Json(SerializerOfDbos):
    """Values of JSON, and errors as their words."""

    def serialize(self, data: Any) -> str:
        """See `Serializer.serialize`."""
        return json.dumps({"error": str(data)} if isinstance(data, BaseException) else {"value": data})

    def deserialize(self, serialized_data: str) -> Any:
        """See `Serializer.deserialize`."""
        table = json.loads(serialized_data)
        return RuntimeError(table["error"]) if "error" in table else table["value"]

    def name(self) -> str:
        """See `Serializer.name`."""
        return "weighbridge_json"


class Jobs:
    """The workers of one process. `chores` are called now and then, by one process at a time where that matters."""

    def __init__(self, house: House, workflow: Workflow, workplace: Workplace, *, at_once: int = 1) -> None:
        self._house, self._workplace, self._at_once = house, workplace, at_once
        self._stop, self._wake = threading.Event(), threading.Event()
        self._lock = -1
        self._name = self._own_name()
        self._chores: list[tuple[float, float, Callable[[], object]]] = []
        database = house.database
        url = f"sqlite:///{house.folder}/jobs.sqlite" if database.is_sqlite else database.url
        DBOS(
            config={
                "name": "weighbridge", "system_database_url": url, "executor_id": self._name,
                "application_version": "1", "log_level": "ERROR", "serializer": _Json(),
            }
        )  # fmt: skip

        @DBOS.step(name="step", retries_allowed=True, interval_seconds=1, max_attempts=_ATTEMPTS, backoff_rate=3)
        def step(name: str, number: int, round_: int) -> str:
            return workflow.step(name, number, round_)

        @DBOS.workflow(name="case")
        def case(number: int, round_: int) -> str:
            for name in STEPS:
                try:
                    why = step(name, number, round_)
                except Exception as error:  # noqa: BLE001
                    # Nothing that happens to a case may let it through, or leave it without an answer.
                    _LOG.exception("case %d: %s", number, name)
                    why = f"{name}: {_words(error)}"
                if why:
                    house_fail(number, round_, why)
                    return why
            return ""

        house_fail = workflow.fail
        self._case = case

    def _own_name(self) -> str:
        """The same name after a restart, so that its own cases are taken up at once; another one for a second process."""
        self._lock = os.open(
            os.path.join(self._house.folder, "worker.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        host = socket.gethostname()[:60]
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return f"{host}-{os.getpid()}"
        return f"{host}-first"

    def every(self, seconds: float, chore: Callable[[], object]) -> None:
        """Call something again and again. Its failure is logged and does not end it."""
        self._chores.append((seconds, 0.0, chore))

    def start(self) -> None:
        """Begin to work, in threads."""
        self._workplace.open()
        DBOS.launch()
        DBOS.register_queue(_QUEUE, worker_concurrency=self._at_once, polling_interval_sec=_POLL)
        self._house.submit = lambda _number, _round: self._wake.set()
        threading.Thread(target=self._work, name="cases", daemon=True).start()
        threading.Thread(target=self._do_chores, name="chores", daemon=True).start()

    def stop(self) -> None:
        """End after the steps that are going on."""
        self._stop.set()
        self._wake.set()
        DBOS.destroy(workflow_completion_timeout_sec=2)
        self._workplace.close()
        os.close(self._lock)

    def _work(self) -> None:
        beat = 0.0
        while not self._stop.is_set():
            try:
                self._take_up()
                now = self._house.clock()
                if now - beat >= _BEAT:
                    beat = now
                    self._beat(now)
            except Exception:  # noqa: BLE001
                # The database may be away for a while; the loop outlives it.
                _LOG.exception("the worker goes on after")
                self._stop.wait(1.0)
            self._wake.wait(_POLL)
            self._wake.clear()

    def _take_up(self) -> None:
        r = tables.revisions
        waiting = select(r.c.id, r.c.round).where(r.c.state.in_(MOVING), r.c.submitted < r.c.round)
        with self._house.database.read() as connection:
            rows = connection.execute(waiting.order_by(r.c.id).limit(100)).all()
        for number, round_ in rows:
            # The name makes it one workflow, however many workers see the case wait.
            with SetWorkflowID(f"case-{number}-{round_}"):
                DBOS.enqueue_workflow(_QUEUE, self._case, number, round_)
            with self._house.database.write() as connection:
                connection.execute(update(r).where(r.c.id == number, r.c.round == round_).values(submitted=round_))

    def _beat(self, now: float) -> None:
        """Say that this worker lives, and take over from those that do not."""
        w = tables.workers
        with self._house.database.write() as connection:
            if not connection.execute(update(w).where(w.c.name == self._name).values(seen=now)).rowcount:
                connection.execute(insert(w).values(name=self._name, seen=now))
            lost = list(connection.scalars(select(w.c.name).where(w.c.seen < now - _LOST)))
        for name in lost:
            left = DBOS.list_workflows(status="PENDING", executor_id=name, load_input=False)
            if left:
                DBOS.resume_workflows([one.workflow_id for one in left])
            with self._house.database.write() as connection:
                connection.execute(delete(w).where(w.c.name == name, w.c.seen < now - _LOST))

    def _do_chores(self) -> None:
        """Beside the cases: a chore may take minutes, and a worker that does not say that it lives is replaced."""
        while not self._stop.is_set():
            now = self._house.clock()
            for at, (seconds, last, chore) in enumerate(self._chores):
                if now - last < seconds:
                    continue
                self._chores[at] = (seconds, now, chore)
                try:
                    chore()
                except WeighbridgeError as error:
                    _LOG.warning("%s (%s)", error.message, error.hint)
                except Exception:  # noqa: BLE001
                    _LOG.exception("a chore failed, and is done again")
            self._stop.wait(1.0)


def _words(error: Exception) -> str:
    last = getattr(error, "errors", None)
    return str(last[-1] if last else error).splitlines()[0][:500]
