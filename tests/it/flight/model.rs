//! Random programs on a `SingleFlight`, each step compared with a list of flights and their lines.

use latchwork::{
    SingleFlight,
    flight::{Leader, Role},
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::Hand;

const KEYS: u8 = 3;

type Flights = SingleFlight<u8, u64>;
type Lead = Leader<u8, u64>;

#[derive(Clone, Debug)]
enum Op {
    /// Asks, and is polled once.
    Ask(u8),
    Poll(Index),
    PollElsewhere(Index),
    PollWoken(Index),
    GiveUp(Index),
    Finish(Index),
    Abort(Index),
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    prop_oneof![
        6 => (0..KEYS).prop_map(Op::Ask),
        2 => index().prop_map(Op::Poll),
        1 => index().prop_map(Op::PollElsewhere),
        3 => index().prop_map(Op::PollWoken),
        2 => index().prop_map(Op::GiveUp),
        2 => index().prop_map(Op::Finish),
        2 => index().prop_map(Op::Abort),
    ]
}

/// A call that joined flight `number`.
struct Waiter<F> {
    hand: Hand<F>,
    number: usize,
    id: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Led,
    /// Aborted, and calls wait for the lead.
    Free,
    Landed(u64),
    /// Aborted, and nobody waits.
    Gone,
}

/// From its first leader until there is a value.
struct Course {
    key: u8,
    state: State,
    /// The waiters, in the order in which they came.
    line: Vec<usize>,
}

/// What is to be seen. The place of a flight in the list is its number.
#[derive(Default)]
struct Reference {
    flights: Vec<Course>,
    led: u64,
    joined: u64,
    aborted: u64,
}

/// What a call must get.
#[derive(PartialEq, Eq, Debug)]
enum Expected {
    Leads,
    Waits,
    /// A newcomer while the lead is free: it may take it, or must let others go first.
    LeadsOrWaits,
    Gets(u64),
}

impl Reference {
    /// A newcomer looks: on which flight it is, and what it must get.
    fn ask(&mut self, key: u8) -> (usize, Expected) {
        let under_way =
            |flight: &Course| flight.key == key && matches!(flight.state, State::Led | State::Free);
        match self.flights.iter().position(under_way) {
            Some(number) if self.flights[number].state == State::Led => (number, Expected::Waits),
            Some(number) => (number, Expected::LeadsOrWaits),
            None => {
                self.flights.push(Course { key, state: State::Gone, line: Vec::new() });
                (self.flights.len() - 1, Expected::Leads)
            }
        }
    }

    /// A call that is on a flight looks.
    fn look(&self, number: usize, id: usize) -> Expected {
        let Course { state, ref line, .. } = self.flights[number];
        match state {
            State::Landed(value) => Expected::Gets(value),
            State::Free if line[0] == id => Expected::Leads,
            State::Free | State::Led => Expected::Waits,
            State::Gone => panic!("it is on it"),
        }
    }

    fn leads(&mut self, number: usize, id: usize) {
        let flight = &mut self.flights[number];
        assert!(!matches!(flight.state, State::Led | State::Landed(_)), "two lead");
        flight.state = State::Led;
        flight.line.retain(|own| *own != id);
        self.led += 1;
    }

    fn leaves(&mut self, number: usize, id: usize) {
        let flight = &mut self.flights[number];
        flight.line.retain(|own| *own != id);
        if flight.state == State::Free && flight.line.is_empty() {
            flight.state = State::Gone;
        }
    }

    fn aborts(&mut self, number: usize) {
        let flight = &mut self.flights[number];
        flight.state = if flight.line.is_empty() { State::Gone } else { State::Free };
        self.aborted += 1;
    }
}

fn run(program: &[Op]) {
    let flights = Flights::new();
    let mut reference = Reference::default();
    // Each with the number of its flight.
    let mut leads: Vec<(usize, Lead)> = Vec::new();
    let mut waiters = Vec::new();
    let mut values = 0;

    for (id, op) in program.iter().enumerate() {
        let mut asks = None;
        let woken = |waiters: &[Waiter<_>]| waiters.iter().map(|waiter| waiter.hand.wakes()).sum::<usize>();
        match op {
            Op::Ask(key) => {
                let (number, expected) = reference.ask(*key);
                let hand = Hand::new(flights.join(*key));
                asks = Some((Waiter { hand, number, id }, expected, true));
            }
            Op::Poll(at) | Op::PollElsewhere(at) | Op::PollWoken(at) if !waiters.is_empty() => {
                let at = at.index(waiters.len());
                let waiter: &mut Waiter<_> = &mut waiters[at];
                if matches!(op, Op::PollElsewhere(_)) {
                    waiter.hand.change_task();
                }
                if waiter.hand.is_woken() || !matches!(op, Op::PollWoken(_)) {
                    let waiter = waiters.swap_remove(at);
                    let expected = reference.look(waiter.number, waiter.id);
                    asks = Some((waiter, expected, false));
                }
            }
            Op::GiveUp(at) if !waiters.is_empty() => {
                let Waiter { hand, number, id } = waiters.swap_remove(at.index(waiters.len()));
                let before = woken(&waiters);
                drop(hand);
                reference.leaves(number, id);
                assert!(woken(&waiters) - before <= 1, "it passes one notification on");
            }
            Op::Finish(at) if !leads.is_empty() => {
                let (number, lead) = leads.swap_remove(at.index(leads.len()));
                values += 1;
                assert_eq!(lead.finish(values), values);
                reference.flights[number].state = State::Landed(values);
            }
            Op::Abort(at) if !leads.is_empty() => {
                let (number, lead) = leads.swap_remove(at.index(leads.len()));
                let before = woken(&waiters);
                drop(lead);
                reference.aborts(number);
                assert!(woken(&waiters) - before <= 1, "one is notified, the others stay joined");
            }
            _ => {}
        }
        if let Some((mut waiter, expected, is_new)) = asks {
            let Waiter { number, id, .. } = waiter;
            match (waiter.hand.poll(), expected) {
                (Some(Role::Leader(lead)), Expected::Leads | Expected::LeadsOrWaits) => {
                    reference.leads(number, id);
                    leads.push((number, lead));
                }
                (Some(Role::Joined(value)), Expected::Gets(wanted)) => {
                    assert_eq!(value, wanted);
                    reference.leaves(number, id);
                }
                (None, Expected::Waits | Expected::LeadsOrWaits) => {
                    if is_new {
                        reference.joined += 1;
                        reference.flights[number].line.push(id);
                    }
                    waiters.push(waiter);
                }
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
        for waiter in &waiters {
            let Course { state, ref line, .. } = reference.flights[waiter.number];
            match state {
                State::Landed(_) => assert!(waiter.hand.is_woken(), "there is a value"),
                State::Free if line[0] == waiter.id => assert!(waiter.hand.is_woken(), "it is its turn"),
                _ => {}
            }
        }
        let counts = flights.counts();
        let under_way = |flight: &&Course| matches!(flight.state, State::Led | State::Free);
        assert_eq!(counts.under_way, reference.flights.iter().filter(under_way).count());
        assert_eq!(
            (counts.flights, counts.joined, counts.aborted),
            (reference.led, reference.joined, reference.aborted)
        );
    }

    // All that are left come through, in their order.
    for (number, lead) in leads {
        drop(lead);
        reference.aborts(number);
    }
    waiters.sort_by_key(|waiter| waiter.id);
    for mut waiter in waiters {
        assert!(waiter.hand.is_woken());
        let state = &mut reference.flights[waiter.number].state;
        match waiter.hand.poll().expect("nobody leads any more") {
            Role::Leader(lead) => {
                assert_eq!((*state, lead.finish(0)), (State::Free, 0));
                *state = State::Landed(0);
            }
            Role::Joined(value) => assert_eq!(*state, State::Landed(value)),
        }
    }
    assert!(flights.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flights_are_led_one_after_the_other_in_the_order_of_their_lines(program in vec(op(), 0..60)) {
        run(&program);
    }
}
