"""Tests of the life of a client: its table, its waits, and a model that it is compared with."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.control.backoff import AGAIN, FIRST_LOGIN, Backoff
from relaykit.sansio.control.client_life import (
    ABORT_S,
    ACTIONS,
    ACTORS,
    CLOSE_S,
    DRAIN_S,
    STAND_BY_S,
    TRANSITIONS,
    ClientLife,
    LifeAction,
    LifeState,
    LifeStep,
)

ENDING = frozenset({LifeState.DRAINING, LifeState.CLOSING, LifeState.ABORTING})
RUNNING = frozenset(LifeState) - ENDING - {LifeState.STOPPED}


def make_life(*, login_fail_exit: bool = False) -> ClientLife:
    """A life whose waits are as long as they can be."""
    return ClientLife(Backoff(lambda: 0.0, login_fail_exit=login_fail_exit))


class TableTests(SynchronousTestCase):
    """What the table promises."""

    def test_complete(self) -> None:
        """Every state is reached and left, every step is made somewhere and by somebody."""
        self.assertEqual(set(TRANSITIONS.values()), set(LifeState))
        self.assertEqual({state for state, _ in TRANSITIONS}, set(LifeState))
        self.assertEqual({step for _, step in TRANSITIONS}, set(LifeStep))
        self.assertEqual(set(ACTORS), set(LifeStep))
        self.assertEqual({action for actions in ACTIONS.values() for action in actions}, set(LifeAction))

    def test_stopped_from_everywhere(self) -> None:
        """Whatever a client does, stopping it lets its flows end first."""
        for state in RUNNING:
            self.assertIs(TRANSITIONS[state, LifeStep.STOP], LifeState.DRAINING)
            self.assertIs(ACTIONS[state, LifeStep.STOP][-1], LifeAction.DRAIN)

    def test_a_login_is_cancelled_before_another(self) -> None:
        """No state in which a login is under way is left for another reason without cancelling it."""
        for state in (LifeState.CONNECTING, LifeState.ASKING):
            for step in (LifeStep.NETWORK_CHANGED, LifeStep.STOP):
                self.assertIs(ACTIONS[state, step][0], LifeAction.CANCEL)

    def test_every_wait_ends(self) -> None:
        """Where only time or the peer can help there is a timer."""
        timed = {state for state, step in TRANSITIONS if step is LifeStep.TIMER}
        self.assertEqual(timed, {LifeState.WAITING, LifeState.STANDING_BY, *ENDING})


class ClientLifeTests(SynchronousTestCase):
    """Tests for :class:`ClientLife`."""

    def connected(self) -> ClientLife:
        """A life that is logged in at 0."""
        life = make_life()
        life.start(0.0)
        life.logged_in("run", 0.0)
        life.events()
        return life

    def test_begins(self) -> None:
        """A client that is started dials at once; one that was not has nothing to tell."""
        life = make_life()
        self.assertEqual((life.since, life.next_wakeup(), life.events()), (None, None, []))
        life.start(5.0)
        self.assertEqual((life.since, life.events()), (5.0, [LifeAction.DIAL]))

    def test_login(self) -> None:
        """A login is told, and the run id that belongs to it; the first one of all is remembered."""
        life = self.connected()
        self.assertEqual((life.state, life.run_id, life.next_wakeup()), (LifeState.CONNECTED, "run", None))
        life.session_ended(1.0)
        life.wake(2.0)
        life.logged_in("other", 2.0)
        self.assertEqual((life.run_id, life.first_run_id, life.since), ("other", "run", 2.0))

    def test_waits(self) -> None:
        """Between attempts it waits, ever longer, and nothing happens before the time has come."""
        life = make_life()
        life.start(0.0)
        for expected in (2.0, 4.0, 8.0, 10.0, 10.0):
            life.events()
            life.login_failed(ValueError(), 0.0)
            self.assertEqual((life.next_try, life.next_wakeup()), (expected, expected))
            life.wake(expected - 0.1)
            self.assertEqual(life.events(), [])
            life.wake(expected)
            self.assertEqual(life.events(), [LifeAction.DIAL])
            self.assertIsNone(life.next_try)

    def test_short_session(self) -> None:
        """A session that is lost again and again soon is dialed ever more slowly."""
        life = self.connected()
        waits = []
        for _ in range(3):
            life.session_ended(0.0)
            waits.append(life.next_try)
            life.wake(100.0)
            life.logged_in("run", 0.0)
        self.assertEqual(waits, [AGAIN.first_s, 2 * AGAIN.first_s, 4 * AGAIN.first_s])

    def test_network_changed(self) -> None:
        """A session is probed, a login begun again, a wait cut short; the next waits are short again."""
        life = self.connected()
        life.network_changed(1.0)
        self.assertEqual(life.events(), [LifeAction.PROBE])
        life.session_ended(1.0)
        for _ in range(6):
            life.wake(1000.0)
            life.login_failed(ValueError(), 0.0)
        life.events()
        life.network_changed(1.0)
        self.assertEqual(life.events(), [LifeAction.DIAL])
        life.network_changed(1.0)
        self.assertEqual(life.events(), [LifeAction.CANCEL, LifeAction.DIAL])
        life.login_failed(ValueError(), 0.0)
        self.assertEqual(life.next_try, AGAIN.first_s)

    def test_twin(self) -> None:
        """Replaced by a twin it stands by under no run id, asks now and then, and takes nothing by force."""
        life = self.connected()
        life.session_ended(1.0, replaced=True)
        self.assertEqual((life.state, life.run_id), (LifeState.STANDING_BY, ""))
        for asked in range(3):
            self.assertEqual(life.next_try, (1.0 if asked == 0 else 0.0) + STAND_BY_S)
            life.wake(1.0 + STAND_BY_S)
            self.assertEqual(life.events(), [LifeAction.ASK])
            life.login_failed(ValueError(), 0.0)
            self.assertIs(life.state, LifeState.STANDING_BY)
        life.network_changed(2.0)
        life.network_changed(2.0)
        self.assertEqual(life.events(), [LifeAction.ASK, LifeAction.CANCEL, LifeAction.ASK])
        life.logged_in("free again", 3.0)
        self.assertEqual(life.events(), [LifeAction.SERVE])
        life.session_ended(4.0)
        self.assertIs(life.state, LifeState.WAITING)

    def test_renewed(self) -> None:
        """Beside a session another login begins; its failure changes nothing, nor does the session's end."""
        life = self.connected()
        life.renew(1.0)
        self.assertEqual(life.events(), [LifeAction.RENEW])
        life.network_changed(1.0)
        self.assertEqual(life.events(), [LifeAction.PROBE])
        life.login_failed(ValueError(), 2.0)
        self.assertEqual((life.state, life.events(), life.next_wakeup()), (LifeState.CONNECTED, [], None))
        life.renew(3.0)
        life.session_ended(4.0, replaced=True)
        self.assertEqual((life.state, life.run_id), (LifeState.CONNECTING, "run"))
        life.logged_in("other", 5.0)
        self.assertEqual(life.events(), [LifeAction.RENEW, LifeAction.SERVE])
        self.assertEqual((life.state, life.run_id, life.since), (LifeState.CONNECTED, "other", 5.0))

    def test_renewed_without_session(self) -> None:
        """Where there is no session, a login begins at once, in place of one that is under way."""
        life = make_life()
        life.start(0.0)
        life.renew(0.0)
        self.assertEqual(life.events(), [LifeAction.DIAL, LifeAction.CANCEL, LifeAction.DIAL])
        life.login_failed(ValueError(), 0.0)
        life.renew(0.0)
        self.assertEqual(life.events(), [LifeAction.DIAL])
        life.logged_in("run", 0.0)
        life.session_ended(1.0, replaced=True)
        life.events()
        life.renew(2.0)
        life.renew(2.0)
        self.assertEqual(life.events(), [LifeAction.ASK, LifeAction.CANCEL, LifeAction.ASK])

    def test_gives_up(self) -> None:
        """Where the first login must succeed, its failure is the end, until it is started again."""
        life = make_life(login_fail_exit=True)
        life.start(0.0)
        error = ValueError("no")
        life.login_failed(error, 1.0)
        self.assertEqual(life.events(), [LifeAction.DIAL, LifeAction.GIVE_UP])
        self.assertEqual((life.failure, life.next_wakeup()), (error, None))
        life.network_changed(2.0)
        self.assertEqual(life.events(), [])
        life.stop(3.0)
        life.drained(3.0)
        life.closed(3.0)
        life.start(4.0)
        self.assertIsNone(life.failure)
        self.assertEqual(life.events()[-2:], [LifeAction.FINISH, LifeAction.DIAL])

    def test_no_giving_up_later(self) -> None:
        """After the first login no failure is the end."""
        life = make_life(login_fail_exit=True)
        life.start(0.0)
        life.logged_in("run", 0.0)
        life.session_ended(1.0)
        life.wake(10.0)
        life.login_failed(ValueError(), 10.0)
        self.assertIs(life.state, LifeState.WAITING)

    def test_stops(self) -> None:
        """Flows may end first, then the session does, then there is nothing left."""
        life = self.connected()
        self.assertIsNone(life.cut_at)
        life.stop(0.0)
        self.assertEqual(life.events(), [LifeAction.WITHDRAW, LifeAction.DRAIN])
        self.assertEqual(life.cut_at, DRAIN_S)
        life.drained(1.0)
        self.assertIsNone(life.cut_at)
        self.assertEqual(life.events(), [LifeAction.CLOSE])
        life.closed(2.0)
        self.assertEqual(life.events(), [LifeAction.RELEASE, LifeAction.FINISH])
        self.assertIsNone(life.next_wakeup())

    def test_stop_is_bounded(self) -> None:
        """Flows that do not end are ended, a session that does not close is dropped."""
        life = self.connected()
        life.stop(0.0)
        life.events()
        life.wake(DRAIN_S)
        self.assertEqual(life.events(), [LifeAction.END_FLOWS, LifeAction.CLOSE])
        life.drained(DRAIN_S)
        self.assertEqual(life.events(), [])
        life.wake(DRAIN_S + CLOSE_S)
        self.assertEqual(life.events(), [LifeAction.END_FLOWS, LifeAction.ABORT])
        life.wake(DRAIN_S + CLOSE_S + ABORT_S)
        self.assertEqual(life.events(), [LifeAction.RELEASE, LifeAction.FINISH])
        self.assertEqual((life.state, life.next_wakeup()), (LifeState.STOPPED, None))

    def test_dropped(self) -> None:
        """What is gone once it was dropped is the end."""
        life = self.connected()
        life.stop(0.0)
        life.wake(DRAIN_S)
        life.wake(DRAIN_S + CLOSE_S)
        life.events()
        life.closed(DRAIN_S + CLOSE_S)
        self.assertEqual(life.events(), [LifeAction.RELEASE, LifeAction.FINISH])

    def test_stopped_already(self) -> None:
        """Stopping what does not run is no mistake, and over at once."""
        life = make_life()
        life.stop(0.0)
        self.assertEqual(life.events(), [LifeAction.FINISH])

    def test_starts_once(self) -> None:
        """A client that runs, or is still stopping, cannot be started."""
        life = self.connected()
        self.assertRaises(LocalProtocolError, life.start, 1.0)
        life.stop(1.0)
        self.assertRaises(LocalProtocolError, life.start, 1.0)

    def test_starts_again(self) -> None:
        """A client that was stopped can be started again, and its waits are short."""
        life = make_life()
        for _ in range(3):
            life.start(0.0)
            life.login_failed(ValueError(), 0.0)
            self.assertEqual(life.next_try, FIRST_LOGIN.first_s)
            life.stop(0.0)
            life.drained(0.0)
            life.closed(0.0)
            self.assertIs(life.state, LifeState.STOPPED)


