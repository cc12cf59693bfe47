//! When a grant ends, and how it lasts longer.

use super::super::{Event, Grant, Held, Ticket};
use super::drive::{Drive, granted, held, named, nothing, release, released, renew, renewed, take};
use super::world::{MILLISECOND, rules};

#[test]
fn lease_is_counted_from_before_the_question() {
    let mut drive = Drive::connected();
    let ticket = drive.ask();
    assert_eq!(drive.sends(), Some(take()));
    let deadline = drive.now + rules().lease;
    drive.pass_time(200 * MILLISECOND);
    drive.answer(granted(1));
    assert_eq!(drive.events(), [Event::Granted { ticket, held: held(1), deadline }]);
}

#[test]
fn grant_whose_answer_is_later_than_its_end_is_released_and_asked_for_again() {
    let mut drive = Drive::connected();
    let ticket = drive.ask();
    assert_eq!(drive.sends(), Some(take()));
    drive.pass_time(rules().lease);
    drive.answer(granted(1));
    assert_eq!(drive.events(), []);
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(released(1));
    assert_eq!(drive.sends(), Some(take()));
    drive.answer(granted(2));
    assert!(matches!(drive.events()[..], [Event::Granted { ticket: own, .. }] if own == ticket));
}

#[test]
fn grant_is_renewed_after_a_third_of_its_lease() {
    let mut drive = Drive::holding(1);
    assert_eq!(drive.sends(), None);
    assert_eq!(drive.wait(), rules().lease / 3);
    assert_eq!(drive.sends(), Some(renew(1)));
    let deadline = drive.now + rules().lease;
    drive.pass_time(10 * MILLISECOND);
    drive.answer(renewed(1));
    assert_eq!(drive.events(), [Event::Extended { held: held(1), deadline }]);
}

#[test]
fn renewals_that_are_due_soon_go_along() {
    let mut drive = Drive::holding(1);
    drive.pass_time(rules().lease / 6 - MILLISECOND);
    drive.ask_for(named("soon"), true);
    assert_eq!(drive.sends().map(|batch| (batch.take.len(), batch.renew.len())), Some((1, 0)));
    let soon = Held { key: named("soon"), fence: 2 };
    let mut answers = nothing();
    answers.granted = vec![Grant { held: soon.clone(), is_wanted: false }];
    drive.answer(answers);
    assert_eq!(drive.wait(), rules().lease / 6 + MILLISECOND);
    assert_eq!(drive.sends().map(|batch| batch.renew), Some(vec![held(1), soon]));
}

#[test]
fn lease_that_ends_is_lost_once_and_its_row_is_released() {
    let mut drive = Drive::holding(1);
    drive.wait();
    assert_eq!(drive.sends(), Some(renew(1)));
    assert_eq!(drive.wait(), rules().lease * 2 / 3);
    assert_eq!(drive.sends(), None);
    assert_eq!(drive.events(), [Event::Lost { held: held(1) }]);
    drive.release(1, false);
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: false }]);
    drive.answer(renewed(1));
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(released(1));
    assert_eq!(drive.events(), []);
    assert!(drive.machine.is_empty());
}

#[test]
fn renewal_that_is_answered_after_the_end_comes_too_late() {
    let mut drive = Drive::holding(1);
    drive.wait();
    assert_eq!(drive.sends(), Some(renew(1)));
    drive.pass_time(rules().lease * 2 / 3);
    drive.answer(renewed(1));
    assert_eq!(drive.events(), [Event::Lost { held: held(1) }]);
}

#[test]
fn renewal_that_is_answered_with_nothing_loses_the_lease() {
    let mut drive = Drive::holding(1);
    drive.wait();
    assert_eq!(drive.sends(), Some(renew(1)));
    drive.answer(nothing());
    assert_eq!(drive.events(), [Event::Lost { held: held(1) }]);
    assert!(drive.machine.is_empty());
}

#[test]
fn release_of_a_lease_that_is_gone_says_so() {
    let mut drive = Drive::holding(1);
    drive.release(1, false);
    assert_eq!(drive.events(), []);
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(nothing());
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: false }]);
}

#[test]
fn release_during_a_renewal_waits_for_its_answer() {
    let mut drive = Drive::holding(1);
    drive.wait();
    assert_eq!(drive.sends(), Some(renew(1)));
    drive.release(1, false);
    assert_eq!(drive.sends(), None);
    drive.answer(renewed(1));
    assert_eq!(drive.events(), []);
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(released(1));
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: true }]);
    assert!(drive.machine.is_empty());
}

#[test]
fn release_of_an_older_grant_leaves_the_later_one() {
    let mut drive = Drive::holding(2);
    drive.release(1, false);
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: false }]);
    drive.withdraw(Ticket(77));
    assert_eq!(drive.sends(), None);
    drive.wait();
    assert_eq!(drive.sends(), Some(renew(2)));
}
