//! The end of a machine.

use super::super::Event;
use super::drive::{Drive, granted, held, named, release, released, renew, renewed, take};
use super::world::MILLISECOND;

#[test]
fn all_that_is_held_is_released_in_one_batch() {
    let mut drive = Drive::holding(1);
    let ticket = drive.ask_for(named("other"), true);
    drive.machine.shut_down(drive.now, false);
    let events = drive.events();
    assert!(events.contains(&Event::Lost { held: held(1) }));
    assert!(events.contains(&Event::Unavailable { ticket }));
    assert_eq!(drive.sends(), Some(release(1)));
    assert!(!drive.machine.is_done());
    drive.answer(released(1));
    assert!(drive.machine.is_done());
}

#[test]
fn grant_that_arrives_after_the_end_is_released() {
    let mut drive = Drive::connected();
    let ticket = drive.ask();
    assert_eq!(drive.sends(), Some(take()));
    drive.machine.shut_down(drive.now, false);
    assert_eq!(drive.events(), [Event::Unavailable { ticket }]);
    drive.answer(granted(1));
    assert_eq!(drive.sends(), Some(release(1)));
    drive.answer(released(1));
    assert!(drive.machine.is_done());
}

#[test]
fn request_after_the_end_is_unavailable() {
    let mut drive = Drive::connected();
    drive.machine.shut_down(drive.now, false);
    let ticket = drive.ask();
    assert_eq!(drive.events(), [Event::Unavailable { ticket }]);
    assert!(drive.machine.is_done());
}

#[test]
fn renewal_in_flight_is_followed_by_the_release() {
    let mut drive = Drive::holding(1);
    drive.wait();
    assert_eq!(drive.sends(), Some(renew(1)));
    drive.machine.shut_down(drive.now, false);
    assert_eq!(drive.events(), [Event::Lost { held: held(1) }]);
    drive.answer(renewed(1));
    assert_eq!(drive.sends(), Some(release(1)));
}

#[test]
fn grants_that_are_left_to_their_leases_cost_nothing_more() {
    let mut drive = Drive::holding(1);
    drive.machine.shut_down(drive.now, true);
    assert!(drive.machine.is_done());
    assert_eq!((drive.sends(), drive.machine.wake_at()), (None, None));
    drive.pass_time(MILLISECOND);
    drive.release(1, false);
    assert_eq!(drive.events(), [Event::Released { held: held(1), was_held: false }]);
}
