//! Keys that other processes hold.

use std::time::Duration;

use super::super::{Answers, Busy, Event, Grant, Held, Rules, Take};
use super::drive::{Drive, busy, granted, key, named, nothing, take};
use super::world::{MILLISECOND, rules};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn pauses_double_up_to_the_longest() {
    let mut drive = Drive::connected();
    drive.ask();
    let (mut least, most) = (rules().interval, rules().longest_pause);
    for _ in 0..8 {
        assert_eq!(drive.sends(), Some(take()));
        drive.answer(busy(LONG));
        let pause = drive.wait();
        assert!(least <= pause && pause <= least.mul_f64(1.25).min(most), "{pause:?} of {least:?}");
        least = (least * 2).min(most.mul_f64(0.8));
    }
    assert_eq!(least, most.mul_f64(0.8));
}

#[test]
fn request_comes_back_when_the_holders_lease_ends() {
    let mut drive = Drive::connected();
    drive.ask();
    for _ in 0..5 {
        assert_eq!(drive.sends(), Some(take()));
        drive.answer(busy(LONG));
        drive.wait();
    }
    assert_eq!(drive.sends(), Some(take()));
    drive.answer(busy(20 * MILLISECOND));
    let pause = drive.wait();
    assert!(20 * MILLISECOND < pause && pause < 20 * MILLISECOND + rules().interval, "{pause:?}");
}

#[test]
fn no_pause_is_shorter_than_a_long_interval() {
    let rules = Rules { interval: Duration::from_secs(1), longest_pause: Duration::from_secs(1), ..rules() };
    let mut random = fastrand::Rng::with_seed(7);
    for busy in 1..1000 {
        let pause = rules.pause(busy, LONG, &mut random);
        assert!(
            (rules.interval..=rules.interval.mul_f64(1.25)).contains(&pause),
            "{pause:?} after {busy} answers"
        );
    }
}

#[test]
fn key_whose_lease_has_ended_and_that_cannot_be_taken_is_not_asked_for_without_a_pause() {
    let mut drive = Drive::connected();
    drive.ask();
    for answers in [busy(Duration::ZERO), nothing()] {
        assert_eq!(drive.sends(), Some(take()));
        drive.answer(answers);
        assert!(drive.wait() >= rules().interval / 4);
    }
}

#[test]
fn notified_request_asks_at_once() {
    let mut drive = Drive::connected();
    drive.ask();
    drive.sends();
    drive.answer(busy(LONG));
    assert_eq!(drive.sends(), None);
    drive.machine.woken(drive.now, &named("other"));
    assert_eq!(drive.sends(), None);
    drive.machine.woken(drive.now, &key());
    assert_eq!(drive.sends(), Some(take()));
}

#[test]
fn notified_request_that_comes_too_late_asks_again_soon() {
    let mut drive = Drive::connected();
    drive.ask();
    for _ in 0..8 {
        assert_eq!(drive.sends(), Some(take()));
        drive.answer(busy(LONG));
        drive.wait();
    }
    drive.machine.woken(drive.now, &key());
    assert_eq!(drive.sends(), Some(take()));
    drive.answer(busy(LONG));
    let pause = drive.wait();
    assert!(pause <= rules().interval.mul_f64(1.25), "{pause:?}");
}

#[test]
fn notification_during_a_look_makes_another_look() {
    let mut drive = Drive::connected();
    drive.ask();
    drive.sends();
    drive.machine.woken(drive.now, &key());
    drive.answer(busy(LONG));
    assert_eq!(drive.sends(), Some(take()));
    drive.answer(busy(LONG));
    assert_eq!(drive.sends(), None);
}

#[test]
fn request_that_does_not_wait_looks_once() {
    let mut drive = Drive::connected();
    let ticket = drive.ask_for(key(), false);
    assert_eq!(drive.sends().map(|batch| batch.take), Some(vec![Take { key: key(), waits: false }]));
    drive.answer(busy(LONG));
    assert_eq!(drive.events(), [Event::Busy { ticket, rest: LONG }]);
    assert!(drive.machine.is_empty());
}

#[test]
fn requests_that_arrive_during_a_batch_share_the_next_one() {
    let mut drive = Drive::connected();
    drive.ask();
    drive.sends();
    drive.ask_for(named("a"), true);
    drive.ask_for(named("b"), false);
    assert_eq!(drive.sends(), None);
    drive.answer(granted(1));
    assert_eq!(drive.sends().map(|batch| batch.take.len()), Some(2));
}

#[test]
fn all_keys_of_a_process_are_polled_together() {
    let mut drive = Drive::connected();
    for name in 0..20 {
        drive.ask_for(named(&format!("key {name}")), true);
    }
    let mut batches = 0;
    let end = drive.now + 100 * rules().longest_pause;
    while drive.now < end {
        if let Some(batch) = drive.sends() {
            batches += 1;
            let busy = batch.take.into_iter().map(|take| Busy { key: take.key, rest: LONG }).collect();
            drive.answer(Answers { busy, ..nothing() });
        }
        drive.wait();
    }
    let intervals = 100 * rules().longest_pause.as_millis() / rules().interval.as_millis();
    assert!(batches <= intervals, "{batches} batches in {intervals} intervals");
}

#[test]
fn a_batch_has_a_greatest_size_and_the_next_one_asks_for_the_rest() {
    let mut drive = Drive::connected();
    let names: Vec<_> = (0..50).map(|name| named(&format!("key {name:02}"))).collect();
    for name in &names {
        drive.ask_for(name.clone(), false);
    }
    let mut asked = Vec::new();
    for size in [20, 20, 10] {
        let batch = drive.sends().expect("there is more to ask");
        assert_eq!(batch.size(), size);
        asked.extend(batch.take.into_iter().map(|take| take.key));
        drive.answer(nothing());
    }
    asked.sort_unstable();
    assert_eq!(asked, names);
    assert_eq!(drive.sends(), None);
}

#[test]
fn a_flood_of_requests_ends_no_lease_and_many_leases_keep_no_request_out() {
    let mut drive = Drive::connected();
    let names: Vec<_> = (0..30).map(|name| named(&format!("held {name:02}"))).collect();
    for name in &names {
        drive.ask_for(name.clone(), true);
    }
    for _ in 0..2 {
        let take = drive.sends().expect("they are asked for").take;
        let grant = |take: Take| Grant { held: Held { key: take.key, fence: 1 }, is_wanted: false };
        drive.answer(Answers { granted: take.into_iter().map(grant).collect(), ..nothing() });
    }
    for name in 0..100 {
        drive.ask_for(named(&format!("asked {name:02}")), false);
    }
    // An answer takes as long as a third of the leases: then all are due.
    let flood = drive.sends().expect("there is room");
    assert_eq!((flood.renew.len(), flood.take.len()), (0, 20));
    drive.pass_time(rules().lease / 3);
    drive.answer(nothing());
    let mut renewed = 0;
    for renewals in [16, 14, 0] {
        let batch = drive.sends().expect("there is more to ask");
        assert_eq!((batch.renew.len(), batch.take.len()), (renewals, 20 - renewals));
        renewed += renewals;
        let renewed = batch.renew.into_iter().map(|held| Grant { held, is_wanted: false }).collect();
        drive.answer(Answers { renewed, ..nothing() });
    }
    assert_eq!(renewed, names.len());
}
