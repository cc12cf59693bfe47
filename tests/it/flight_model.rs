//! Random programs on a `SingleFlight`, each step compared with a list of who is on which flight.

use std::sync::Arc;

use latchwork::{OwnedLeader, Role, SingleFlight};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::Hand;

const KEYS: u8 = 3;

type Flights = SingleFlight<u8, u64>;
type Lead = OwnedLeader<u8, u64>;

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

/// One who joined flight `number` of its key.
struct Waiter<F> {
    hand: Hand<F>,
    key: u8,
    number: usize,
}

/// What became of a flight; its place in the list is its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    UnderWay,
    Landed(u64),
    Aborted,
}

/// What is to be seen.
struct Reference {
    flights: Vec<(u8, State)>,
    joined: u64,
}

/// What a call must come to.
#[derive(PartialEq, Eq, Debug)]
enum Expected {
    Leads,
    Waits(usize),
    Gets(u64),
}

impl Reference {
    /// One who is on no flight of `key` looks.
    fn ask(&mut self, key: u8) -> Expected {
        match self.flights.iter().position(|flight| *flight == (key, State::UnderWay)) {
            Some(number) => {
                self.joined += 1;
                Expected::Waits(number)
            }
            None => {
                self.flights.push((key, State::UnderWay));
                Expected::Leads
            }
        }
    }

    /// One who is on a flight looks.
    fn look(&mut self, number: usize) -> Expected {
        match self.flights[number] {
            (_, State::UnderWay) => Expected::Waits(number),
            (_, State::Landed(value)) => Expected::Gets(value),
            (key, State::Aborted) => self.ask(key),
        }
    }

    fn count(&self, state: State) -> usize {
        self.flights.iter().filter(|flight| flight.1 == state).count()
    }
}

fn run(program: &[Op]) {
    let flights = Arc::new(Flights::new());
    let mut reference = Reference { flights: Vec::new(), joined: 0 };
    // Each with the number of its flight.
    let mut leads: Vec<(usize, Lead)> = Vec::new();
    let mut waiters = Vec::new();
    let mut values = 0;

    for op in program {
        let mut hand = None;
        match op {
            Op::Ask(key) => {
                let expected = reference.ask(*key);
                hand = Some((Hand::new(flights.join_owned(*key)), *key, expected));
            }
            Op::Poll(at) | Op::PollElsewhere(at) | Op::PollWoken(at) if !waiters.is_empty() => {
                let at = at.index(waiters.len());
                let waiter: &mut Waiter<_> = &mut waiters[at];
                let is_over = reference.flights[waiter.number].1 != State::UnderWay;
                assert_eq!(waiter.hand.is_woken(), is_over, "told when, and only when, its flight is over");
                if matches!(op, Op::PollElsewhere(_)) {
                    waiter.hand.change_task();
                }
                if is_over || !matches!(op, Op::PollWoken(_)) {
                    let Waiter { hand: own, key, number } = waiters.swap_remove(at);
                    hand = Some((own, key, reference.look(number)));
                }
            }
            Op::GiveUp(at) if !waiters.is_empty() => drop(waiters.swap_remove(at.index(waiters.len()))),
            Op::Finish(at) if !leads.is_empty() => {
                let (number, lead) = leads.swap_remove(at.index(leads.len()));
                values += 1;
                assert_eq!(lead.finish(values), values);
                reference.flights[number].1 = State::Landed(values);
            }
            Op::Abort(at) if !leads.is_empty() => {
                let (number, lead) = leads.swap_remove(at.index(leads.len()));
                drop(lead);
                reference.flights[number].1 = State::Aborted;
            }
            _ => {}
        }
        if let Some((mut hand, key, expected)) = hand {
            match (hand.poll(), expected) {
                (Some(Role::Leader(lead)), Expected::Leads) => {
                    leads.push((reference.flights.len() - 1, lead));
                }
                (Some(Role::Joined(value)), Expected::Gets(wanted)) => assert_eq!(value, wanted),
                (None, Expected::Waits(number)) => waiters.push(Waiter { hand, key, number }),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
        let stats = flights.stats();
        assert_eq!(stats.under_way, leads.len());
        assert_eq!(stats.flights, reference.flights.len() as u64);
        assert_eq!(stats.joined, reference.joined);
        assert_eq!(stats.aborted, reference.count(State::Aborted) as u64);
    }

    // All who are left come through, whoever leads.
    leads.clear();
    for mut waiter in waiters {
        assert!(waiter.hand.is_woken());
        match waiter.hand.poll().expect("its flight is over, and no other is under way") {
            Role::Leader(lead) => assert_eq!(lead.finish(0), 0),
            Role::Joined(value) => {
                assert_eq!(reference.flights[waiter.number].1, State::Landed(value));
            }
        }
    }
    assert!(flights.is_empty());
    assert_eq!(Arc::strong_count(&flights), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_single_flight_is_a_list_of_who_is_on_which(program in vec(op(), 0..60)) {
        run(&program);
    }
}