class LifeMachine(RuleBasedStateMachine):
    """A client whose network, server, twin and owner do what they like, next to what it has to have.

    The model is what the driver owns: a login, a session, a drain, an end that is waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.life = make_life()
        self.login = False
        self.session = False
        self.stopping = False
        self.draining = False
        self.closing = False
        self.dropped = False

    def act(self) -> None:
        """Does what the life says, as a driver would, and checks that it can be done."""
        for action in self.life.events():
            if action in (LifeAction.DIAL, LifeAction.ASK):
                assert not (self.login or self.session or self.stopping)
                self.login = True
            elif action is LifeAction.RENEW:
                assert self.session
                assert not self.login
                self.login = True
            elif action is LifeAction.CANCEL:
                assert self.login
                self.login = False
            elif action in (LifeAction.SERVE, LifeAction.PROBE):
                assert self.session
                assert not self.stopping
            elif action is LifeAction.DRAIN:
                assert not self.login
                self.draining = True
            elif action is LifeAction.CLOSE:
                self.draining, self.closing = False, True
            elif action is LifeAction.ABORT:
                self.dropped = True
            elif action is LifeAction.FINISH:
                assert not (self.login or self.draining)
                assert self.dropped or not (self.session or self.closing)
                self.stopping = self.session = self.closing = self.dropped = False

    @precondition(lambda self: self.life.state is LifeState.STOPPED)
    @rule()
    def start(self) -> None:
        """The program starts it."""
        self.life.start(self.now)
        self.act()

    @rule()
    def stop(self) -> None:
        """The program stops it, perhaps twice."""
        self.stopping = True
        self.life.stop(self.now)
        self.act()

    @precondition(lambda self: self.login)
    @rule(works=st.booleans())
    def answer(self, works: bool) -> None:
        """The login ends."""
        self.login, self.session = False, works or self.session
        if works:
            self.life.logged_in("run", self.now)
        else:
            self.life.login_failed(ValueError(), self.now)
        self.act()

    @precondition(lambda self: self.session)
    @rule(replaced=st.booleans())
    def lose(self, replaced: bool) -> None:
        """The session ends by itself."""
        self.session = False
        self.life.session_ended(self.now, replaced=replaced)
        self.act()

    @rule()
    def change_network(self) -> None:
        """The way to the server may be another one."""
        self.life.network_changed(self.now)
        self.act()

    @rule()
    def renew(self) -> None:
        """The program wants another session."""
        self.life.renew(self.now)
        self.act()

    @precondition(lambda self: self.draining)
    @rule()
    def drain(self) -> None:
        """The last flow ends."""
        self.life.drained(self.now)
        self.act()

    @precondition(lambda self: self.closing)
    @rule()
    def close(self) -> None:
        """The session, where there is one, closes."""
        self.closing = self.dropped = False
        if self.session:
            self.session = False
            self.life.session_ended(self.now)
        self.life.closed(self.now)
        self.act()

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.life.wake(self.now)
        self.act()

    @invariant()
    def never_idle(self) -> None:
        """A client that runs has a login, a session or a time; one that does not has none of them."""
        busy = self.login or self.session or self.life.next_wakeup() is not None
        assert busy == (self.life.state is not LifeState.STOPPED)
        login_states = (LifeState.CONNECTING, LifeState.ASKING, LifeState.RENEWING)
        assert self.login == (self.life.state in login_states)
        assert self.stopping == (self.life.state in ENDING)


class LifeMachineTests(SynchronousTestCase):
    """The life against the model."""

    def test_model(self) -> None:
        """Whatever happens in whatever order, nothing is begun twice, left behind or forgotten."""
        run_state_machine_as_test(
            LifeMachine, settings=settings(max_examples=100, stateful_step_count=40, deadline=None)
        )
