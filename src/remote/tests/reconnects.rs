//! Without a connection, and after it.

use std::time::Duration;

use super::super::Event;
use super::drive::{Drive, busy, granted, held, key, nothing, pass, release, renew, take};
use super::world::rules;

#[test]
fn take_without_an_answer_is_asked_again() {
    let mut drive = Drive::connected();
    drive.ask();
    assert_eq!(drive.sends(), Some(take()));
    drive.machine.disconnected(drive.now);
    assert_eq!(drive.sends(), None);
    drive.machine.connected(drive.now);
    assert_eq!(drive.sends(), Some(take()));
}

#[test]
fn renewal_without_an_answer_is_asked_again() {
    let mut drive = Drive::holding(1);
    drive.wait();
    assert_eq!(drive.sends(), Some(renew(1)));
    drive.reconnect();
    assert_eq!(drive.sends(), Some(renew(1)));
}

#[test]
fn release_without_an_answer_is_asked_again() {
    let mut drive = Drive::holding(1);
    drive.release(1, false);
    assert_eq!(drive.sends(), Some(release(1)));
    drive.reconnect();
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(nothing());
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: false }]);
}

#[test]
fn pass_without_an_answer_is_asked_again_as_a_take() {
    let mut drive = Drive::holding(1);
    drive.release(1, true);
    drive.ask();
    assert_eq!(drive.sends(), Some(pass(1)));
    drive.reconnect();
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: false }]);
    assert_eq!(drive.sends(), Some(take()));
    drive.answer(granted(3));
    assert!(matches!(drive.events()[..], [Event::Granted { .. }]));
}

#[test]
fn waiting_requests_ask_at_once_as_they_missed_notifications() {
    let mut drive = Drive::connected();
    drive.ask();
    drive.sends();
    drive.answer(busy(Duration::from_secs(1)));
    assert_eq!(drive.sends(), None);
    drive.reconnect();
    assert_eq!(drive.sends(), Some(take()));
}

#[test]
fn holder_without_a_connection_loses_its_lease_at_the_deadline_and_nothing_is_kept() {
    let mut drive = Drive::holding(1);
    drive.machine.disconnected(drive.now);
    assert_eq!(drive.wait(), rules().lease);
    assert_eq!(drive.sends(), None);
    assert_eq!(drive.events(), [Event::Lost { held: held(1) }]);
    assert!(drive.machine.is_empty());
}

#[test]
fn release_without_a_connection_is_answered_at_the_deadline() {
    let mut drive = Drive::holding(1);
    drive.machine.disconnected(drive.now);
    drive.release(1, true);
    for _ in 0..2 {
        drive.wait();
        assert_eq!(drive.sends(), None);
    }
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: false }]);
    assert!(drive.machine.is_empty());
}

#[test]
fn request_that_does_not_wait_is_unavailable_after_a_while_without_a_connection() {
    let mut drive = Drive::connected();
    drive.machine.disconnected(drive.now);
    let first = drive.ask_for(key(), false);
    assert_eq!(drive.events(), []);
    assert_eq!(drive.wait(), rules().patience);
    assert_eq!(drive.sends(), None);
    assert_eq!(drive.events(), [Event::Unavailable { ticket: first }]);
    let second = drive.ask_for(key(), false);
    assert_eq!(drive.events(), [Event::Unavailable { ticket: second }]);
    drive.ask();
    assert_eq!(drive.events(), []);
    assert_eq!(drive.machine.wake_at(), None);
}

#[test]
fn connections_that_answer_nothing_do_not_keep_a_request_that_does_not_wait() {
    let mut drive = Drive::connected();
    drive.machine.disconnected(drive.now);
    let ticket = drive.ask_for(key(), false);
    let step = rules().patience / 3;
    for _ in 0..4 {
        drive.pass_time(step);
        drive.machine.connected(drive.now);
        drive.sends();
        drive.machine.disconnected(drive.now);
    }
    assert_eq!(drive.events(), [Event::Unavailable { ticket }]);
}
