"""PostgreSQL as a store: roles, locks, cuts, rewinds. Names say what is prevented."""

from __future__ import annotations

import threading

import psycopg
import pytest

from reconciler.clock import ManualClock, SystemClock
from reconciler.errors import StateDamaged, StateError, StoreUnavailable
from reconciler.state import events as ev
from reconciler.state.frames import parse, seal
from reconciler.state.journal import Journal, create
from reconciler.state.placing import HeadMoved
from reconciler.state.stores.interface import Unknown
from reconciler.state.stores.urls import open_store
from support.postgres import OWNER, PASSWORD
from support.tcp import Cutter

SAID = [ev.Recovered("-", 0, "0" * 64)]
OPENED = []


def open_at(url):
    store = open_store(url)
    OPENED.append(store)
    return store


@pytest.fixture(autouse=True)
def every_store_is_closed():
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def database(postgres):
    return postgres.create_database()


@pytest.fixture
def url(postgres, database):
    return postgres.url(database)


@pytest.fixture
def journal(url, clock):
    made = create(open_at(url), clock)
    yield made
    made.store.close()


@pytest.fixture
def sql(postgres, database):
    with postgres.connect(database) as connection:
        yield connection.execute


def test_tables_are_made_by_init_and_a_database_without_them_reads_as_empty(url, clock):
    store = open_at(url)
    assert not store.exists()
    assert list(store.read(0)) == []
    create(store, clock)
    assert open_at(url).exists()
    with pytest.raises(StateError, match="exists already"):
        create(open_at(url), clock)


def test_eight_inits_at_once_make_one_log(url):
    outcomes = []

    def init():
        try:
            outcomes.append(create(open_at(url), SystemClock()).head)
        except StateError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=init) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert sum("exists already" in each for each in outcomes) == 7, outcomes


