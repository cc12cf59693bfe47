//! What services say over HTTP.

mod server;

mod cards;
mod etags;
mod own_error;
mod problems;
mod rendered;
mod tagged;
