//! Random programs of inputs, against the database in memory.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::database::micros;
use super::world::{MILLISECOND, World, key};

#[derive(Clone, Debug)]
enum Step {
    Ask {
        at: usize,
        key: usize,
        waits: bool,
    },
    Withdraw {
        at: usize,
        key: usize,
    },
    Release {
        at: usize,
        key: usize,
        next: bool,
    },
    /// A release and the next local request, some times in a row.
    HandOver {
        at: usize,
        key: usize,
        times: u32,
    },
    /// A batch and its answer, without a delay.
    Trip(usize),
    Execute(usize),
    Deliver(usize),
    Cut {
        at: usize,
        executed_late: bool,
    },
    Connect(usize),
    Reconnect {
        at: usize,
        executed_late: bool,
    },
    ExecuteLate(usize),
    /// Nothing arrives meanwhile.
    Silence(Duration),
    /// What was sent arrives meanwhile.
    Well(Duration),
    ClockForward(Duration),
    ClockBackward(Duration),
    /// A transaction that verifies the key begins or ends.
    Verify(usize),
    /// The process stops, or goes on.
    Stop(usize),
    Crash(usize),
    ShutDown {
        at: usize,
        leave: bool,
    },
    /// Notifications are lost from here on, or arrive again.
    Notify,
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..3_usize;
    let key = 0..2_usize;
    let who = (at.clone(), key.clone());
    let short = (1..60_u32).prop_map(|ms| ms * MILLISECOND);
    let long = (50..700_u32).prop_map(|ms| ms * MILLISECOND);
    prop_oneof![
        14 => (who.clone(), any::<bool>()).prop_map(|((at, key), waits)| Step::Ask { at, key, waits }),
        4 => who.clone().prop_map(|(at, key)| Step::Withdraw { at, key }),
        8 => (who.clone(), any::<bool>()).prop_map(|((at, key), next)| Step::Release { at, key, next }),
        10 => (who, 1..6_u32).prop_map(|((at, key), times)| Step::HandOver { at, key, times }),
        20 => at.clone().prop_map(Step::Trip),
        6 => at.clone().prop_map(Step::Execute),
        6 => at.clone().prop_map(Step::Deliver),
        4 => (at.clone(), any::<bool>()).prop_map(|(at, executed_late)| Step::Cut { at, executed_late }),
        8 => at.clone().prop_map(Step::Connect),
        4 => (at.clone(), any::<bool>()).prop_map(|(at, executed_late)| Step::Reconnect { at, executed_late }),
        6 => (0..4_usize).prop_map(Step::ExecuteLate),
        6 => short.clone().prop_map(Step::Silence),
        4 => long.clone().prop_map(Step::Silence),
        6 => short.prop_map(Step::Well),
        4 => long.clone().prop_map(Step::Well),
        1 => long.clone().prop_map(Step::ClockForward),
        1 => long.prop_map(Step::ClockBackward),
        2 => key.prop_map(Step::Verify),
        2 => at.clone().prop_map(Step::Stop),
        1 => at.clone().prop_map(Step::Crash),
        1 => (at, prop::bool::weighted(0.3)).prop_map(|(at, leave)| Step::ShutDown { at, leave }),
        1 => Just(Step::Notify),
    ]
}

fn take(world: &mut World, step: &Step) {
    let processes = world.processes.len();
    let at = |at: &usize| at % processes;
    let runs = |world: &World, at: usize| !world.processes[at].is_stopped;
    match step {
        Step::Ask { at: n, key: k, waits } if runs(world, at(n)) => world.ask(at(n), key(*k), *waits),
        Step::Withdraw { at: n, key: k } if runs(world, at(n)) => world.withdraw(at(n), &key(*k)),
        Step::Release { at: n, key: k, next } if runs(world, at(n)) => world.release(at(n), &key(*k), *next),
        Step::HandOver { at: n, key: k, times } if runs(world, at(n)) => {
            for _ in 0..*times {
                world.release(at(n), &key(*k), true);
                world.ask(at(n), key(*k), true);
                world.settle();
                world.execute(at(n));
                world.deliver(at(n));
                world.settle();
            }
        }
        Step::Trip(n) => {
            world.execute(at(n));
            world.deliver(at(n));
        }
        Step::Execute(n) => world.execute(at(n)),
        Step::Deliver(n) => world.deliver(at(n)),
        Step::Cut { at: n, executed_late } => world.cut(at(n), *executed_late),
        Step::Connect(n) => world.connect(at(n)),
        Step::Reconnect { at: n, executed_late } => {
            world.cut(at(n), *executed_late);
            world.connect(at(n));
        }
        Step::ExecuteLate(which) => world.execute_late(*which),
        Step::Silence(by) => world.pass_time(*by),
        Step::Well(by) => world.run_well(*by, |_| true),
        Step::ClockForward(by) => world.step_clock(micros(*by)),
        Step::ClockBackward(by) => world.step_clock(-micros(*by)),
        Step::Verify(k) => {
            if let Some(row) = world.database.rows.get_mut(&key(*k)) {
                row.is_verified = !row.is_verified;
            }
        }
        Step::Stop(n) => world.processes[at(n)].is_stopped ^= true,
        Step::Crash(n) => world.crash(at(n)),
        Step::ShutDown { at: n, leave } => world.shut_down(at(n), *leave),
        Step::Notify => world.notifies = !world.notifies,
        Step::Ask { .. } | Step::Withdraw { .. } | Step::Release { .. } | Step::HandOver { .. } => {}
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(512),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_clocks_networks_and_processes_do_a_key_has_one_holder_and_each_request_its_answer(
        processes in 1..4_usize,
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(processes, seed);
        for step in &steps {
            take(&mut world, step);
        }
        world.finish();
    }
}