@pytest.mark.fault(21)
def test_the_documented_role_can_append_and_neither_change_nor_take_back(journal, postgres, database, sql, clock):
    sql("CREATE ROLE runner LOGIN PASSWORD 'runner'")
    try:
        sql("GRANT SELECT, INSERT ON reconciler_frame TO runner")
        sql("GRANT SELECT, UPDATE ON reconciler_head TO runner")
        url = postgres.url(database, user="runner", password="runner")
        mine = Journal(open_at(url), clock)
        mine.load()
        mine.append("", SAID)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (
                "UPDATE reconciler_frame SET line = ''",
                "DELETE FROM reconciler_frame",
                "TRUNCATE reconciler_frame",
                "DELETE FROM reconciler_head",
                "UPDATE reconciler_head SET position = 1",
                "UPDATE reconciler_head SET position = position + 2",
                "UPDATE reconciler_head SET log = 'x'",
                "DROP TABLE reconciler_frame",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        journal.catch_up()
        assert journal.position == 2
        mine.store.close()
    finally:
        sql("DROP OWNED BY runner")
        sql("DROP ROLE runner")


@pytest.mark.fault(21)
def test_even_the_owner_cannot_change_or_take_back_a_frame(journal, sql):
    for statement in (
        "UPDATE reconciler_frame SET line = ''",
        "DELETE FROM reconciler_frame",
        "TRUNCATE reconciler_frame",
        "TRUNCATE reconciler_head",
        "UPDATE reconciler_head SET position = 0",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            sql(statement)
    journal.append("", SAID)


@pytest.mark.fault(21)
def test_a_role_that_may_only_read_plans_and_is_told_what_it_lacks_when_it_writes(
    journal, postgres, database, sql, clock
):
    sql("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    try:
        sql("GRANT SELECT ON reconciler_frame, reconciler_head TO reader")
        mine = Journal(open_at(postgres.url(database, user="reader", password="reader")), clock)
        assert mine.load().position == 1
        with pytest.raises(StoreUnavailable) as refused:
            mine.append("", SAID)
        assert "SELECT and INSERT on reconciler_frame" in refused.value.hint
        assert clock.slept == [], "not tried again"
        mine.store.close()
    finally:
        sql("DROP OWNED BY reader")
        sql("DROP ROLE reader")


@pytest.mark.fault(21)
def test_somebody_who_sits_on_the_head_row_does_not_hold_us_for_ever(journal, postgres, database, monkeypatch):
    from reconciler.state.stores import postgres as module  # noqa: PLC0415 - only for its constant

    monkeypatch.setattr(module, "_BEGIN", module._BEGIN.replace("10s", "50ms"))
    with postgres.connect(database) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM reconciler_head FOR UPDATE")
        _, _, digest = journal.head.partition(":")
        line = seal(2, digest, "n", "2026-11-22T12:00:00.000Z", "", SAID).line
        outcome = journal.store.append(line, 2)
        assert isinstance(outcome, Unknown)
        assert outcome.retry
        assert "lock timeout" in outcome.error.message
        other.execute("ROLLBACK")
    journal.append("", SAID)


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    "setting", ["synchronous_commit = off", "default_transaction_isolation = serializable", "lock_timeout = 1"]
)
def test_the_defaults_of_a_role_do_not_matter(journal, url, sql, clock, setting):
    sql(f"ALTER ROLE {OWNER} SET {setting}")
    try:
        mine = Journal(open_at(url), clock)
        mine.load()
        mine.append("", SAID)
        mine.store.close()
    finally:
        sql(f"ALTER ROLE {OWNER} RESET ALL")
    journal.catch_up()
    assert journal.position == 2


@pytest.mark.fault(21)
def test_a_server_that_takes_no_writes_is_said_to_be_read_only(journal, url, sql, clock):
    sql(f"ALTER ROLE {OWNER} SET default_transaction_read_only = on")
    try:
        mine = Journal(open_at(url), clock)
        mine.load()
        with pytest.raises(StoreUnavailable) as refused:
            mine.append("", SAID)
        assert "primary" in refused.value.hint
        mine.store.close()
    finally:
        sql(f"SET default_transaction_read_only = off; ALTER ROLE {OWNER} RESET ALL")


@pytest.mark.fault(20)
def test_a_server_that_went_backwards_is_noticed(journal, sql, clock):
    for _ in range(4):
        journal.append("", SAID)
    sql("ALTER TABLE reconciler_frame DISABLE TRIGGER USER; ALTER TABLE reconciler_head DISABLE TRIGGER USER")
    sql("UPDATE reconciler_head SET position = 3, hash = 'x'")
    sql("DELETE FROM reconciler_frame WHERE position > 3")
    with pytest.raises(StateDamaged, match="went backwards"):
        journal.catch_up()
    with pytest.raises(StateDamaged, match="went backwards"):
        journal.append("", SAID)


@pytest.mark.fault(20)
def test_a_row_that_is_gone_is_a_hole_and_no_end(journal, url, sql, clock):
    for _ in range(4):
        journal.append("", SAID)
    sql("ALTER TABLE reconciler_frame DISABLE TRIGGER USER")
    for position in (5, 3):
        sql(f"DELETE FROM reconciler_frame WHERE position = {position}")
        with pytest.raises(StateDamaged, match=f"frame {position} is missing"):
            Journal(open_at(url), clock).load()


def test_logs_of_one_database_do_not_mix(url, clock):
    logs = [create(open_at(f"{url}?log={name}"), clock) for name in ("a", "b", "a.b-c_1")]
    logs[0].append("", SAID)
    assert [Journal(log.store, clock).load().position for log in logs] == [2, 1, 1]
    assert len({log.fold.lineage for log in logs}) == 3


@pytest.mark.fault(20)
@pytest.mark.parametrize("mode", ["cut before", "cut after", "swallow"])
def test_a_connection_cut_around_the_commit_neither_loses_nor_doubles_a_frame(postgres, database, mode, cases):
    create(open_at(postgres.url(database)), SystemClock())
    clock, heads = ManualClock(), []
    for _ in range(5):
        with Cutter(postgres.port, b"COMMIT", mode) as cutter:
            mine = Journal(open_at(postgres.url(database, port=cutter.port)), clock)
            mine.load()
            mine.append("", SAID)
            heads.append(mine.head)
            mine.store.close()
            assert cutter.hits == 1
    reader = Journal(open_at(postgres.url(database)), clock)
    reader.load()
    assert reader.position == 6
    for head in heads:
        reader.check_head(head)
    cases(5)


@pytest.mark.fault(20)
def test_connections_cut_by_the_server_in_the_middle_of_appends_lose_nothing(postgres, database, cases):
    create(open_at(postgres.url(database)), SystemClock())
    acknowledged, stop = [], threading.Event()

    def write():
        mine = Journal(open_at(postgres.url(database)), SystemClock())
        while not stop.is_set():
            try:
                mine.catch_up()
                mine.append("", SAID)
            except HeadMoved:
                continue
            except StoreUnavailable:
                continue
            acknowledged.append(mine.head)
        mine.store.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    cut = 0
    while cut < 20:
        cut += postgres.terminate_backends()
    stop.set()
    for thread in threads:
        thread.join()
    reader = Journal(open_at(postgres.url(database)), SystemClock())
    reader.load()
    assert len(acknowledged) == len(set(acknowledged))
    hashes = {f"{frame.position}:{frame.hash}" for frame in _frames(reader)}
    assert hashes >= set(acknowledged)
    assert reader.position >= len(acknowledged) + 1
    cases(cut)


def _frames(journal):
    from reconciler.state.chain import walk  # noqa: PLC0415 - only here

    return list(walk(journal.store.read(0)))


def test_the_password_is_shown_nowhere(postgres, database, clock):
    store = open_at(postgres.url(database))
    said = [store.url, store.address(), repr(store)]
    for broken in (
        postgres.url("no_such_database"),
        postgres.url(database, user="nobody-at-all"),
        postgres.url(database, password=PASSWORD + "x"),
        postgres.url(database, port=1),
    ):
        with pytest.raises(StoreUnavailable) as failed:
            open_at(broken).exists()
        said += [failed.value.message, failed.value.hint, repr(failed.value), str(failed.value.__cause__)]
    assert all(PASSWORD not in each for each in said)
    assert any("create the database" in each for each in said)
    assert any("password is wrong" in each for each in said)


@pytest.mark.fault(20)
@pytest.mark.parametrize("length", [3, 5, 7])
def test_a_server_that_went_backwards_and_on_again_is_never_written(journal, url, sql, clock, length):
    """Restored at 2, and another run wrote there: what this one knew of is not continued."""
    journal.append("", SAID)
    kept = list(journal.store.read(0))
    for _ in range(3):
        journal.append("", SAID)
    sql("ALTER TABLE reconciler_frame DISABLE TRIGGER USER; ALTER TABLE reconciler_head DISABLE TRIGGER USER")
    sql("DELETE FROM reconciler_frame WHERE position > 2")
    sql(f"UPDATE reconciler_head SET position = 2, hash = '{parse(kept[-1]).hash}'")
    other = Journal(open_at(url), clock)
    other.load()
    while other.position < length:
        other.append("", SAID)
    before = list(open_at(url).read(0))
    with pytest.raises((StateError, HeadMoved)):
        journal.append("", SAID)
    with pytest.raises(StateDamaged):
        journal.check_head("5:" + "0" * 64)
    assert list(open_at(url).read(0)) == before


@pytest.mark.fault(21)
def test_a_commit_waits_for_the_disk_whatever_the_role_has_as_a_default(journal, url, sql, clock):
    sql("CREATE TABLE seen (name text, value text)")
    sql(
        "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen SELECT name, "
        "current_setting(name) FROM unnest(ARRAY['synchronous_commit', 'transaction_isolation', 'lock_timeout', "
        "'statement_timeout']) name; RETURN NEW; END $$"
    )
    sql("CREATE TRIGGER look AFTER INSERT ON reconciler_frame FOR EACH ROW EXECUTE FUNCTION look()")
    sql(f"ALTER ROLE {OWNER} SET synchronous_commit = off")
    sql(f"ALTER ROLE {OWNER} SET default_transaction_isolation = 'repeatable read'")
    try:
        mine = Journal(open_at(url), clock)
        mine.load()
        mine.append("", SAID)
    finally:
        sql(f"ALTER ROLE {OWNER} RESET ALL")
    assert dict(sql("SELECT * FROM seen").fetchall()) == {
        "synchronous_commit": "on",
        "transaction_isolation": "read committed",
        "lock_timeout": "10s",
        "statement_timeout": "25s",
    }


@pytest.mark.fault(21)
def test_nothing_is_left_on_a_connection_that_a_pooler_gives_to_others(journal):
    for _ in range(12):
        journal.append("", SAID)
        journal.catch_up()
    connection = journal.store._connection
    assert connection.execute("SELECT name FROM pg_prepared_statements").fetchall() == []
    assert connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'").fetchall() == []
    assert connection.execute(
        "SELECT current_setting('synchronous_commit'), current_setting('lock_timeout')"
    ).fetchone() == (
        "on",
        "0",
    )
    assert connection.info.transaction_status.name == "IDLE"


def test_the_probe_leaves_nothing_behind(url, sql):
    open_at(url).probe()
    open_at(url).probe()
    assert sql(
        "SELECT (SELECT count(*) FROM reconciler_frame) + (SELECT count(*) FROM reconciler_head)"
    ).fetchone() == (0,)


def test_the_bytes_are_stored_as_they_are(journal, sql, clock):
    journal.append("", [ev.Recovered("é \\ \x00 \n 😀 \\x41", 0, "0" * 64)])
    stored = [bytes(line) for (line,) in sql("SELECT line FROM reconciler_frame ORDER BY position").fetchall()]
    assert stored == list(journal.store.read(0))
    assert b"".join(stored).count(b"\n") == 2
