//! Requests that are dropped at any time leave nothing behind.

use std::time::Duration;

use super::super::Event;
use super::drive::{Drive, busy, granted, key, pass, release, released, take};

#[test]
fn request_that_was_not_sent_leaves_nothing() {
    let mut drive = Drive::connected();
    let ticket = drive.ask();
    drive.withdraw(ticket);
    assert!(drive.machine.is_empty());
    assert_eq!(drive.sends(), None);
}

#[test]
fn grant_of_a_withdrawn_request_is_released() {
    let mut drive = Drive::connected();
    let ticket = drive.ask();
    drive.sends();
    drive.withdraw(ticket);
    drive.answer(granted(1));
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(released(1));
    assert_eq!(drive.events(), []);
    assert!(drive.machine.is_empty());
}

#[test]
fn grant_of_a_withdrawn_request_goes_to_the_next_one() {
    let mut drive = Drive::connected();
    let first = drive.ask();
    drive.sends();
    drive.withdraw(first);
    let second = drive.ask();
    drive.answer(granted(1));
    assert!(matches!(drive.events()[..], [Event::Granted { ticket, .. }] if ticket == second));
}

#[test]
fn look_for_a_withdrawn_request_does_not_answer_the_next_one() {
    let mut drive = Drive::connected();
    let first = drive.ask();
    drive.sends();
    drive.withdraw(first);
    drive.ask_for(key(), false);
    drive.answer(busy(Duration::from_secs(1)));
    assert_eq!(drive.events(), []);
    assert!(drive.sends().is_some());
}

#[test]
fn request_that_is_withdrawn_when_it_has_the_key_releases_it() {
    let mut drive = Drive::connected();
    let ticket = drive.ask();
    drive.sends();
    drive.answer(granted(1));
    drive.withdraw(ticket);
    assert_eq!(drive.sends(), Some(release(1)));
}

#[test]
fn pass_to_a_withdrawn_request_is_released() {
    let mut drive = Drive::holding(1);
    drive.release(1, true);
    let ticket = drive.ask();
    assert_eq!(drive.sends(), Some(pass(1)));
    drive.withdraw(ticket);
    drive.answer(granted(2));
    assert_eq!(drive.sends(), Some(release(2)));
}

#[test]
fn withdrawn_request_without_an_answer_is_forgotten_with_the_connection() {
    let mut drive = Drive::connected();
    let ticket = drive.ask();
    assert_eq!(drive.sends(), Some(take()));
    drive.withdraw(ticket);
    drive.reconnect();
    assert!(drive.machine.is_empty());
}
