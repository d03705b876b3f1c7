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
from relaykit.sansio.control.registration import (
    ANSWER_TIMEOUT_S,
    HANDOVER_S,
    RETRY_S,
    SOON_S,
    TRANSITIONS,
    UNANSWERED_KEPT,
    RegistrationAccepted,
    RegistrationDue,
    RegistrationRefused,
    Registrations,
    RegistrationState,
    RegistrationStep,
    WithdrawalDue,
)


def online(*names: str) -> Registrations:
    """A client that offers these and has just asked for them, at time 0."""
    registering = Registrations()
    for name in names:
        registering.add(name, 0.0)
    registering.session_started(0.0)
    registering.events()
    return registering


class RegisteringTests(SynchronousTestCase):
    """Proxies are registered, again where needed, and taken back."""

    def test_nothing_without_session(self) -> None:
        """Offers and withdrawals without a session cause nothing."""
        registering = Registrations()
        registering.add("web", 0.0)
        registering.add("ssh", 0.0)
        registering.withdraw("ssh")
        self.assertEqual(registering.events(), [])
        self.assertIsNone(registering.next_wakeup())

    def test_session_registers_all(self) -> None:
        """Every offered proxy is registered in every session, in the order of the offers."""
        registering = Registrations()
        registering.add("web", 0.0)
        registering.add("ssh", 0.0)
        for _ in range(2):
            registering.session_started(1.0)
            self.assertEqual(registering.events(), [RegistrationDue("web"), RegistrationDue("ssh")])
            registering.session_ended(50.0)
        self.assertEqual(registering.events(), [])

    def test_started_twice(self) -> None:
        """A session that has not ended cannot start again."""
        self.assertRaises(LocalProtocolError, online("web").session_started, 1.0)

    def test_offered_later(self) -> None:
        """A proxy that is offered during a session is registered at once, and only once."""
        registering = online()
        registering.add("web", 5.0)
        registering.add("web", 6.0)
        self.assertEqual(registering.events(), [RegistrationDue("web")])

    def test_accepted(self) -> None:
        """A yes is told, and nothing is due any more."""
        registering = online("web")
        registering.accepted("web", ":80", 21.0)
        self.assertEqual(registering.events(), [RegistrationAccepted("web", ":80")])
        self.assertEqual(registering.state("web"), RegistrationState.RUNNING)
        self.assertIsNone(registering.next_wakeup())

    def test_refused(self) -> None:
        """A no is told, and the proxy is registered again after 30 seconds."""
        registering = online("web")
        registering.refused("web", "port already used", 3.0)
        self.assertEqual(registering.events(), [RegistrationRefused("web", "port already used")])
        self.assertEqual(registering.next_wakeup(), 3.0 + RETRY_S)
        self.assertEqual((registering.next_try("web"), registering.next_try("other")), (3.0 + RETRY_S, None))
        registering.wake(3.0 + RETRY_S - 0.1)
        self.assertEqual(registering.events(), [])
        registering.wake(3.0 + RETRY_S)
        self.assertEqual(registering.events(), [RegistrationDue("web")])
        self.assertIsNone(registering.next_try("web"))

    def test_refused_after_a_handover(self) -> None:
        """Where the session took the place of another one, whose names may still be held, soon; then not."""
        registering = online("web")
        registering.session_ended(50.0)
        registering.session_started(10.0, replaces=True)
        registering.refused("web", "already exists", 10.1)
        self.assertEqual(registering.next_wakeup(), 10.1 + SOON_S)
        registering.wake(10.1 + SOON_S)
        registering.refused("web", "already exists", 10.0 + HANDOVER_S)
        self.assertEqual(registering.next_wakeup(), 10.0 + HANDOVER_S + RETRY_S)

    def test_no_answer(self) -> None:
        """Without an answer the proxy is registered again every 20 seconds."""
        registering = online("web")
        for turn in range(1, 4):
            self.assertEqual(registering.next_wakeup(), turn * ANSWER_TIMEOUT_S)
            registering.wake(turn * ANSWER_TIMEOUT_S)
            self.assertEqual(registering.events(), [RegistrationDue("web")])

    def test_late_yes(self) -> None:
        """The first of two answers counts: a late yes is not undone by "already exists"."""
        registering = online("web")
        registering.wake(ANSWER_TIMEOUT_S)
        registering.events()
        registering.accepted("web", ":80", 21.0)
        registering.refused("web", "proxy [web] already exists", 21.0)
        self.assertEqual(registering.events(), [RegistrationAccepted("web", ":80")])
        self.assertEqual(registering.state("web"), RegistrationState.RUNNING)

    def test_yes_after_no(self) -> None:
        """Of two answers a yes wins, in whichever order they come: the proxy runs on the server."""
        registering = online("web")
        registering.wake(ANSWER_TIMEOUT_S)
        registering.events()
        registering.refused("web", "port already used", 21.0)
        registering.accepted("web", ":80", 21.0)
        self.assertEqual(
            registering.events(),
            [RegistrationRefused("web", "port already used"), RegistrationAccepted("web", ":80")],
        )
        self.assertIsNone(registering.next_wakeup())

    def test_withdraw_with_an_answer_due(self) -> None:
        """What was refused is taken back on the server where a second request may yet succeed."""
        registering = online("web")
        registering.wake(ANSWER_TIMEOUT_S)
        registering.refused("web", "port already used", 21.0)
        registering.events()
        registering.withdraw("web")
        self.assertEqual(registering.events(), [WithdrawalDue("web")])

    def test_answer_to_an_earlier_offer(self) -> None:
        """The answer to what was taken back is not taken for the answer to the new offer."""
        registering = online("web")
        registering.withdraw("web")
        registering.add("web", 1.0)
        self.assertEqual(registering.events(), [WithdrawalDue("web"), RegistrationDue("web")])
        registering.accepted("web", ":80", 21.0)
        self.assertEqual(registering.events(), [])
        registering.refused("web", "port not allowed", 2.0)
        self.assertEqual(registering.events(), [RegistrationRefused("web", "port not allowed")])

    def test_withdraw(self) -> None:
        """What runs or may run on the server is taken back there; what was refused is only forgotten."""
        registering = online("waiting", "running", "refused")
        registering.accepted("running", "", 21.0)
        registering.refused("refused", "no", 0.0)
        registering.events()
        for name in ("waiting", "running", "refused", "unknown"):
            registering.withdraw(name)
        self.assertEqual(registering.events(), [WithdrawalDue("waiting"), WithdrawalDue("running")])
        self.assertEqual(list(registering), [])
        self.assertIsNone(registering.next_wakeup())

    def test_answers_that_nobody_waits_for(self) -> None:
        """Answers for unknown names, or without a request, are ignored."""
        registering = online("web")
        registering.accepted("mail", ":25", 21.0)
        registering.accepted("web", ":80", 21.0)
        registering.accepted("web", ":81", 21.0)
        self.assertEqual(registering.events(), [RegistrationAccepted("web", ":80")])

    def test_answers_of_the_last_session(self) -> None:
        """A new session counts answers anew."""
        registering = online("web")
        registering.session_ended(50.0)
        self.assertEqual(registering.state("web"), RegistrationState.OFFLINE)
        registering.session_started(100.0)
        registering.events()
        registering.accepted("web", ":80", 21.0)
        self.assertEqual(registering.events(), [RegistrationAccepted("web", ":80")])

    def test_since(self) -> None:
        """Each state has a time from which on it holds; what changes nothing does not change that."""
        registering = Registrations()
        registering.add("web", 1.0)
        self.assertEqual((registering.since("web"), registering.since("mail")), (1.0, None))
        registering.session_started(2.0)
        self.assertEqual(registering.since("web"), 2.0)
        registering.wake(2.0 + ANSWER_TIMEOUT_S)
        self.assertEqual(registering.since("web"), 2.0)
        registering.accepted("web", ":80", 40.0)
        self.assertEqual(registering.since("web"), 40.0)
        registering.session_ended(50.0)
        self.assertEqual(registering.since("web"), 50.0)

    def test_bounded(self) -> None:
        """A server that never answers makes nothing grow."""
        registering = online("web")
        for turn in range(1, 100):
            registering.wake(turn * ANSWER_TIMEOUT_S)
        self.assertEqual(len(registering._unanswered["web"]), UNANSWERED_KEPT)

    def test_table_is_whole(self) -> None:
        """Every state but offline ends with the session, and every state is reached."""
        for state in RegistrationState:
            if state is not RegistrationState.OFFLINE:
                self.assertEqual(
                    TRANSITIONS[state, RegistrationStep.SESSION_ENDED], RegistrationState.OFFLINE
                )
        self.assertEqual(set(TRANSITIONS.values()), set(RegistrationState))


