//! One call of a service for equal requests, with services that are polled by hand.

mod menu;

mod answers;
mod bodies;
mod credentials;
mod failures;
mod hostile;
mod leads;
mod limits;
mod requests;
mod shared;
