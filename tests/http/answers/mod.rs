//! What services say over HTTP.

mod server;

mod cards;
mod etags;
mod problems;
mod rendered;
mod tagged;