NAMES = st.sampled_from(["web", "ssh", "dns"])


class RegisteringModel(RuleBasedStateMachine):
    """A client against a server that answers in order, sometimes late, never wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.core = Registrations()
        self.online = False
        self.offered: set[str] = set()
        self.told_running: set[str] = set()
        self.requests: list[tuple[str, bool]] = []
        self.on_server: set[str] = set()

    def settle(self) -> None:
        """Acts on the events as client and network do."""
        for event in self.core.events():
            match event:
                case RegistrationDue(name):
                    assert self.online and name in self.offered
                    self.requests.append((name, True))
                case WithdrawalDue(name):
                    assert self.online
                    self.requests.append((name, False))
                    self.told_running.discard(name)
                case RegistrationAccepted(name, _):
                    self.told_running.add(name)

    @rule(name=NAMES)
    def offer(self, name: str) -> None:
        """A proxy appears in the configuration."""
        self.offered.add(name)
        self.core.add(name, self.now)
        self.settle()

    @rule(name=NAMES)
    def withdraw(self, name: str) -> None:
        """A proxy disappears from the configuration."""
        self.offered.discard(name)
        self.core.withdraw(name)
        self.settle()

    @precondition(lambda self: not self.online)
    @rule()
    def login(self) -> None:
        """A session begins."""
        self.online = True
        self.core.session_started(self.now)
        self.settle()

    @precondition(lambda self: self.online)
    @rule()
    def lose(self) -> None:
        """The session ends, with all that was on its way."""
        self.online = False
        self.core.session_ended(self.now)
        self.requests.clear()
        self.on_server.clear()
        self.told_running.clear()
        self.settle()

    @precondition(lambda self: self.requests)
    @rule(willing=st.booleans())
    def serve(self, willing: bool) -> None:
        """The server takes the oldest request."""
        name, wanted = self.requests.pop(0)
        if not wanted:
            self.on_server.discard(name)
        elif name in self.on_server or not willing:
            self.core.refused(name, "no", self.now)
        else:
            self.on_server.add(name)
            self.core.accepted(name, ":1", self.now)
        self.settle()

    @rule(seconds=st.sampled_from([1.0, 19.0, 20.0, 30.0]))
    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.core.wake(self.now)
        self.settle()

    @invariant()
    def offers_are_followed(self) -> None:
        """The core knows exactly what is offered, and nobody runs offline."""
        states = dict(self.core)
        assert set(states) == self.offered
        for state in states.values():
            assert (state is RegistrationState.OFFLINE) == (not self.online)

    @invariant()
    def running_is_true(self) -> None:
        """Once every request is served, what was told to run is what runs on the server."""
        if self.online and not self.requests:
            assert self.on_server == {name for name, state in self.core if state is RegistrationState.RUNNING}
            assert self.told_running == self.on_server


class RegisteringModelTests(SynchronousTestCase):
    """Registrations agree with a server that answers in order."""

    def test_model(self) -> None:
        """Whatever happens in whatever order, client and server agree once all is answered."""
        run_state_machine_as_test(
            RegisteringModel, settings=settings(max_examples=50, stateful_step_count=40, deadline=None)
        )
