//! A released key goes to the next request of the process, until it is another process's turn.

use super::super::Event;
use super::drive::{
    Drive, busy, granted, granted_and_wanted, held, key, nothing, pass, release, released, take,
};
use super::world::rules;

#[test]
fn released_key_goes_to_the_next_request_in_one_statement() {
    let mut drive = Drive::holding(1);
    drive.release(1, true);
    assert_eq!(drive.sends(), None);
    let ticket = drive.ask();
    assert_eq!(drive.sends(), Some(pass(1)));
    let deadline = drive.now + rules().lease;
    drive.answer(granted(2));
    let handed_on = [
        Event::Released { held: held(1), was_held: true },
        Event::Granted { ticket, held: held(2), deadline },
    ];
    assert_eq!(drive.events(), handed_on);
}

#[test]
fn key_that_no_request_comes_for_is_released_after_the_window() {
    let mut drive = Drive::holding(1);
    drive.release(1, true);
    let window = drive.wait();
    assert!(window <= rules().interval && window <= rules().lease / 8);
    assert_eq!(drive.sends(), Some(release(1)));
}

#[test]
fn request_before_the_release_is_sent_gets_the_key() {
    let mut drive = Drive::holding(1);
    drive.release(1, false);
    drive.ask();
    assert_eq!(drive.sends(), Some(pass(1)));
}

#[test]
fn request_after_the_release_is_sent_takes_the_key_anew() {
    let mut drive = Drive::holding(1);
    drive.release(1, false);
    assert_eq!(drive.sends(), Some(release(1)));
    drive.ask();
    drive.answer(released(1));
    assert_eq!(drive.sends(), Some(take()));
}

#[test]
fn withdrawn_request_leaves_a_kept_key_to_its_release() {
    let mut drive = Drive::holding(1);
    drive.release(1, false);
    let ticket = drive.ask();
    drive.withdraw(ticket);
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(released(1));
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: true }]);
    assert!(drive.machine.is_empty());
}

#[test]
fn pass_that_is_answered_with_nothing_becomes_a_take() {
    let mut drive = Drive::holding(1);
    drive.release(1, true);
    drive.ask();
    assert_eq!(drive.sends(), Some(pass(1)));
    drive.answer(nothing());
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: false }]);
    assert_eq!(drive.sends(), Some(take()));
}

#[test]
fn pass_that_finds_its_row_locked_for_a_moment_is_asked_again() {
    let mut drive = Drive::holding(1);
    drive.release(1, true);
    drive.ask();
    assert_eq!(drive.sends(), Some(pass(1)));
    drive.answer(busy(rules().lease));
    assert_eq!((drive.events(), drive.sends()), (vec![], None));
    assert!(drive.wait() <= rules().interval * 2);
    assert_eq!(drive.sends(), Some(pass(1)));
}

#[test]
fn pass_that_finds_its_row_locked_is_released_if_no_request_waits_any_more() {
    let mut drive = Drive::holding(1);
    drive.release(1, true);
    let ticket = drive.ask();
    assert_eq!(drive.sends(), Some(pass(1)));
    drive.withdraw(ticket);
    drive.answer(busy(rules().lease));
    drive.wait();
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(released(1));
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: true }]);
    assert!(drive.machine.is_empty());
}

#[test]
fn after_some_passes_a_waiting_process_has_its_turn() {
    let mut drive = Drive::holding(1);
    let last = u64::from(rules().passes) + 1;
    for fence in 1..last {
        drive.release(fence, true);
        drive.ask();
        assert_eq!(drive.sends(), Some(pass(fence)));
        drive.answer(granted_and_wanted(fence + 1));
    }
    drive.release(last, true);
    drive.ask();
    assert_eq!(drive.sends(), Some(release(last)));
    drive.answer(released(last));
    // Not even its own release, of which it hears as all do, brings this process back before the other.
    drive.machine.woken(drive.now, &key());
    assert_eq!(drive.sends(), None);
    assert_eq!(drive.wait(), rules().interval);
    assert_eq!(drive.sends(), Some(take()));
}

#[test]
fn no_one_waits_so_the_key_is_passed_for_ever() {
    let mut drive = Drive::holding(1);
    for fence in 1..50 {
        drive.release(fence, true);
        drive.ask();
        assert_eq!(drive.sends(), Some(pass(fence)));
        drive.answer(granted(fence + 1));
    }
}
