mod answer;
mod guarded;
mod input;
mod naive;
mod policies;
mod problem;
mod service;
mod slug;
mod store;
fn main() {}
